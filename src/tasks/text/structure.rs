//! What of a document is text to be translated, and what is its structure.

use super::sentences::sentences;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How a text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Structure {
    #[default]
    Plain,
    /// Headings, lists, quotes, links and code keep their marks; code is left alone.
    Markdown,
    /// Subtitles: numbers and times are left alone, each line stays a line.
    Srt,
    /// A table: the last column.
    Tsv,
}

impl Structure {
    /// By a file's name.
    pub fn of_file(path: &std::path::Path) -> Self {
        match path.extension().and_then(|e| e.to_str()).map(str::to_lowercase).as_deref() {
            Some("md" | "markdown") => Self::Markdown,
            Some("srt" | "vtt") => Self::Srt,
            Some("tsv") => Self::Tsv,
            _ => Self::Plain,
        }
    }

    /// The byte ranges of `text` that are to be translated, each a sentence or a part of a line;
    /// everything between them stays as it is.
    pub fn passages(self, text: &str) -> Vec<Range<usize>> {
        match self {
            Self::Plain => sentences(text),
            Self::Markdown => markdown(text),
            Self::Srt => subtitles(text),
            Self::Tsv => last_column(text),
        }
        .into_iter()
        // Rules, times and the like have nothing to say in another language.
        .filter(|r| text[r.clone()].chars().any(char::is_alphabetic))
        .collect()
    }
}

/// Lines with their places, without their line ends.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        (start, line.trim_end_matches(['\n', '\r']))
    })
}

fn shifted(ranges: Vec<Range<usize>>, by: usize) -> impl Iterator<Item = Range<usize>> {
    ranges.into_iter().map(move |r| r.start + by..r.end + by)
}

fn subtitles(text: &str) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    for (start, line) in lines(text) {
        let mark =
            line.contains("-->") || line.starts_with("WEBVTT") || line.trim().chars().all(|c| c.is_ascii_digit());
        if !mark {
            // Tags such as <i> stay; a dash of a speaker too.
            for part in between(line, '<', '>') {
                let inner = line[part.clone()].trim_start_matches(['-', '–', ' ']);
                let from = start + part.end - inner.len();
                out.extend(shifted(sentences(inner), from));
            }
        }
    }
    out
}

fn last_column(text: &str) -> Vec<Range<usize>> {
    let cell = |(start, line): (usize, &str)| {
        let from = line.rfind('\t').map_or(0, |i| i + 1);
        shifted(sentences(&line[from..]), start + from).collect::<Vec<_>>()
    };
    lines(text).flat_map(cell).collect()
}

/// The parts of `line` outside of `open` … `close`.
fn between(line: &str, open: char, close: char) -> Vec<Range<usize>> {
    let (mut out, mut from) = (Vec::new(), 0);
    while let Some(at) = line[from..].find(open).map(|i| from + i) {
        let inside = at + open.len_utf8();
        let Some(end) = line[inside..].find(close).map(|i| inside + i + close.len_utf8()) else { break };
        out.push(from..at);
        from = end;
    }
    out.push(from..line.len());
    out.retain(|r| !r.is_empty());
    out
}

fn markdown(text: &str) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut fence: Option<&str> = None;
    // Lines of a paragraph belong together: a sentence may go over several.
    let mut paragraph: Option<Range<usize>> = None;
    let mut flush = |paragraph: &mut Option<Range<usize>>| {
        if let Some(range) = paragraph.take() {
            out.extend(outside_of_code(text, range));
        }
    };
    for (start, line) in lines(text) {
        let trimmed = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|m| trimmed.starts_with(m));
        if let Some(open) = fence {
            if mark == Some(open) {
                fence = None;
            }
            continue;
        }
        if mark.is_some() {
            flush(&mut paragraph);
            fence = mark;
            continue;
        }
        let content = start + line.len() - inner(line).len();
        if line.starts_with("    ") || line.starts_with('\t') || inner(line).is_empty() {
            flush(&mut paragraph);
        } else if trimmed.starts_with('|') {
            flush(&mut paragraph);
            paragraph = None;
            for cell in between_cells(line) {
                let mut one = Some(start + cell.start..start + cell.end);
                flush(&mut one);
            }
        } else if content > start || paragraph.is_none() {
            // A heading, an item, a quote, or the first line of a paragraph.
            flush(&mut paragraph);
            paragraph = Some(content..start + line.len());
            if trimmed.starts_with('#') {
                flush(&mut paragraph);
            }
        } else if let Some(range) = &mut paragraph {
            range.end = start + line.len();
        }
    }
    flush(&mut paragraph);
    out
}

