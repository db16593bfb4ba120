//! Named entities: which stretches of a text name a person, a place, an organisation? Token
//! classification with IOB labels (Ramshaw & Marcus 1995; Tjong Kim Sang & De Meulder 2003).

use super::encoder::{EncoderModel, Windows, cut, finished, whole_letters};
use crate::models::library::ModelEntry;
use crate::models::tokenizer::Token;
use crate::nn::bert::{HeadKind, softmax};
use crate::nn::runtime::Runtime;
use crate::tasks::contract::{Asked, Entities, Entity, Input, Model, Output, Progress, Task, TaskError, Work};

/// Tokens of text in a window: attention to a few sentences, as the models were trained.
const ROOM: usize = 192;
/// Tokens that neighbouring windows share.
const OVERLAP: usize = 48;

/// What a label that goes on with nothing costs, as a logarithm. Not forbidden: some models (IOB1)
/// write the first word of an entity so, and are sure of it.
const BROKEN: f64 = 1.5;

/// The task.
pub struct EntitiesTask;

impl Task for EntitiesTask {
    fn id(&self) -> &'static str {
        "entities"
    }

    fn head(&self) -> Option<HeadKind> {
        Some(HeadKind::Tokens)
    }

    fn load(&self, entry: &ModelEntry, runtime: &Runtime, progress: Progress<'_>) -> Result<Box<dyn Model>, TaskError> {
        let model = EncoderModel::open(entry, HeadKind::Tokens, runtime, progress)?;
        let scheme = Scheme::new(&model.network.config().labels);
        Ok(Box::new(Tagger { model, scheme }))
    }
}

struct Tagger {
    model: EncoderModel,
    scheme: Scheme,
}

/// What each label means.
struct Scheme {
    kinds: Vec<String>,
    /// By label: its type, and whether it begins an entity. None for "outside".
    labels: Vec<Option<(usize, bool)>>,
}

impl Scheme {
    /// `B-PER`, `I-PER`, …, and the letters of IOBES; a bare `PER` goes on as `I-PER` would.
    fn new(names: &[String]) -> Self {
        let mut kinds: Vec<String> = Vec::new();
        let labels = names
            .iter()
            .map(|name| {
                let (mark, kind) = match name.split_once('-') {
                    Some((mark, kind)) if mark.len() == 1 => (mark, kind),
                    _ => ("I", name.as_str()),
                };
                if kind == "O" {
                    return None;
                }
                let at = kinds.iter().position(|k| k == kind).unwrap_or_else(|| {
                    kinds.push(kind.to_owned());
                    kinds.len() - 1
                });
                Some((at, matches!(mark, "B" | "S" | "U")))
            })
            .collect();
        Self { kinds, labels }
    }

    /// The likeliest sequence of labels, where going on with a type that has not begun costs
    /// [`BROKEN`] (Viterbi 1967).
    fn decode(&self, words: &[Word]) -> Vec<Option<(usize, bool)>> {
        let n = self.labels.len();
        let cost = |from: Option<(usize, bool)>, to: Option<(usize, bool)>| match (from, to) {
            (Some((a, _)), Some((b, false))) if a == b => 0.0,
            (_, Some((_, false))) => BROKEN,
            _ => 0.0,
        };
        let mut best: Vec<f64> = vec![0.0; n];
        let mut from: Vec<Vec<usize>> = Vec::with_capacity(words.len());
        for (i, word) in words.iter().enumerate() {
            let mut next = vec![0.0; n];
            let mut back = vec![0; n];
            for (l, share) in word.labels.iter().enumerate() {
                let reach = |k: usize| best[k] - cost(self.labels[k], self.labels[l]);
                let k = (0..n).reduce(|a, b| if reach(b) > reach(a) { b } else { a }).unwrap_or(0);
                let before = if i == 0 { -cost(None, self.labels[l]) } else { reach(k) };
                next[l] = before + share.max(1e-12).ln();
                back[l] = k;
            }
            best = next;
            from.push(back);
        }
        let mut at = (0..n).reduce(|a, b| if best[b] > best[a] { b } else { a }).unwrap_or(0);
        let mut out = Vec::with_capacity(words.len());
        for back in from.iter().rev() {
            out.push(self.labels[at]);
            at = back[at];
        }
        out.reverse();
        out
    }

