//! `glossa bench crowd`: one engine under many clients.

use super::{Common, follow, print_result, progress_bar};
use crate::error::UserMessage;
use crate::labs::crowd::{self, CrowdBench, Plan};
use std::process::ExitCode;

pub(super) fn run(plan: &Plan<'_>, json: bool, common: &Common) -> Result<ExitCode, UserMessage> {
    let engine = common.engine()?;
    let bar = progress_bar(0);
    let result = crowd::run(&engine, plan, follow(&bar));
    bar.finish_and_clear();
    print_result(json, &result?, table)?;
    Ok(ExitCode::SUCCESS)
}

fn table(b: &CrowdBench) -> String {
    let mut lines = vec![
        format!("{} · {}, {} · clients in a closed loop, warm", b.model, b.device, b.precision),
        format!(
            "{:>7} {:>10} {:>6} {:>8} {:>9} {:>9} {:>10} {:>10} {:>9}",
            "clients", "tokens/s", "gain", "answers", "ttft p50", "ttft p95", "gap p50", "gap p99", "in + out"
        ),
    ];
    for l in &b.loads {
        lines.push(format!(
            "{:>7} {:>10.1} {:>5.2}× {:>8} {:>9.1} {:>9.1} {:>10.1} {:>10.1} {:>4.0} + {:.0}",
            l.clients,
            l.tokens_per_second,
            l.gain,
            l.answers,
            l.ttft_ms.p50,
            l.ttft_ms.p95,
            l.gap_ms.p50,
            l.gap_ms.p99,
            l.prompt_tokens,
            l.answer_tokens
        ));
    }
    lines.extend(guests(b));
    lines.join("\n")
}

fn guests(b: &CrowdBench) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(i) = &b.intrusion {
        lines.push(format!(
            "a prompt of {} tokens while {} read: gap p99 {:.1} ms before, {:.1} ms meanwhile ({:.2}×); its own first token after {:.0} ms",
            i.prompt_tokens, i.clients, i.before_ms.p99, i.during_ms.p99, i.ratio, i.ttft_ms.p50
        ));
    }
    if let Some(n) = &b.newcomer {
        lines.push(format!(
            "a question of {} tokens while {} read: first token after {:.1} ms alone, p95 {:.1} ms among them: {:.1} steps of {:.1} ms more",
            n.prompt_tokens, n.clients, n.alone_ms.p50, n.among_ms.p95, n.steps, n.step_ms
        ));
    }
    if let Some(s) = &b.beside {
        lines.push(format!(
            "sentiment of {} words: p95 {:.1} ms alone, {:.1} ms while a chat is written ({:.2}×)",
            s.words, s.alone_ms.p95, s.beside_ms.p95, s.ratio
        ));
    }
    if let Some(a) = &b.again {
        lines.push(format!(
            "a document of {} tokens asked about twice: first token after {:.1} ms, then {:.1} ms ({:.3}×)",
            a.prompt_tokens, a.first_ms, a.second_ms, a.ratio
        ));
    }
    if let Some(e) = &b.equal {
        lines.push(format!(
            "{} of {} answers are the same, token for token, alone and among {}",
            e.same, e.of, e.clients
        ));
    }
    lines
}
