//! The `output` of a record, by the answer's shape. Offsets count Unicode scalar values (what most
//! languages call characters), ends exclusive.

use crate::tasks::{Alternative, Answers, Digest, Entities, Generated, Output, Place, Scores, Summary, Translated};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// `output` as JSON; `text` is what its offsets point into.
pub fn json_of(output: &Output, text: &str) -> Value {
    match output {
        Output::Scores(s) => scores_json(s),
        Output::Entities(e) => entities_json(e, text),
        Output::Answers(a) => answers_json(a, text),
        Output::Vector(e) => json!({ "vector": e.vector }),
        Output::Summary(s) => summary_json(s, text),
        Output::Text(g) => text_json(g),
        Output::Translation(t) => translation_json(t, text),
        Output::Digest(d) => digest_json(d),
    }
}

/// Byte offsets of a text as counts of Unicode scalar values.
pub struct Letters(BTreeMap<usize, usize>);

impl Letters {
    /// Counts up to each of `offsets`, in one pass over the text.
    pub fn new(text: &str, mut offsets: Vec<usize>) -> Self {
        offsets.sort_unstable();
        let (mut byte, mut count) = (0, 0);
        let counted = offsets.into_iter().map(|at| {
            let at = text.floor_char_boundary(at);
            count += text[byte..at].chars().count();
            byte = at;
            (at, count)
        });
        Self(counted.collect())
    }

    /// The count before byte `offset`.
    pub fn before(&self, offset: usize) -> usize {
        self.0.get(&offset).copied().unwrap_or(0)
    }
}

/// Entities as rows of text, type, place and probability.
pub fn entities_json(found: &Entities, text: &str) -> Value {
    let letters = Letters::new(text, found.entities.iter().flat_map(|e| [e.start, e.end]).collect());
    let row = |e: &crate::tasks::Entity| {
        json!({
            "text": e.text,
            "type": e.kind,
            "start": letters.before(e.start),
            "end": letters.before(e.end),
            "score": e.score,
        })
    };
    found.entities.iter().map(row).collect()
}

fn answers_json(found: &Answers, text: &str) -> Value {
    let letters = Letters::new(text, found.places.iter().flat_map(|p| [p.start, p.end]).collect());
    let place = |p: &Place| {
        json!({
            "answer": p.text,
            "start": letters.before(p.start),
            "end": letters.before(p.end),
            "score": p.score,
        })
    };
    let answer = found.answer();
    let mut json = match answer {
        Some(best) => place(best),
        None => json!({ "answer": "", "start": null, "end": null, "score": found.no_answer }),
    };
    json["no_answer_score"] = json!(found.no_answer);
    json["alternatives"] = found.places.iter().skip(usize::from(answer.is_some())).map(place).collect();
    json
}

fn summary_json(summary: &Summary, text: &str) -> Value {
    let letters = Letters::new(text, summary.chosen.iter().flat_map(|c| [c.start, c.end]).collect());
    let sentence = |c: &crate::tasks::Chosen| {
        json!({
            "text": c.text,
            "start": letters.before(c.start),
            "end": letters.before(c.end),
            "score": c.score,
            "rank": c.rank,
        })
    };
    json!({ "summary": summary.text, "sentences": summary.chosen.iter().map(sentence).collect::<Vec<_>>() })
}

/// A translation; of several sentences each by itself too. The alternatives and the alignment of a
/// single sentence stand at the top.
fn translation_json(t: &Translated, text: &str) -> Value {
    let links = || t.sentences.iter().flat_map(|s| s.rewritten.links.iter().map(move |l| (s, l)));
    let source = Letters::new(
        text,
        links()
            .flat_map(|(_, l)| [l.source.start, l.source.end])
            .chain(t.sentences.iter().flat_map(|s| [s.source.start, s.source.end]))
            .collect(),
    );
    let target = Letters::new(
        &t.text,
        links()
            .flat_map(|(s, l)| [s.target.start + l.target.start, s.target.start + l.target.end])
            .chain(t.sentences.iter().flat_map(|s| [s.target.start, s.target.end]))
            .collect(),
    );
    let alignment: Vec<Value> = links()
        .map(|(s, l)| {
            let at = s.target.start;
            json!({
                "source": [source.before(l.source.start), source.before(l.source.end)],
                "target": [target.before(at + l.target.start), target.before(at + l.target.end)],
                "weight": (f64::from(l.weight) * 1e4).round() / 1e4,
            })
        })
        .collect();
    let several = t.sentences.len() > 1;
    let others = t.sentences.first().filter(|_| !several).map(|s| alternatives_json(&s.rewritten.alternatives));
    let mut json = json!({
        "text": t.text,
        "score": t.score(),
        "alternatives": others.unwrap_or_else(|| json!([])),
        "alignment": alignment,
    });
    if several {
        let sentence = |s: &crate::tasks::Sentence| {
            json!({
                "source": [source.before(s.source.start), source.before(s.source.end)],
                "target": [target.before(s.target.start), target.before(s.target.end)],
                "text": s.rewritten.alternatives.first().map_or("", |a| &a.text),
                "score": s.rewritten.alternatives.first().map(|a| a.score),
                "alternatives": alternatives_json(&s.rewritten.alternatives),
            })
        };
        json["sentences"] = t.sentences.iter().map(sentence).collect();
    }
    json
}

/// All but the best.
fn alternatives_json(all: &[Alternative]) -> Value {
    all.iter().skip(1).map(|a| json!({ "text": a.text, "score": a.score })).collect()
}

fn digest_json(d: &Digest) -> Value {
    json!({
        "text": d.text(),
        "score": d.alternatives.first().map(|a| a.score),
        "alternatives": alternatives_json(&d.alternatives),
        "passes": d.passes,
    })
}

fn text_json(g: &Generated) -> Value {
    let mut json = json!({
        "text": g.text,
        "token_ids": g.token_ids,
        "finish_reason": g.finish_reason,
        "seed": g.seed,
    });
    if g.steps.iter().any(|s| !s.top.is_empty()) {
        json["steps"] = json!(g.steps);
    }
    json
}

fn scores_json(scores: &Scores) -> Value {
    let map: Map<String, Value> = scores.scores.iter().map(|(label, p)| (label.clone(), json!(p))).collect();
    json!({ "label": scores.top().0, "scores": map, "kind": scores.kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_count_letters() {
        let text = "é😀x";
        let letters = Letters::new(text, vec![6, 0, 7, 2]);
        assert_eq!([0, 2, 6, 7].map(|b| letters.before(b)), [0, 1, 2, 3]);
    }
}