    /// The probability of each type and of none, from those of the labels.
    fn fold(&self, shares: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.kinds.len() + 1];
        for (label, share) in self.labels.iter().zip(shares) {
            out[label.map_or(self.kinds.len(), |l| l.0)] += share;
        }
        out
    }
}

/// A word of the text: its bytes, the probability of each label and of each type.
struct Word {
    start: usize,
    end: usize,
    labels: Vec<f64>,
    shares: Vec<f64>,
}

impl Tagger {
    /// A word is labelled by its first piece, which is the one that taggers are trained on.
    fn words(&self, work: &Windows) -> Vec<Word> {
        let n = self.scheme.labels.len();
        let mut words: Vec<Word> = Vec::new();
        for (token, (window, at)) in work.tokens.iter().zip(work.owners()) {
            if let (false, Some(word)) = (token.begins_word, words.last_mut()) {
                word.end = token.end;
                continue;
            }
            let logits = &work.outputs[window][at * n..(at + 1) * n];
            let labels = softmax(logits);
            let shares = self.scheme.fold(&labels);
            words.push(Word { start: token.start, end: token.end, labels, shares });
        }
        words
    }

    fn entity(&self, text: &str, kind: usize, words: &[Word]) -> Entity {
        let range = whole_letters(text, words[0].start..words[words.len() - 1].end);
        let mean = |k: usize| words.iter().map(|w| w.shares[k]).sum::<f64>() / words.len() as f64;
        let names = self.scheme.kinds.iter().cloned().chain(["none".to_owned()]);
        Entity {
            text: text[range.clone()].to_owned(),
            kind: self.scheme.kinds[kind].clone(),
            start: range.start,
            end: range.end,
            score: mean(kind),
            by_kind: names.enumerate().map(|(k, name)| (name, mean(k))).collect(),
        }
    }
}

/// Runs of words that belong together: a type goes on until another one, a beginning or nothing.
fn spans(labels: &[Option<(usize, bool)>]) -> Vec<(usize, usize, usize)> {
    let mut out: Vec<(usize, usize, usize)> = Vec::new();
    for (i, label) in labels.iter().enumerate() {
        let Some((kind, begins)) = *label else { continue };
        match out.last_mut() {
            Some((_, end, last)) if *end == i && *last == kind && !begins => *end = i + 1,
            _ => out.push((i, i + 1, kind)),
        }
    }
    out
}

/// Token types for a tagger whose vocabulary knows no capitals: how the run of letters and digits
/// that each piece lies in is written. 0 no capital, 1 Capitalized, 2 CAPITALS, 3 one capital
/// letter alone, 4 mixEd. The same as `training/entities.py` computes.
fn cases(text: &str, tokens: &[Token]) -> Vec<u32> {
    tokens
        .iter()
        .map(|t| {
            let piece = &text[t.start..t.end];
            if piece.is_empty() || !piece.chars().all(char::is_alphanumeric) {
                return case(piece.chars());
            }
            let before = text[..t.start].chars().rev().take_while(|c| c.is_alphanumeric()).map(char::len_utf8);
            let after = text[t.end..].chars().take_while(|c| c.is_alphanumeric()).map(char::len_utf8);
            let (start, end) = (t.start - before.sum::<usize>(), t.end + after.sum::<usize>());
            case(text[start..end].chars())
        })
        .collect()
}

fn case(word: impl Iterator<Item = char>) -> u32 {
    let letters: Vec<bool> = word.filter(|c| c.is_alphabetic()).map(char::is_uppercase).collect();
    match letters.as_slice() {
        [true] => 3,
        l if !l.contains(&true) => 0,
        l if !l.contains(&false) => 2,
        [true, rest @ ..] if !rest.contains(&true) => 1,
        _ => 4,
    }
}