/// The cells of a table's row.
fn between_cells(line: &str) -> Vec<Range<usize>> {
    let mut at = 0;
    line.split('|')
        .map(|cell| {
            let range = at..at + cell.len();
            at += cell.len() + 1;
            range
        })
        .filter(|r| !r.is_empty())
        .collect()
}

/// A line without the marks of headings, lists and quotes.
fn inner(line: &str) -> &str {
    let mut rest = line.trim_start();
    loop {
        let before = rest;
        rest = rest.trim_start_matches(['#', '>']).trim_start();
        for mark in ["- [ ] ", "- [x] ", "- ", "* ", "+ "] {
            rest = rest.strip_prefix(mark).unwrap_or(rest);
        }
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 && (rest[digits..].starts_with(". ") || rest[digits..].starts_with(") ")) {
            rest = rest[digits + 2..].trim_start();
        }
        if rest.len() == before.len() {
            return rest;
        }
    }
}

/// Sentences of `range`, without code spans, targets of links and marks at the ends.
fn outside_of_code(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    for part in between(&text[range.clone()], '`', '`') {
        let part = range.start + part.start..range.start + part.end;
        // `](target)` ends the words of a link.
        let mut from = part.start;
        while let Some(at) = text[from..part.end].find("](").map(|i| from + i) {
            out.push(from..at);
            from = text[at..part.end].find(')').map_or(part.end, |i| at + i + 1);
        }
        out.push(from..part.end);
    }
    let marks: &[char] = &['*', '_', '[', ']', '!', '~', ' ', '\t'];
    out.into_iter()
        .flat_map(|r| {
            let piece = &text[r.clone()];
            let inner = piece.trim_start_matches(marks);
            let from = r.start + piece.len() - inner.len();
            let inner = inner.trim_end_matches(['*', '_', '[', '~', ' ', '\t']);
            shifted(sentences(inner), from).collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(structure: Structure, text: &str) -> Vec<&str> {
        structure.passages(text).into_iter().map(|r| &text[r]).collect()
    }

    #[test]
    fn markdown_keeps_its_marks_and_its_code() {
        let text = "# A title\n\nFirst line\nof a *long* sentence. Second one.\n\n- [ ] an item\n2. see `code()` and [a link](http://x.y).\n\n```rust\nlet x = 1;\n```\n\n| a cell | 12 |\n|---|---|\n> said he\n";
        assert_eq!(
            cut(Structure::Markdown, text),
            [
                "A title",
                "First line\nof a *long* sentence.",
                "Second one.",
                "an item",
                "see",
                "and [a link",
                "a cell",
                "said he"
            ]
        );
    }

    #[test]
    fn subtitles_keep_numbers_times_and_tags() {
        let text = "1\n00:00:01,000 --> 00:00:02,000\n- <i>Good morning.</i>\nHow are you?\n\n2\n00:00:03,000 --> 00:00:04,500\nFine.\n";
        assert_eq!(cut(Structure::Srt, text), ["Good morning.", "How are you?", "Fine."]);
    }

    #[test]
    fn plain_text_is_cut_into_sentences_and_marks_alone_are_left() {
        assert_eq!(cut(Structure::Plain, "One. Two!\n\n---\n\n12 : 30\nThree"), ["One.", "Two!", "Three"]);
        assert_eq!(cut(Structure::Tsv, "1\tOne. Two.\n2\tThree\n"), ["One.", "Two.", "Three"]);
        assert_eq!(Structure::of_file(std::path::Path::new("a/B.SRT")), Structure::Srt);
    }
}
