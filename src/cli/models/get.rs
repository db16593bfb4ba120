//! `get`: downloads with a bar, stopped by Ctrl+C, gone on with the next time.

use super::{ExitCode, Library, mb, print_json, say, write_row};
use crate::error::UserMessage;
use crate::models::add;
use crate::models::catalogue;
use crate::models::hub::{HubError, Progress};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) fn get(library: &Library, ids: &[String], json: bool) -> Result<ExitCode, UserMessage> {
    let hub = library.hub_or_env();
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    // A second Ctrl+C ends the program at once.
    let _ = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::AcqRel) {
            std::process::exit(130);
        }
    });
    let mut rows = Vec::new();
    for id in ids {
        let wanted = catalogue::wanted(id)?;
        let bar = bar();
        let mut total = 0;
        let mut watch = |p: Progress| {
            total = p.total.max(total);
            show(&bar, &p);
            stop.load(Ordering::Acquire)
        };
        let got = hub.get(&wanted, &mut watch);
        bar.finish_and_clear();
        match got {
            Ok(path) => {
                add::check(&path)?;
                if !json {
                    write_row(&format!("{id} is here: {} ({})", path.display(), mb(total)))?;
                }
                rows.push(json!({ "id": id, "path": path.display().to_string(), "bytes": total }));
            }
            Err(HubError::Stopped) => {
                say(&format!("glossa: stopped; 'glossa models get {id}' goes on from here"));
                return Ok(ExitCode::from(130));
            }
            Err(error) => return Err(error.into()),
        }
    }
    if json {
        print_json(&rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:32} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

fn show(bar: &ProgressBar, p: &Progress) {
    bar.set_length(p.total);
    bar.set_position(p.done);
    bar.set_message(match (p.waiting, p.is_checking) {
        (Some(seconds), _) => format!("asking again in {seconds} s"),
        (None, true) => "checking".to_owned(),
        (None, false) => String::new(),
    });
}
