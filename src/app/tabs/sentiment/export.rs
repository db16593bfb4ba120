//! An answer as text, as JSON, and many as CSV.

use super::Answer;
use crate::app::widgets::gauge::percent;
use crate::engine::message::ItemResult;
use crate::engine::record::Record;
use crate::tasks::Output;
use std::path::Path;

/// One line: label, probability, text.
pub fn text(answer: &Answer) -> String {
    let (label, p) = answer.scores.top();
    format!("{label} {} — {}", percent(p), answer.text)
}

/// The same object that the command line prints.
pub fn json(answer: &Answer) -> String {
    let output = Output::Scores(answer.scores.clone());
    Record::pretty(answer.request, &answer.text.as_str().into(), &output, &answer.report)
}

/// Writes `text,label,probability,error` rows; the folder is made if it is missing.
///
/// # Errors
/// What the disk says, with the file's name.
pub fn write_csv(path: &Path, rows: &[(String, Option<ItemResult>)]) -> Result<usize, String> {
    let write = |file: &mut std::fs::File, _: &Path| -> std::io::Result<usize> {
        let mut out = csv::Writer::from_writer(file);
        out.write_record(["text", "label", "probability", "error"])?;
        let mut count = 0;
        for (text, result) in rows {
            match result {
                Some(Ok(output)) => {
                    let (label, p) = output.scores().map_or(("", 0.0), |s| s.top());
                    out.write_record([text, label, &format!("{p:.6}"), ""])?;
                }
                Some(Err(message)) => out.write_record([text, "", "", &message.why])?,
                None => continue,
            }
            count += 1;
        }
        out.flush()?;
        Ok(count)
    };
    crate::disk::replace(path, write)
        .map_err(|e| format!("'{}' could not be written: {e}. Choose another place.", path.display()))
}
