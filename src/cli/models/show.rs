//! `list`, `search` and `info`.

use super::{ExitCode, Library, find, mb, print_json, say, write_line, write_row};
use crate::engine::shelf::{Shelf, Volume};
use crate::error::{UserMessage, plain};
use crate::models::card::Card;
use crate::models::catalogue::{self, Known};
use crate::models::hub::Found;
use crate::models::measured;
use crate::nn::precision::Precision;
use crate::nn::shape::Place;
use crate::tasks::DEFAULT_CONTEXT;
use serde::Serialize;

/// What is here, and with `all` what can be got; of one task if that is named.
fn volumes(library: &Library, all: bool, task: Option<&str>) -> Vec<Volume> {
    let Shelf { mut volumes, problems } = Shelf::of(library);
    for problem in problems {
        say(&format!("glossa: {problem}"));
    }
    for volume in &volumes {
        if let Some(problem) = volume.problem.as_ref().filter(|_| !volume.is_missing) {
            say(&format!("glossa: {problem}"));
        }
    }
    volumes.retain(|v| (all || v.is_here) && (v.problem.is_none() || v.is_missing) && task.is_none_or(|t| v.task == t));
    volumes
}

pub(super) fn list(library: &Library, (all, task): (bool, Option<&str>), json: bool) -> Result<ExitCode, UserMessage> {
    let rows = volumes(library, all, task);
    if json {
        print_json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    write_row(&format!("{:<34} {:<12} {:>9} {:<7} {:<9} licence", "id", "task", "size", "type", "state"))?;
    for r in &rows {
        let state = match (r.is_here, r.is_default, r.partial) {
            _ if r.is_missing => "missing".to_owned(),
            (true, true, _) => "default".to_owned(),
            (true, false, _) => "here".to_owned(),
            (false, _, 0) => "get".to_owned(),
            (false, _, have) => format!("{} %", have * 100 / r.bytes.max(1)),
        };
        write_row(&format!(
            "{:<34} {:<12} {:>9} {:<7} {:<9} {}",
            r.id,
            r.task,
            mb(r.bytes),
            r.precision,
            state,
            r.licence
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a search has found.
#[derive(Serialize)]
struct SearchResult<'a> {
    catalogue: Vec<&'a Known>,
    hub: Vec<Found>,
    /// Why the hub was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    offline: Option<String>,
}

pub(super) fn search(library: &Library, words: &str, json: bool) -> Result<ExitCode, UserMessage> {
    let matches = |k: &&Known| {
        let text =
            format!("{} {} {} {} {} {}", k.id, k.name, k.task, k.repo, k.note, k.languages.join(" ")).to_lowercase();
        words.to_lowercase().split_whitespace().all(|w| text.contains(w))
    };
    let catalogue: Vec<&Known> = catalogue::all().iter().filter(matches).collect();
    let (hub, offline) = match library.hub_or_env().search(words, &mut |_| false) {
        Ok(found) => (found, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let result = SearchResult { catalogue, hub, offline };
    if json {
        print_json(&result)?;
        return Ok(ExitCode::SUCCESS);
    }
    for k in &result.catalogue {
        write_row(&format!("{:<26} {:<12} {:>9}  {}", k.id, k.task, mb(k.bytes), k.note))?;
    }
    for f in &result.hub {
        let kind = f.pipeline.as_deref().unwrap_or("");
        write_row(&format!("{:<60} {kind:<22} {} downloads", f.id, f.downloads))?;
    }
    if let Some(why) = &result.offline {
        say(&format!("glossa: only the catalogue was searched: {why}"));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn info(library: &Library, id: &str, json: bool) -> Result<ExitCode, UserMessage> {
    let entry = match find(library, id) {
        Ok(entry) => entry,
        Err(error) => {
            // What can be got is told of too.
            let Some(known) = catalogue::find(id) else { return Err(error) };
            if json {
                print_json(known)?;
            } else {
                write_line(&known_table(known))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
    };
    let card = Card::of(&entry)?;
    if json {
        print_json(&card)?;
    } else {
        write_line(&card_table(&card, library))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn known_table(k: &Known) -> String {
    let s = &k.shape;
    let needs = s.forecast((k.bytes, k.is_quantized()), Precision::Own, DEFAULT_CONTEXT, Place::default());
    let lines = [
        format!("{} ({}), not on this machine", k.name, k.id),
        format!("  for           {} · {}", k.task, k.note),
        format!(
            "  from          huggingface.co/{}{}",
            k.repo,
            k.file.as_ref().map(|f| format!(", {f}")).unwrap_or_default()
        ),
        format!("  size          about {}, {}", mb(k.bytes), k.precision),
        format!("  memory        about {} (glossa models fit {})", mb(needs.total() as u64), k.id),
        format!("  parameters    {:.1} million", k.parameters as f64 / 1e6),
        format!(
            "  network       {}, {} layers, {} wide, {} heads",
            k.architecture,
            s.layers + s.decoder_layers,
            s.hidden,
            s.heads
        ),
        format!("  licence       {}", k.licence),
        format!("  languages     {}", k.languages.join(", ")),
        format!("  get it        glossa models get {}", k.id),
    ];
    lines.iter().map(|l| plain(l)).collect::<Vec<_>>().join("\n")
}

fn card_table(c: &Card, library: &Library) -> String {
    let s = &c.shape;
    let mut lines = vec![
        format!("{} ({})", c.name, c.id),
        format!("  for           {} · {}", c.task, c.description),
        format!(
            "  network       {}, {} layers, {} wide, {} heads",
            c.architecture,
            s.layers + s.decoder_layers,
            s.hidden,
            s.heads
        ),
        format!("  parameters    {:.1} million, most in {}", c.parameters as f64 / 1e6, c.precision),
        format!("  vocabulary    {} tokens, up to {} at a time", s.vocabulary, s.context),
        format!("  licence       {}", if c.licence.is_empty() { "not stated in its files" } else { &c.licence }),
        format!("  languages     {}", c.languages.join(", ")),
        format!("  path          {}", c.path.display()),
    ];
    for (name, size) in &c.files {
        lines.push(format!("  file          {name}, {}", mb(*size)));
    }
    for a in &c.accuracy {
        let [low, high] = a.ci95.map(|v| v * 100.0);
        lines.push(format!(
            "  {:<13} {:.2} % on {} (n = {}, 95 % interval {low:.2} to {high:.2})",
            a.metric,
            a.value * 100.0,
            a.data,
            a.n
        ));
    }
    let measured = library.measurements().map(|p| measured::read(&p)).unwrap_or_default();
    for m in measured.iter().filter(|m| m.model == c.id) {
        let on = if m.data.is_empty() { m.device.clone() } else { format!("{}, {}", m.data, m.device) };
        lines.push(format!("  measured      {} with {} (n = {}; {on})", m.shown(), m.precision, m.n));
    }
    lines.iter().map(|l| plain(l)).collect::<Vec<_>>().join("\n")
}
