//! Labelled texts as a file has them.

use super::columns;
use super::doubts::{Doubts, counted};
use super::lines;
use crate::error::UserMessage;
use std::path::Path;

/// A labelled text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub label: String,
    pub text: String,
}

/// Labelled texts as they were read.
#[derive(Clone, Debug, Default)]
pub struct Labelled {
    pub rows: Vec<Row>,
    /// What was noticed about the file.
    pub doubts: Doubts,
}

/// Reads a TSV `label<TAB>text`, without a first line of headings.
///
/// # Errors
/// As for [`read_labelled`].
pub fn read_rows(path: &Path) -> Result<Vec<Row>, UserMessage> {
    Ok(read_labelled(path)?.rows)
}

/// Reads a TSV `label<TAB>text`. A first line of headings is left out, and that is said.
///
/// # Errors
/// An unreadable file, a line without a tab, by its number, or columns that are clearly the other way round.
pub fn read_labelled(path: &Path) -> Result<Labelled, UserMessage> {
    let mut out = Labelled::default();
    for (i, line) in lines::read(path)?.iter().enumerate() {
        let Some((label, text)) = line.split_once('\t') else {
            return Err(UserMessage::new(
                "The data could not be read",
                format!("'{}': text line {} has no tab", path.display(), i + 1),
                columns::separator_hint(line, "Each line must be: label, tab, text."),
            ));
        };
        let cells: Vec<&str> = line.split('\t').collect();
        if i == 0 && columns::are_headings(&cells, columns::Table::Labelled) {
            if columns::label_is_last(&cells) {
                return Err(columns::swapped(path));
            }
            out.doubts.doubt(columns::heading_left_out(&cells));
            continue;
        }
        out.rows.push(Row { label: label.trim().to_owned(), text: text.to_owned() });
    }
    if columns::look_swapped(out.rows.iter().map(|r| (r.label.as_str(), r.text.as_str()))) {
        return Err(columns::swapped(path));
    }
    let more = out.rows.iter().filter(|r| r.text.contains('\t')).count();
    let lines = counted(out.rows.len(), "line");
    let text = format!("{more} of {lines} with more than two columns: all behind the first were read as the text");
    out.doubts.some(more, out.rows.len(), text);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Labelled, UserMessage> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("d.tsv");
        std::fs::write(&path, text).expect("file");
        read_labelled(&path)
    }

    #[test]
    fn headings_and_columns_are_noticed_when_the_file_is_read() {
        let read = file("label\ttext\npos\tA fine film.\n").expect("rows");
        assert!(read.rows.len() == 1 && read.doubts.iter().any(|d| d.contains("first line holds")), "{read:?}");
        assert!(file("pos\tlabel\n").expect("rows").doubts == Doubts::default());
        let read = file("pos\tA fine film.\t17\nneg\tA dull film.\t18\n").expect("rows");
        assert!(read.doubts.iter().any(|d| d.contains("2 of 2 lines with more than two columns")), "{read:?}");
        for (text, said) in [
            ("sentence\tlabel\nA fine film.\t1\n", "second the labels"),
            ("A fine film.\tpos\nA dull film.\tneg\nSplendid acting here.\tpos\n", "second the labels"),
            ("pos,A fine film.\n", "commas"),
            ("pos\tA fine film.\nneg A dull film.\n", "text line 2 has no tab"),
            ("\n \n", "no line of text"),
        ] {
            let error = file(text).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("d.tsv"), "{text}: {error}");
        }
    }
}