impl Model for Tagger {
    fn bytes(&self) -> usize {
        self.model.network.bytes()
    }

    fn prepare(&self, asked: &Asked<'_>, stop: &dyn Fn() -> bool) -> Result<Box<dyn Work>, TaskError> {
        let text = asked.input.text();
        let tokens = self.model.tokens(text, stop)?;
        let cases = if self.model.network.config().case_types { cases(text, &tokens) } else { Vec::new() };
        let windows = cut(&tokens, self.model.room().min(ROOM), OVERLAP)
            .into_iter()
            .map(|range| {
                let mut window = self.model.window(&tokens, range.clone());
                if !cases.is_empty() {
                    window.types = vec![0; window.ids.len()];
                    window.types[1..=range.len()].copy_from_slice(&cases[range]);
                }
                window
            })
            .collect();
        Ok(Box::new(self.model.windows(text, tokens, windows)))
    }

    fn step(&mut self, works: &mut [&mut dyn Work], max_tokens: usize) -> Result<(), TaskError> {
        self.model.step(works, max_tokens)
    }

    fn finish(&self, input: &Input, work: Box<dyn Work>) -> Result<Output, TaskError> {
        let work: Box<Windows> = finished(work)?;
        let words = self.words(&work);
        let labels = self.scheme.decode(&words);
        let found = spans(&labels).into_iter();
        let entities = found.map(|(a, b, kind)| self.entity(input.text(), kind, &words[a..b])).collect();
        Ok(Output::Entities(Entities {
            entities,
            kinds: self.scheme.kinds.clone(),
            reading: self.model.reading(&work),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|l| (*l).to_owned()).collect()
    }

    #[test]
    fn labels_of_every_scheme_are_understood() {
        let s = Scheme::new(&names(&["O", "B-PER", "I-PER", "B-LOC", "S-LOC", "MISC", "I-per-son"]));
        assert_eq!(s.kinds, ["PER", "LOC", "MISC", "per-son"]);
        let marks = [None, Some((0, true)), Some((0, false)), Some((1, true)), Some((1, true)), Some((2, false))];
        assert_eq!(s.labels[..6], marks);
        assert_eq!(s.fold(&[0.5, 0.1, 0.2, 0.0, 0.1, 0.1, 0.0])[..2], [0.1 + 0.2, 0.1]);
    }

    #[test]
    fn a_broken_sequence_is_mended_unless_the_model_is_sure() {
        let s = Scheme::new(&names(&["O", "B-MISC", "I-MISC", "B-ORG", "I-ORG"]));
        let word = |labels: [f64; 5]| Word { start: 0, end: 0, labels: labels.to_vec(), shares: vec![] };
        let (torn, sure) = ([0.05, 0.45, 0.0, 0.4, 0.0], [0.02, 0.0, 0.0, 0.0, 0.98]);
        assert_eq!(s.decode(&[word(torn), word(sure)]), [Some((1, true)), Some((1, false))]);
        assert_eq!(s.decode(&[word([1.0, 0.0, 0.0, 0.0, 0.0]), word(sure)]), [None, Some((1, false))]);
        assert!(s.decode(&[]).is_empty());
    }

    #[test]
    fn neighbours_of_one_type_part_where_one_begins() {
        let (b, i, other) = (Some((0, true)), Some((0, false)), Some((1, false)));
        assert_eq!(spans(&[b, i, b, i, None, i, other]), [(0, 2, 0), (2, 4, 0), (5, 6, 0), (6, 7, 1)]);
    }

    #[test]
    fn cases_are_those_of_the_whole_word() {
        let text = "McDonald U.S. NASA x2B paris Ö";
        let all: Vec<u32> = text.split(' ').map(|w| case(w.chars())).collect();
        assert_eq!(all, [4, 2, 2, 4, 0, 3]);
        let at = |start: usize, end: usize| Token { id: 0, start, end, begins_word: true };
        assert_eq!(cases(text, &[at(2, 5), at(9, 10), at(10, 11)]), [4, 3, 0]);
    }
}
