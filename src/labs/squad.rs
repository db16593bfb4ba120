//! Questions with reference answers: SQuAD's own nested JSON, a list of rows, or JSON lines.

use super::doubts::{Doubts, counted};
use super::lines;
use crate::error::UserMessage;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::path::Path;
use std::sync::Arc;

/// A question; without answers the text does not say.
#[derive(Clone, Debug)]
pub struct Row {
    pub question: String,
    pub context: Arc<str>,
    pub answers: Vec<Reference>,
}

/// An answer that a person gave.
#[derive(Clone, Debug, Deserialize)]
pub struct Reference {
    pub text: String,
    /// Where it stands in the context, in characters.
    #[serde(default, alias = "answer_start")]
    pub start: Option<usize>,
}

/// The answers of a row: one by one, or as `datasets` keeps them, texts and places in lists of their own.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answers {
    Each(Vec<Reference>),
    Lists {
        text: Vec<String>,
        #[serde(default, alias = "answer_start")]
        start: Vec<usize>,
    },
}

impl Answers {
    fn list(self) -> Vec<Reference> {
        match self {
            Self::Each(list) => list,
            Self::Lists { text, start } => {
                let starts = start.into_iter().map(Some).chain(std::iter::repeat(None));
                text.into_iter().zip(starts).map(|(text, start)| Reference { text, start }).collect()
            }
        }
    }
}

/// A question as files have it.
#[derive(Deserialize)]
struct Asked {
    question: String,
    #[serde(default)]
    answers: Option<Answers>,
    #[serde(default)]
    is_impossible: bool,
}

impl Asked {
    /// # Errors
    /// No answers, nor a word that there are none: an answer under another name must not pass for "no answer".
    fn row(self, context: Arc<str>) -> Result<Row, String> {
        match self.answers {
            _ if self.is_impossible => Ok(Row { question: self.question, context, answers: Vec::new() }),
            Some(answers) => Ok(Row { question: self.question, context, answers: answers.list() }),
            None => Err("no 'answers' (an empty list where the text does not say)".into()),
        }
    }
}

#[derive(Deserialize)]
struct Flat {
    context: String,
    #[serde(flatten)]
    asked: Asked,
}

impl Flat {
    fn row(self) -> Result<Row, String> {
        self.asked.row(self.context.into())
    }
}

/// An entry of `data`: an article of SQuAD, or a row.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Article { paragraphs: Vec<Paragraph> },
    Flat(Flat),
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    qas: Vec<Asked>,
}

#[derive(Deserialize)]
struct Nested {
    data: Vec<Entry>,
}

/// Enough of a file to see whether it is one object with `data`.
#[derive(Deserialize)]
struct Probe {
    data: Option<IgnoredAny>,
}

impl Nested {
    fn rows(self) -> Result<Vec<Row>, String> {
        let mut out = Vec::new();
        for entry in self.data {
            match entry {
                Entry::Flat(flat) => out.push(flat.row()?),
                Entry::Article { paragraphs } => {
                    for paragraph in paragraphs {
                        let context: Arc<str> = paragraph.context.into();
                        for asked in paragraph.qas {
                            out.push(asked.row(Arc::clone(&context))?);
                        }
                    }
                }
            }
        }
        Ok(out)
    }
}

/// Reads questions with their contexts and answers (`[{text, start}]`, or lists of texts and of starts).
///
/// # Errors
/// An unreadable file, or one that holds no such rows: of lines by their number.
pub fn read(path: &Path) -> Result<Vec<Row>, UserMessage> {
    let fail = |why: String| {
        UserMessage::new(
            "The data could not be read",
            format!("'{}': {why}", path.display()),
            "It must be SQuAD's JSON, or JSON lines: {\"question\": …, \"context\": …, \"answers\": [{\"text\": …}]}",
        )
    };
    let text = lines::text(path)?;
    if serde_json::from_str::<Probe>(&text).is_ok_and(|p| p.data.is_some()) {
        return serde_json::from_str::<Nested>(&text).map_err(|e| e.to_string()).and_then(Nested::rows).map_err(fail);
    }
    if text.trim_start().starts_with('[') {
        let flat = serde_json::from_str::<Vec<Flat>>(&text).map_err(|e| fail(e.to_string()))?;
        return flat.into_iter().map(Flat::row).collect::<Result<_, _>>().map_err(fail);
    }
    let row = |(i, line): (usize, String)| {
        let row = serde_json::from_str::<Flat>(&line).map_err(|e| e.to_string()).and_then(Flat::row);
        row.map_err(|e| fail(format!("text line {}: {e}", i + 1)))
    };
    lines::read(path)?.into_iter().enumerate().map(row).collect()
}

