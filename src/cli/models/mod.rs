//! `glossa models`: what is here, what can be got, what fits.

mod fit;
mod get;
mod show;

use super::{Common, print_json, progress_bar, say, write_line, write_row};
use crate::error::UserMessage;
use crate::models::add;
use crate::models::library::{Library, ModelEntry, Origin};
use crate::models::removal;
use crate::models::verify::Verifier;
use crate::nn::precision::Precision;
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct ModelsArgs {
    #[command(subcommand)]
    what: What,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum What {
    /// Models that are here, and with --all those that can be got
    List {
        /// Also the catalogue's that are not here yet
        #[arg(long)]
        all: bool,
        /// Only those of a task
        #[arg(long, value_name = "TASK")]
        task: Option<String>,
    },
    /// Look for words in the catalogue, and on the hub unless it is offline
    Search {
        /// Such as "german translate" or "ner"
        #[arg(required = true)]
        words: Vec<String>,
    },
    /// Download a model of the catalogue or any id of the hub (owner/name, owner/name/file.gguf)
    Get {
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Add a folder, a GGUF file or a zip archive of a folder, where it lies
    Add { path: PathBuf },
    /// Everything that is known of a model
    Info { id: String },
    /// Compare a model's files, or all models', with their hashes
    Verify { ids: Vec<String> },
    /// What a model needs in memory, and whether it fits (--context, --precision)
    Fit {
        id: String,
        /// Load it, have it do its largest work, and measure beside the forecast
        #[arg(long)]
        measure: bool,
    },
    /// Make a quantized copy (--precision): kept for the next loading, or with --out a model of its own
    Quantize {
        id: String,
        /// Folder for a copy with configuration and tokenizer (a GGUF file if it came as one)
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Delete a downloaded model, or forget one that was added; files that others use stay
    Remove {
        id: String,
        /// Only say which files would go, and how much they hold
        #[arg(long)]
        dry_run: bool,
    },
    /// Use a model where none is named for its task; without an id show what is chosen
    Default {
        id: Option<String>,
        /// The task, if not the model's own
        #[arg(long, value_name = "TASK")]
        task: Option<String>,
    },
    /// Print where a model's files lie
    Path { id: String },
}

pub(super) fn run(args: &ModelsArgs, common: &Common) -> Result<ExitCode, UserMessage> {
    let library = common.library()?;
    let json = args.json;
    match &args.what {
        What::List { all, task } => show::list(&library, (*all, task.as_deref()), json),
        What::Search { words } => show::search(&library, &words.join(" "), json),
        What::Get { ids } => get::get(&library, ids, json),
        What::Add { path } => {
            let card = add::add(&library, path)?;
            if json {
                print_json(&card)
            } else {
                write_row(&format!("added {} for {}: {}", card.name, card.task, card.id))
            }?;
            Ok(ExitCode::SUCCESS)
        }
        What::Info { id } => show::info(&library, id, json),
        What::Verify { ids } => verify(&library, ids, json),
        What::Fit { id, measure } => fit::fit(&library, common, (id, *measure), json),
        What::Quantize { id, out } => fit::quantize(&library, common, (id, out.as_deref()), json),
        What::Remove { id, dry_run } => remove(&library, (id, *dry_run), json),
        What::Default { id, task } => default(&library, (id.as_deref(), task.as_deref()), json),
        What::Path { id } => {
            let entry = find(&library, id)?;
            let path = entry.gguf().map_or(entry.dir.clone(), std::path::Path::to_owned);
            if json {
                print_json(&json!({ "id": entry.id, "path": path.display().to_string() }))
            } else {
                write_line(&path.display().to_string())
            }?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A model by id or path, whatever its task.
fn find(library: &Library, id: &str) -> Result<ModelEntry, UserMessage> {
    Ok(library.resolve(Some(id), "")?)
}

fn verify(library: &Library, ids: &[String], json: bool) -> Result<ExitCode, UserMessage> {
    let entries = if ids.is_empty() {
        library.list().0
    } else {
        ids.iter().map(|id| find(library, id)).collect::<Result<_, _>>()?
    };
    // Every byte is read again: what was known before does not count.
    let mut verifier = Verifier::new(None);
    let (mut rows, mut broken) = (Vec::new(), false);
    for entry in entries {
        let wrong: Vec<String> = match (&entry.origin, &entry.manifest) {
            (Origin::Hub(wanted), _) => library.hub_or_env().verify(wanted, &|| false)?,
            (_, Some(manifest)) => {
                verifier.check(&entry.dir, manifest, &|| false).err().map(|e| e.to_string()).into_iter().collect()
            }
            (_, None) => Vec::new(),
        };
        let is_promised =
            matches!(entry.origin, Origin::Hub(_)) || entry.manifest.as_ref().is_some_and(|m| !m.files.is_empty());
        let state = match (wrong.is_empty(), is_promised) {
            (false, _) => "damaged",
            (true, true) => "ok",
            (true, false) => "no hashes to compare with",
        };
        broken |= !wrong.is_empty();
        if !json {
            let details = if wrong.is_empty() { String::new() } else { format!(": {}", wrong.join(", ")) };
            write_row(&format!("{:<36} {state}{details}", entry.id))?;
        }
        rows.push(json!({ "id": entry.id, "state": state, "wrong": wrong }));
    }
    if json {
        print_json(&rows)?;
    }
    Ok(if broken { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Paths for JSON, which knows only Unicode.
fn lossy(paths: &[std::path::PathBuf]) -> Vec<String> {
    paths.iter().map(|p| p.display().to_string()).collect()
}

fn remove(library: &Library, (id, dry_run): (&str, bool), json: bool) -> Result<ExitCode, UserMessage> {
    if removal::forget_missing(library, id)? {
        if json {
            print_json(&json!({ "id": id, "freed": 0, "files": [] }))?;
        } else {
            write_row(&format!("{id} forgotten; its files are gone already"))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let entry = find(library, id)?;
    let plan = removal::plan(library, &entry)?;
    if !json {
        for line in plan.words() {
            write_row(&line)?;
        }
    }
    if !dry_run {
        removal::carry_out(library, &entry, &plan)?;
    }
    let freed = plan.bytes / 1_000_000;
    if json {
        let (files, shared) = (&plan.files, &plan.shared);
        print_json(
            &json!({ "id": entry.id, "freed": plan.bytes, "files": lossy(files), "kept": lossy(shared), "done": !dry_run }),
        )?;
    } else if dry_run {
        write_row(&format!("{}: nothing was removed (--dry-run); {freed} MB would be freed", entry.id))?;
    } else if plan.only_forgotten {
        write_row(&format!("{} forgotten; its files are still at {}", entry.id, entry.dir.display()))?;
    } else {
        write_row(&format!("{} deleted, {freed} MB freed", entry.id))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn default(library: &Library, (id, task): (Option<&str>, Option<&str>), json: bool) -> Result<ExitCode, UserMessage> {
    if let Some(id) = id {
        let entry = find(library, id)?;
        let Some(task) = task.or(entry.task()).map(str::to_owned) else {
            let next = "Say for which task with --task.";
            return Err(UserMessage::new("Nothing was changed", format!("it is not known what '{id}' is for"), next));
        };
        library.decide(|r| drop(r.defaults.insert(task, entry.id)))?;
    }
    let chosen = library.registry().defaults;
    if json {
        print_json(&chosen)?;
    } else {
        for (task, model) in chosen {
            write_row(&format!("{task:<12} {model}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Megabytes for a table.
fn mb(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}

/// The precisions that are worth a row in a table of memory.
const SHOWN: [Precision; 6] =
    [Precision::F32, Precision::F16, Precision::Int8, Precision::Q8_0, Precision::Q4_0, Precision::Q4KM];
