//! Structured fields from a text: named entities, what patterns find by form, and fields that are
//! questions to the question-answering model.

use super::measure::{Query, Stage, envelope};
use crate::engine::Engine;
use crate::engine::message::{Priority, Report};
use crate::engine::shapes::Letters;
use crate::error::UserMessage;
use crate::tasks::text::patterns::Patterns;
use crate::tasks::{Answers, Entities, Input, Options};
use serde_json::{Value, json};
use std::sync::Arc;

/// A field that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub name: String,
    pub question: String,
}

/// Where a field's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Question,
    Entity,
    Pattern,
    /// A person has written it.
    Person,
}

impl Source {
    /// As JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Question => "question",
            Self::Entity => "entity",
            Self::Pattern => "pattern",
            Self::Person => "person",
        }
    }
}

/// A field.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: String,
    /// `None`: the text does not say.
    pub value: Option<String>,
    /// Bytes of the text.
    pub place: Option<(usize, usize)>,
    /// Probability; 1 for what a pattern matches.
    pub score: f64,
    pub source: Source,
}

impl Wanted {
    /// `total`, or with a question of one's own: `total: How much is to be paid?`
    pub fn parse(text: &str) -> Option<Self> {
        let (name, question) = match text.split_once([':', '=']) {
            Some((name, question)) if !question.trim().is_empty() => (name.trim(), question.trim().to_owned()),
            _ => {
                let name = text.trim().trim_end_matches([':', '=']).trim_end();
                (name, default_question(name))
            }
        };
        (!name.is_empty()).then(|| Self { name: name.to_owned(), question })
    }
}

/// What one would ask for a field of this name.
fn default_question(name: &str) -> String {
    let lower = name.to_lowercase();
    let last = lower.split_whitespace().next_back().unwrap_or("");
    const PEOPLE: [&str; 16] = [
        "supplier",
        "customer",
        "author",
        "buyer",
        "seller",
        "sender",
        "recipient",
        "manager",
        "contact",
        "client",
        "employer",
        "employee",
        "president",
        "director",
        "winner",
        "owner",
    ];
    if lower.ends_with('?') {
        return name.to_owned();
    }
    let word = if PEOPLE.contains(&last) { "Who" } else { "What" };
    format!("{word} is the {lower}?")
}

/// The questions of the wanted fields, all about one text.
pub fn questions(text: &Arc<str>, wanted: &[Wanted]) -> Vec<Input> {
    let ask = |w: &Wanted| Input::Question { question: w.question.clone(), context: Arc::clone(text) };
    wanted.iter().map(ask).collect()
}

/// All fields: those asked for first, in their order, then what is found, in the order of the text.
/// An entity inside what a pattern matches is a part of it, not a field.
pub fn merge(
    text: &str,
    wanted: &[Wanted],
    answers: &[Option<Answers>],
    entities: Option<&Entities>,
    patterns: &Patterns,
) -> Vec<Field> {
    let mut fields: Vec<Field> = wanted
        .iter()
        .zip(answers)
        .map(|(w, answers)| {
            let place = answers.as_ref().and_then(|a| a.answer());
            Field {
                name: w.name.clone(),
                value: place.map(|p| p.text.clone()),
                place: place.map(|p| (p.start, p.end)),
                score: place.map_or_else(|| answers.as_ref().map_or(0.0, |a| a.no_answer), |p| p.score),
                source: Source::Question,
            }
        })
        .collect();
    let forms = patterns.find(text);
    let inside = |a: usize, b: usize| {
        let before = forms.partition_point(|m| m.range.start < b);
        before > 0 && forms[before - 1].range.end > a
    };
    let mut found: Vec<Field> = forms
        .iter()
        .map(|m| Field {
            name: m.kind.to_owned(),
            value: Some(text[m.range.clone()].to_owned()),
            place: Some((m.range.start, m.range.end)),
            score: 1.0,
            source: Source::Pattern,
        })
        .collect();
    let named = entities.into_iter().flat_map(|e| &e.entities).filter(|e| !inside(e.start, e.end));
    found.extend(named.map(|e| Field {
        name: e.kind.clone(),
        value: Some(e.text.clone()),
        place: Some((e.start, e.end)),
        score: e.score,
        source: Source::Entity,
    }));
    found.sort_by_key(|f| f.place);
    fields.extend(found);
    fields
}

