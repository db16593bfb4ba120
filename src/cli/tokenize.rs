//! `glossa tokenize`: the pieces that a model reads, with ids and offsets.

use super::{Common, say, write_line};
use crate::error::UserMessage;
use crate::labs::lines;
use crate::labs::pieces::Pieces;
use crate::models::codec::CodecToken;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct TokenizeArgs {
    /// Texts to cut
    #[arg(required_unless_present = "input")]
    texts: Vec<String>,
    /// JSON lines with a "text" each
    #[arg(long, value_name = "FILE.jsonl", conflicts_with = "texts")]
    input: Option<PathBuf>,
    /// Model id, a GGUF file, or a checkpoint folder
    #[arg(long, value_name = "ID|FILE|DIR")]
    model: Option<String>,
    /// Add the special tokens that the model expects around a text
    #[arg(long)]
    special: bool,
    /// One JSON object per text
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &TokenizeArgs, common: &Common) -> Result<ExitCode, UserMessage> {
    let pieces = Pieces::open(&common.library()?, args.model.as_deref())?;
    let texts = match &args.input {
        None => args.texts.clone(),
        Some(path) => {
            let text = |(i, line): (usize, String)| {
                let value: Option<serde_json::Value> = serde_json::from_str(&line).ok();
                value.and_then(|v| v.get("text")?.as_str().map(str::to_owned)).ok_or_else(|| {
                    let why = format!("'{}': text line {} has no \"text\"", path.display(), i + 1);
                    UserMessage::new("The file could not be read", why, "Each line must be JSON: {\"text\": \"…\"}")
                })
            };
            lines::read(path)?.into_iter().enumerate().map(text).collect::<Result<_, _>>()?
        }
    };
    pieces.notes().iter().for_each(|note| say(&format!("glossa: note: {note}")));
    for text in &texts {
        let tokens = pieces.cut(text, args.special)?;
        let typed = pieces.cut_typed(text, args.special)?;
        if args.json {
            let mut line = listed(&tokens);
            line["text"] = json!(text);
            if let Some(typed) = &typed {
                line["typed"] = listed(typed);
            }
            write_line(&line.to_string())?;
        } else {
            rows(&tokens)?;
            if let Some(typed) = &typed {
                write_line("as a message in a chat, where marks that are typed are letters:")?;
                rows(typed)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn listed(tokens: &[CodecToken]) -> Value {
    let each = |f: fn(&CodecToken) -> Value| -> Vec<Value> { tokens.iter().map(f).collect() };
    json!({
        "ids": each(|t| json!(t.id)),
        "pieces": each(|t| json!(t.piece)),
        "offsets": each(|t| json!([t.start, t.end])),
    })
}

fn rows(tokens: &[CodecToken]) -> Result<(), UserMessage> {
    tokens.iter().try_for_each(|t| write_line(&format!("{}\t{}\t{}..{}", t.id, t.piece.escape_debug(), t.start, t.end)))
}
