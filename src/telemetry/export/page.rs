//! A session as one page that any browser shows: no script, no file beside it.

use super::{ChartError, Snapshot, svg};
use crate::telemetry::channel::millis;
use crate::telemetry::scene::joules;
use crate::telemetry::statistics::Statistics;
use std::fmt::Write as _;

/// Size of the picture in the page.
const PICTURE: (u32, u32) = (1_100, 900);
/// Requests that are listed.
const SLOWEST: usize = 20;

const STYLE: &str = "body{font:16px/1.5 Inter,system-ui,sans-serif;color:#17202B;max-width:1120px;margin:32px auto;padding:0 16px}\
h1{font-size:26px;margin:0}h2{font-size:18px;margin:32px 0 8px}p.note{color:#5A6776;margin:4px 0 16px}\
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
th,td{text-align:right;padding:4px 10px;border-bottom:1px solid #DCE2E9}th:first-child,td:first-child{text-align:left}\
th{color:#5A6776;font-weight:600}svg{max-width:100%;height:auto}\
.warning{border-left:4px solid #E69F00;padding:4px 12px;margin:8px 0;background:#F6F8FA}";

/// The page. Everything that comes from outside is escaped.
///
/// # Errors
/// A fault of the drawing library.
pub fn html(snapshot: &Snapshot) -> Result<String, ChartError> {
    let picture = svg(snapshot, PICTURE.0, PICTURE.1)?;
    let mut out = String::with_capacity(picture.len() + 16_384);
    let title = format!("Glossa session, {}", &snapshot.clock(snapshot.from)[..16].replace('T', " "));
    let _ = write!(
        out,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{0}</title><style>{STYLE}</style><h1>{0}</h1><p class=\"note\">{1}</p>",
        escape(&title),
        escape(&machine(snapshot))
    );
    for warning in &snapshot.warnings {
        let _ = write!(out, "<div class=\"warning\">{} {}</div>", escape(&warning.what), escape(&warning.next));
    }
    let seconds = snapshot.to - snapshot.from;
    let _ = write!(
        out,
        "<h2>Curves</h2><p class=\"note\">{seconds:.0} s up to {} UTC. Shaded: requests. Hollow dots waited for a model to load; \
         they are not in the percentiles.</p>{picture}",
        escape(&snapshot.clock(snapshot.to)[11..19])
    );
    tasks(&mut out, snapshot);
    channels(&mut out, snapshot);
    requests(&mut out, snapshot);
    let _ = write!(out, "<p class=\"note\">Written by Glossa {}.</p></html>", env!("CARGO_PKG_VERSION"));
    Ok(out)
}

fn machine(snapshot: &Snapshot) -> String {
    let facts = &snapshot.facts;
    let mut words = vec![facts.machine.clone(), format!("{} cores", facts.cores)];
    words.extend(facts.gpus.iter().filter(|g| *g != "GPU").cloned());
    words.extend([&facts.l4t, &facts.jetpack].into_iter().flatten().cloned());
    words.extend(facts.power_mode.iter().map(|m| format!("power mode {m}")));
    words.push(format!("Linux {}", facts.kernel));
    words.extend(snapshot.cost.map(|c| format!("measuring took {c:.1} % of one core")));
    words.join(" · ")
}

fn tasks(out: &mut String, snapshot: &Snapshot) {
    out.push_str("<h2>Latency and throughput</h2>");
    if snapshot.tasks.is_empty() {
        out.push_str("<p class=\"note\">No request ended in this time.</p>");
        return;
    }
    out.push_str(
        "<table><tr><th>task</th><th>requests</th><th>p50</th><th>p95</th><th>p99</th><th>cold starts</th>\
         <th>stopped</th><th>failed</th><th>texts/s</th><th>tokens/s</th></tr>",
    );
    // Of a long session the newest requests alone are remembered one by one; its histograms know all.
    let whole = |name: &str| snapshot.session.iter().find(|s| s.0 == name).and_then(|s| s.1);
    let is_cut = snapshot.statistics.is_cut;
    let mut row = |name: &str, s: &Statistics| {
        let latency = if is_cut { whole(name).or(s.latency) } else { s.latency };
        let latency =
            latency.map_or(["–".to_owned(), "–".into(), "–".into()], |p| [p.p50, p.p95, p.p99].map(millis));
        let cold = s.cold_ms.map_or_else(|| "0".to_owned(), |ms| format!("{} (up to {})", s.cold, millis(ms)));
        let rates = s.rates();
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{cold}</td><td>{}</td><td>{}</td><td>{:.1}</td><td>{:.1}</td></tr>",
            escape(name),
            s.done,
            latency[0],
            latency[1],
            latency[2],
            s.cancelled,
            s.failed,
            rates[1],
            rates[2]
        );
    };
    for (task, statistics) in &snapshot.tasks {
        row(task, statistics);
    }
    if snapshot.tasks.len() > 1 {
        row("all", &snapshot.statistics);
    }
    let of = if is_cut {
        "all requests since the start (within 0.1 %), counts and rates those of the newest 65,536"
    } else {
        "all requests that ended in this time"
    };
    let _ = write!(
        out,
        "</table><p class=\"note\">Percentiles are of {of}; those that waited for a model are left out. Rates are over wall time.</p>"
    );
}

fn channels(out: &mut String, snapshot: &Snapshot) {
    out.push_str("<h2>Readings</h2><table><tr><th>what</th><th>least</th><th>mean</th><th>most</th><th>limit</th><th>source</th></tr>");
    for (index, channel) in snapshot.channels.iter().enumerate() {
        let Some(summary) = snapshot.summary(index) else { continue };
        let show = |v: f64| channel.unit.show(v);
        let limit = channel.limit.map_or_else(String::new, |l| show(f64::from(l)));
        let [least, mean, most] = [summary.min, summary.mean, summary.max].map(show);
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{least}</td><td>{mean}</td><td>{most}</td><td>{limit}</td><td>{}</td></tr>",
            escape(&channel.name),
            escape(&channel.source)
        );
    }
    out.push_str("</table>");
    for (what, why) in snapshot.facts.closed.iter().chain(&snapshot.facts.absent) {
        let _ = write!(out, "<p class=\"note\">Not measured: {} ({}).</p>", escape(what), escape(why));
    }
}

fn requests(out: &mut String, snapshot: &Snapshot) {
    let mut slowest: Vec<_> = snapshot.spans.iter().collect();
    slowest.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms));
    slowest.truncate(SLOWEST);
    if slowest.is_empty() {
        return;
    }
    out.push_str("<h2>Slowest requests</h2><table><tr><th>request</th><th>latency</th><th>stages in ms</th><th>texts</th><th>tokens written</th><th>energy</th></tr>");
    for span in slowest {
        let stages: Vec<String> = span.sums().into_iter().map(|(n, ms)| format!("{n} {ms:.1}")).collect();
        let energy = snapshot.energy(span.id).map_or_else(|| "–".into(), |e| joules(e.joules));
        let _ = write!(
            out,
            "<tr><td>{} · {}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{energy}</td></tr>",
            span.id,
            escape(span.task),
            millis(span.total_ms),
            stages.join(" · "),
            span.done,
            span.generated
        );
    }
    out.push_str("</table>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_cannot_become_markup() {
        assert_eq!(escape("<script>\"&"), "&lt;script&gt;&quot;&amp;");
    }
}