/// What the data says against any score on it.
pub fn doubts(rows: &[Row]) -> Doubts {
    let mut out = Doubts::default();
    let n = rows.len();
    if n > 0 && rows.iter().all(|r| r.answers.is_empty()) {
        out.doubt("no question has an answer: the scores tell only how often the model says so");
    }
    let long = rows.iter().filter(|r| r.question.chars().count() > r.context.chars().count()).count();
    if long * 2 > n {
        let lines = counted(n, "row");
        out.doubt(format!("the question is longer than its context in {long} of {lines}: are the two exchanged?"));
    }
    let answers = || rows.iter().flat_map(|r| r.answers.iter().map(move |a| (a, &*r.context)));
    let all = answers().count();
    let of_all = |count: usize| format!("{count} of {}", counted(all, "answer"));
    let strange = answers().filter(|(a, context)| !context.contains(a.text.trim())).count();
    let text = format!("{} not in the context, where alone the model looks for them", of_all(strange));
    out.some(strange, all, text);
    let is_off = |(a, context): &(&Reference, &str)| {
        context.contains(a.text.trim()) && a.start.is_some_and(|start| !stands_at(context, start, &a.text))
    };
    let off = answers().filter(is_off).count();
    let text =
        format!("{} not where 'start' says (in characters, from 0 on): only the texts were compared", of_all(off));
    out.some(off, all, text);
    let empty = answers().filter(|(a, _)| a.text.trim().is_empty()).count();
    let text = format!("{} empty: write an empty list where the text does not say", of_all(empty));
    out.some(empty, all, text);
    out
}

/// Whether `text` stands `start` characters behind the beginning of `context`.
fn stands_at(context: &str, start: usize, text: &str) -> bool {
    let at = context.char_indices().map(|c| c.0).chain([context.len()]).nth(start);
    at.is_some_and(|at| context[at..].starts_with(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Vec<Row>, UserMessage> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("q.json");
        std::fs::write(&path, text).expect("file");
        read(&path)
    }

    #[test]
    fn every_layout_of_squad_is_read() {
        let nested = r#"{"version": "v2.0", "data": [{"title": "x", "paragraphs": [{"context": "Zoë met Ann.", "qas": [
            {"id": "1", "question": "Who?", "answers": [{"text": "Ann", "answer_start": 8}], "is_impossible": false},
            {"id": "2", "question": "When?", "answers": [], "plausible_answers": [{"text": "Ann", "answer_start": 8}],
             "is_impossible": true}]}]}]}"#;
        let first = r#"{"question": "Who?", "context": "Zoë met Ann.", "answers": [{"text": "Ann", "start": 8}]}"#;
        let second = r#"{"question": "When?", "context": "Zoë met Ann.", "answers": {"text": [], "answer_start": []}}"#;
        let lists =
            r#"{"question": "Who?", "context": "Zoë met Ann.", "answers": {"text": ["Ann"], "answer_start": [8]}}"#;
        for text in [
            nested.to_owned(),
            format!("{first}\n{second}\n"),
            format!("[{lists},\n {second}]"),
            format!("{{\"data\": [{lists}, {second}]}}"),
        ] {
            let rows = file(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(rows.len(), 2, "{text}");
            assert!(rows[0].question == "Who?" && &*rows[0].context == "Zoë met Ann.", "{text}");
            assert!(rows[0].answers[0].text == "Ann" && rows[0].answers[0].start == Some(8), "{text}");
            assert!(rows[1].answers.is_empty() && doubts(&rows) == Doubts::default(), "{text}");
        }
        assert_eq!(file(first).expect("one line").len(), 1);
    }

    #[test]
    fn an_answer_by_another_name_does_not_pass_for_none() {
        let error = file(r#"{"question": "Who?", "context": "Ann.", "answer": "Ann"}"#).unwrap_err();
        assert!(error.why.contains("line 1") && error.why.contains("'answers'"), "{error}");
        assert!(file("label\ttext\n").unwrap_err().next.contains("JSON"));
        assert!(file("{\"data\": [{\"paragraphs\": 7}]}").unwrap_err().why.contains("q.json"));
    }

    #[test]
    fn answers_that_cannot_be_found_are_told_of() {
        let row = |question: &str, context: &str, answers: &[(&str, Option<usize>)]| Row {
            question: question.into(),
            context: context.into(),
            answers: answers.iter().map(|(t, start)| Reference { text: (*t).into(), start: *start }).collect(),
        };
        for (row, said) in [
            (row("Who?", "Zoë met Ann.", &[("Bob", None)]), "1 of 1 answer not in the context"),
            (row("Who?", "Zoë met Ann.", &[("Ann", Some(9)), ("Ann", Some(8))]), "1 of 2 answers not where"),
            (row("Who?", "Zoë met Ann.", &[("Ann", Some(99))]), "not where"),
            (row("Who?", "Zoë met Ann.", &[("", None)]), "empty"),
            (row("Zoë met Ann.", "Who?", &[("Who", Some(0))]), "exchanged"),
            (row("Who?", "Zoë met Ann.", &[]), "no question has an answer"),
        ] {
            let doubts = doubts(std::slice::from_ref(&row));
            assert!(doubts.forbid_keeping() && doubts.iter().any(|d| d.contains(said)), "{row:?}: {doubts:?}");
        }
    }
}
