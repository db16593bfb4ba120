//! What a table of text gives away about its columns: a first line of headings, labels on the wrong
//! side, another separator.

use crate::error::UserMessage;
use std::collections::HashSet;
use std::path::Path;

/// Headings of columns of labels, as public data sets have them.
const LABELS: &str = "label|labels|sentiment|class|category|target|gold|gold label|polarity|intent|rating|score|stars|y\
    |tag|emotion|topic|label text|coarse label|fine label";
/// Headings of columns of texts.
const TEXTS: &str = "text|texts|sentence|sentences|review|content|tweet|comment|message|utterance|query|document|body\
    |phrase|title|question|x|input|context";
/// Headings of columns that count or name rows.
const ROWS: &str = "id|idx|index|no|nr|#|sentence #|corpus|split";
/// Headings of words with what is said of them.
const WORDS: &str = "word|words|token|tokens|form|lemma|pos|pos tag|upos|xpos|chunk|chunk tag|tag|tags|ner|ner tag\
    |ner tags|entity|label|labels|iob|bio";
/// Headings of texts with others made of them.
const PAIRS: &str = "source|src|target|tgt|reference|ref|translation|english|french|german|spanish|italian|en|fr|de|es\
    |it|summary|summaries|highlights|article|abstract|output";

/// What a file's lines are, as far as their headings go.
#[derive(Clone, Copy)]
pub enum Table {
    /// Labels with texts.
    Labelled,
    /// Words with tags.
    Words,
    /// Texts with references.
    Pairs,
}

/// A cell as it is compared: without quotes and numbers at its end, small, words apart.
fn plainly(cell: &str) -> String {
    let bare = cell.trim().trim_matches('"').trim_end_matches(|c: char| c.is_ascii_digit());
    bare.trim_end_matches('_').to_lowercase().replace('_', " ")
}

fn is_in(cell: &str, list: &str) -> bool {
    let cell = plainly(cell);
    !cell.is_empty() && list.split('|').any(|heading| heading == cell)
}

/// Whether `cells`, the first line of a table, name the columns rather than being a row.
pub fn are_headings(cells: &[&str], table: Table) -> bool {
    let lists: &[&str] = match table {
        Table::Labelled => &[LABELS, TEXTS, ROWS],
        Table::Words => &[WORDS, ROWS],
        Table::Pairs => &[PAIRS, TEXTS, ROWS],
    };
    cells.len() >= 2 && cells.iter().all(|cell| lists.iter().any(|list| is_in(cell, list)))
}

/// Whether headings say that the text comes first and the label last.
pub fn label_is_last(headings: &[&str]) -> bool {
    let is_label = |cell: Option<&&str>| cell.is_some_and(|c| is_in(c, LABELS));
    is_label(headings.last()) && !is_label(headings.first())
}

/// Whether the second of two columns looks like labels, and the first like texts: few short values again and
/// again beside many long ones.
pub fn look_swapped<'a>(rows: impl Iterator<Item = (&'a str, &'a str)>) -> bool {
    let (mut left, mut right) = (HashSet::new(), HashSet::new());
    let (mut words, mut longest) = ([0usize; 2], 0);
    for (first, second) in rows {
        let counts = [first, second].map(|c| c.split_whitespace().count());
        words = [words[0] + counts[0], words[1] + counts[1]];
        longest = longest.max(counts[1]);
        left.insert(first);
        right.insert(second);
    }
    longest <= 3 && right.len() < left.len() && words[0] > 2 * words[1]
}

/// What to do about a line without a tab, if it seems to have another separator.
pub fn separator_hint(line: &str, wanted: &str) -> String {
    let other = [(',', "commas"), (';', "semicolons"), ('|', "bars")].into_iter().find(|(c, _)| line.contains(*c));
    match other {
        Some((_, name)) => {
            format!("{wanted} This line has no tab but {name}: export it as TSV, with tabs between columns.")
        }
        None => wanted.to_owned(),
    }
}

/// The first line is a heading: what is said where it was left out.
pub fn heading_left_out(cells: &[&str]) -> String {
    let cells = super::doubts::listed(cells);
    format!("the first line holds the columns' names ({cells}) and was left out; remove it from the file")
}

/// Labels stand where texts should.
pub fn swapped(data: &Path) -> UserMessage {
    UserMessage::new(
        "The columns are in another order",
        format!("'{}': the first column seems to hold the texts and the second the labels", data.display()),
        "Put the label first: label, tab, text.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_told_from_rows() {
        for (line, table) in [
            ("label\ttext", Table::Labelled),
            ("sentence\tlabel", Table::Labelled),
            ("\"Sentiment\"\t\"Review\"", Table::Labelled),
            ("idx\tsentence\tlabel", Table::Labelled),
            ("token\tpos\tner_tags", Table::Words),
            ("en\tfr", Table::Pairs),
            ("sentence1\tsentence_2", Table::Pairs),
        ] {
            assert!(are_headings(&line.split('\t').collect::<Vec<_>>(), table), "{line}");
        }
        for line in ["label", "positive\ttext", "pos\ttext", "label\tA label is a name.", "0\ttext", "\t", "1\t2"] {
            assert!(!are_headings(&line.split('\t').collect::<Vec<_>>(), Table::Labelled), "{line}");
        }
        assert!(label_is_last(&["sentence", "label"]) && label_is_last(&["idx", "sentence", "label"]));
        assert!(!label_is_last(&["label", "text"]) && !label_is_last(&["en", "fr"]));
    }

    #[test]
    fn labels_on_the_right_are_noticed_and_short_texts_are_not_taken_for_labels() {
        let swapped = [("A fine film.", "pos"), ("A dull and long film.", "neg"), ("Splendid acting here.", "pos")];
        assert!(look_swapped(swapped.into_iter()));
        assert!(!look_swapped(swapped.into_iter().map(|(a, b)| (b, a))));
        assert!(!look_swapped([("cold", "snow"), ("cold", "ice"), ("hot", "sun")].into_iter()));
        assert!(!look_swapped([("card_arrival", "where?"), ("top_up", "no"), ("card_lost", "no")].into_iter()));
        assert!(!look_swapped(std::iter::empty()));
    }

    #[test]
    fn another_separator_is_named() {
        assert!(separator_hint("pos,A film", "x").contains("commas"));
        assert_eq!(separator_hint("A film", "x"), "x");
    }
}