/// The fields as JSON; offsets in Unicode scalar values.
pub fn fields_json(fields: &[Field], text: &str) -> Value {
    let letters = Letters::new(text, fields.iter().filter_map(|f| f.place).flat_map(|(a, b)| [a, b]).collect());
    let row = |f: &Field| {
        json!({
            "name": f.name,
            "value": f.value,
            "start": f.place.map(|p| letters.before(p.0)),
            "end": f.place.map(|p| letters.before(p.1)),
            "score": f.score,
            "source": f.source.name(),
        })
    };
    json!({ "fields": fields.iter().map(row).collect::<Vec<_>>() })
}

/// The fields of a text in the envelope of every answer: times and tokens of the requests behind them
/// added up.
pub fn record(id: u64, text: &str, fields: &[Field], reports: &[Report]) -> Value {
    let stages: [Stage; 5] = [
        ("queue", |t| t.queue),
        ("load", |t| t.load),
        ("tokenize", |t| t.tokenize),
        ("forward", |t| t.forward),
        ("postprocess", |t| t.postprocess),
    ];
    envelope((id, "extract", text), fields_json(fields, text), &stages, reports)
}

/// Fields of one text, with the reports of the requests behind them.
///
/// # Errors
/// The message with which a request failed.
pub fn extract(
    engine: &Engine,
    text: &str,
    wanted: &[Wanted],
    patterns: &Patterns,
) -> Result<(Vec<Field>, Vec<Report>), UserMessage> {
    let options = Options::default();
    let query = |task| Query { task, model: None, options: &options };
    let (named, report) = query("entities").ask(engine, text.into())?;
    let mut reports = vec![report];
    let mut answers = Vec::new();
    if !wanted.is_empty() {
        let inputs = questions(&text.into(), wanted);
        let (outputs, report) = query("qa").ask_all(engine, inputs, Priority::Batch, |_, _| {})?;
        for output in outputs {
            answers.push(output?.answers().cloned());
        }
        reports.push(report);
    }
    Ok((merge(text, wanted, &answers, named.entities(), patterns), reports))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::{Entity, Reading};

    #[test]
    fn a_field_is_a_question() {
        let w = Wanted::parse("Supplier").expect("field");
        assert_eq!((w.name.as_str(), w.question.as_str()), ("Supplier", "Who is the supplier?"));
        assert_eq!(Wanted::parse("total: How much is due?").expect("field").question, "How much is due?");
        assert_eq!(Wanted::parse("due date").expect("field").question, "What is the due date?");
        assert!(Wanted::parse(" : ").is_none());
    }

    #[test]
    fn entities_inside_a_pattern_are_no_fields() {
        let text = "Mail ada@lovelace.org, Ada.";
        let entity = |start: usize, end: usize| Entity {
            text: text[start..end].into(),
            kind: "PER".into(),
            start,
            end,
            score: 0.9,
            by_kind: vec![],
        };
        let entities =
            Entities { entities: vec![entity(5, 8), entity(23, 26)], kinds: vec![], reading: Reading::default() };
        let wanted = [Wanted::parse("total").expect("field")];
        let fields = merge(text, &wanted, &[None], Some(&entities), &Patterns::new());
        let rows: Vec<_> = fields.iter().map(|f| (f.name.as_str(), f.value.as_deref(), f.source)).collect();
        assert_eq!(
            rows,
            [
                ("total", None, Source::Question),
                ("email", Some("ada@lovelace.org"), Source::Pattern),
                ("PER", Some("Ada"), Source::Entity)
            ]
        );
        assert_eq!(fields_json(&fields, text)["fields"][1]["end"], 21);
    }
}
