//! Questions about a text: extractive question answering (Rajpurkar et al. 2016; with "no answer"
//! 2018). The model gives each token a probability of beginning and of ending the answer.

use super::encoder::{EncoderModel, Window, Windows, cut, finished, whole_letters};
use crate::models::library::ModelEntry;
use crate::models::tokenizer::Token;
use crate::nn::bert::{HeadKind, softmax};
use crate::nn::runtime::Runtime;
use crate::tasks::contract::{Answers, Asked, Input, Model, Output, Place, Progress, Task, TaskError, Work};
use std::ops::Range;

/// Tokens in a window, question included; SQuAD's models are trained at this length.
const WIDTH: usize = 384;
/// Tokens that neighbouring windows share: of a text of a few windows, and of a long document.
const OVERLAP: [usize; 2] = [128, 64];
/// Windows from which a text counts as long.
const LONG: usize = 8;
/// Longest answer, in tokens.
const MAX_ANSWER: usize = 30;
/// Likeliest beginnings and ends of a window that are paired.
const PAIRED: usize = 20;
/// Places that an answer lists.
const LISTED: usize = 5;

/// The task.
pub struct Questions;

impl Task for Questions {
    fn id(&self) -> &'static str {
        "qa"
    }

    fn head(&self) -> Option<HeadKind> {
        Some(HeadKind::Spans)
    }

    fn load(&self, entry: &ModelEntry, runtime: &Runtime, progress: Progress<'_>) -> Result<Box<dyn Model>, TaskError> {
        Ok(Box::new(Reader(EncoderModel::open(entry, HeadKind::Spans, runtime, progress)?)))
    }
}

struct Reader(EncoderModel);

/// A candidate: its tokens, the logarithm of its probability, and what it is ranked by.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    score: f64,
    rank: f64,
}

impl Reader {
    /// `[CLS] question [SEP] part of the text [SEP]`
    fn window(&self, question: &[Token], tokens: &[Token], range: Range<usize>) -> Window {
        let t = &self.0.tokenizer;
        let mut ids = vec![t.cls];
        ids.extend(question.iter().map(|q| q.id));
        ids.extend(std::iter::repeat_n(t.sep, t.between));
        let head = ids.len();
        ids.extend(tokens[range.clone()].iter().map(|t| t.id));
        ids.push(t.sep);
        let mut types = Vec::new();
        if self.0.network.config().types > 1 {
            types = vec![0; ids.len()];
            types[head..].fill(1);
        }
        Window { ids, types, range, head }
    }

    /// The best spans of window `w`, and the logarithm of the probability that it has none. Only
    /// spans that begin where this window is their token's best are listed.
    fn spans(&self, work: &Windows, owners: &[(usize, usize)], w: usize) -> (Vec<Span>, f64) {
        let (window, output) = (&work.windows[w], &work.outputs[w]);
        let column = |c: usize| -> Vec<f64> {
            let logits: Vec<f32> = output.iter().skip(c).step_by(2).copied().collect();
            softmax(&logits).into_iter().map(f64::ln).collect()
        };
        let (starts, ends) = (column(0), column(1));
        let penalty = f64::from(self.0.network.config().answer_length_penalty);
        let best = |scores: &[f64]| {
            let mut order: Vec<usize> = (window.head..window.head + window.range.len()).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            order.truncate(PAIRED);
            order
        };
        let token = |at: usize| window.range.start + at - window.head;
        let mut found = Vec::new();
        let last = best(&ends);
        for start in best(&starts).into_iter().filter(|&s| owners[token(s)].0 == w) {
            for &end in last.iter().filter(|e| (start..start + MAX_ANSWER).contains(e)) {
                let score = starts[start] + ends[end];
                let rank = score - penalty * (end - start) as f64;
                found.push(Span { start: token(start), end: token(end), score, rank });
            }
        }
        (found, starts[0] + ends[0])
    }
}

/// The best spans, none overlapping a better one.
fn distinct(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by(|a, b| b.rank.total_cmp(&a.rank));
    let mut kept: Vec<Span> = Vec::new();
    for span in spans {
        if kept.iter().all(|k| span.end < k.start || span.start > k.end) {
            kept.push(span);
        }
        if kept.len() == LISTED {
            break;
        }
    }
    kept
}

impl Model for Reader {
    fn bytes(&self) -> usize {
        self.0.network.bytes()
    }

    fn prepare(&self, asked: &Asked<'_>, stop: &dyn Fn() -> bool) -> Result<Box<dyn Work>, TaskError> {
        let Input::Question { question, context } = asked.input else {
            return Err(TaskError::Input("a question needs a text to look in".into()));
        };
        if question.trim().is_empty() {
            return Err(TaskError::Input("the question is empty".into()));
        }
        let question = self.0.tokens(question, stop)?;
        let tokens = self.0.tokens(context, stop)?;
        let width = WIDTH.min(self.0.room() + 2);
        let marks = 2 + self.0.tokenizer.between;
        let limit = width.saturating_sub(marks) / 2;
        if question.len() > limit {
            let why = format!("the question has {} tokens; this model reads at most {limit} of one", question.len());
            return Err(TaskError::Prompt(why));
        }
        let room = width - marks - question.len();
        let overlap = if tokens.len() > LONG * room { OVERLAP[1] } else { OVERLAP[0] };
        let windows =
            cut(&tokens, room, overlap).into_iter().map(|range| self.window(&question, &tokens, range)).collect();
        Ok(Box::new(self.0.windows(context, tokens, windows)))
    }

    fn step(&mut self, works: &mut [&mut dyn Work], max_tokens: usize) -> Result<(), TaskError> {
        self.0.step(works, max_tokens)
    }

    fn finish(&self, input: &Input, work: Box<dyn Work>) -> Result<Output, TaskError> {
        let work: Box<Windows> = finished(work)?;
        let owners = work.owners();
        let (mut spans, mut none) = (Vec::new(), 0f64);
        for w in 0..work.windows.len() {
            let (found, here) = self.spans(&work, &owners, w);
            spans.extend(distinct(found));
            // The text does not say if no window does: the one that doubts it most decides.
            none = none.min(here);
        }
        let context = input.context();
        let places: Vec<Place> = distinct(spans)
            .into_iter()
            .map(|s| {
                let range = whole_letters(context, work.tokens[s.start].start..work.tokens[s.end].end);
                let text = context[range.clone()].to_owned();
                Place { text, start: range.start, end: range.end, score: s.score.exp() }
            })
            .collect();
        let bias = f64::from(self.0.network.config().no_answer_bias);
        let answered = places.first().is_some_and(|p| p.score.ln() >= none + bias);
        let reading = self.0.reading(&work);
        Ok(Output::Answers(Answers { places, no_answer: none.exp(), answered, reading }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_places_do_not_overlap() {
        let span = |start, end, rank| Span { start, end, score: rank, rank };
        let kept = distinct(vec![span(3, 5, -1.0), span(4, 4, -0.5), span(9, 9, -2.0), span(0, 3, -3.0)]);
        assert_eq!(kept.iter().map(|s| (s.start, s.end)).collect::<Vec<_>>(), [(4, 4), (9, 9), (0, 3)]);
    }
}
