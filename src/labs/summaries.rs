//! Summaries by a chat model: a long text in parts, and what came out once more. And which
//! sentences of a source a summary's sentences are nearest to.

use super::measure::{Query, Stage, envelope};
use crate::engine::Engine;
use crate::engine::message::{ClientId, Priority, Report, Request};
use crate::error::UserMessage;
use crate::tasks::reading::vectors::cosine;
use crate::tasks::text::sentences::sentences;
use crate::tasks::{Input, Message, Options, Sampling, WritingOptions};
use std::ops::Range;

/// Words that are summarized at once: what a small model still follows.
const PART_WORDS: usize = 450;
/// Parts that one text may have.
const MAX_PARTS: usize = 60;
/// Tokens that a sentence of a summary may have.
const SENTENCE_TOKENS: usize = 50;

/// What a chat model is asked.
pub fn prompt(text: &str, sentences: usize) -> Input {
    let how = if sentences == 1 { "one sentence".to_owned() } else { format!("{sentences} sentences") };
    Input::Chat(vec![Message::user(format!("Summarize the following text in {how}.\n\n{text}"))])
}

/// How a chat model is asked: always the likeliest words.
pub fn options(sentences: usize) -> Options {
    let written = WritingOptions {
        sampling: Sampling { temperature: 0.0, repetition_penalty: 1.1, ..Sampling::default() },
        max_tokens: SENTENCE_TOKENS * sentences.max(1) + 30,
        ..WritingOptions::default()
    };
    written.into()
}

/// A summary by a chat model on its way: ask for [`Self::request`], give the answer to
/// [`Self::take`], until [`Self::summary`] is there.
#[derive(Clone, Debug)]
pub struct ChatSummary {
    parts: Vec<String>,
    answers: Vec<String>,
    sentences: usize,
    /// Parts of the text itself.
    pub windows: usize,
    pub passes: usize,
}

impl ChatSummary {
    /// Of `text`, in about so many sentences.
    ///
    /// # Errors
    /// A text without a word, or one too long to be read in parts.
    pub fn new(text: &str, sentences: usize) -> Result<Self, UserMessage> {
        let parts = cut(text);
        if parts.is_empty() {
            return Err(UserMessage::new(
                "There is nothing to summarize",
                "the text is empty",
                "Type or paste a text.",
            ));
        }
        if parts.len() > MAX_PARTS {
            let why = format!("the text has {} parts of {PART_WORDS} words; at most {MAX_PARTS} are read", parts.len());
            return Err(UserMessage::new("The text is too long for the chat model", why, "Use the extractive method."));
        }
        let windows = parts.len();
        Ok(Self { parts, answers: Vec::new(), sentences, windows, passes: 1 })
    }

    /// The next question, or `None` when there is a summary.
    pub fn request(&self, model: Option<&str>) -> Option<Request> {
        let part = self.parts.get(self.answers.len())?;
        // Of each part a little; of the whole what was asked for.
        let sentences = if self.parts.len() > 1 { 2 } else { self.sentences };
        Some(Request {
            task: "chat",
            model: model.map(str::to_owned),
            inputs: vec![prompt(part, sentences)],
            options: options(sentences),
            priority: Priority::Interactive,
            client: ClientId::default(),
        })
    }

    /// Takes the answer to the last question.
    pub fn take(&mut self, answer: &str) {
        self.answers.push(answer.trim().to_owned());
        if self.answers.len() < self.parts.len() || self.parts.len() == 1 {
            return;
        }
        let parts = cut(&self.answers.join(" "));
        // A model that does not shorten is not asked for ever.
        if parts.len() < self.parts.len() {
            self.passes += 1;
            self.answers.clear();
            self.parts = parts;
        }
    }

    /// The summary, when it is there.
    pub fn summary(&self) -> Option<String> {
        (self.answers.len() >= self.parts.len()).then(|| self.answers.join(" "))
    }

    /// Answers there are, of how many that this pass needs.
    pub fn progress(&self) -> (usize, usize) {
        (self.answers.len(), self.parts.len())
    }
}

/// Parts of whole sentences; a sentence longer than a part is cut between words.
fn cut(text: &str) -> Vec<String> {
    let mut out: Vec<Vec<&str>> = Vec::new();
    for range in sentences(text) {
        let words: Vec<&str> = text[range].split_whitespace().collect();
        for piece in words.chunks(PART_WORDS) {
            match out.last_mut() {
                Some(open) if open.len() + piece.len() <= PART_WORDS => open.extend(piece),
                _ => out.push(piece.to_vec()),
            }
        }
    }
    out.into_iter().map(|words| words.join(" ")).collect()
}

/// Summarizes with a chat model and waits for it.
///
/// # Errors
/// As for [`ChatSummary::new`], or the message with which a request failed.
pub fn by_chat(
    engine: &Engine,
    model: Option<&str>,
    text: &str,
    sentences: usize,
) -> Result<(String, Vec<Report>), UserMessage> {
    let mut summary = ChatSummary::new(text, sentences)?;
    let mut reports = Vec::new();
    while let Some(request) = summary.request(model) {
        let query = Query { task: "chat", model, options: &request.options };
        let input = request.inputs.into_iter().next().unwrap_or_else(|| "".into());
        let (output, report) = query.ask(engine, input)?;
        summary.take(output.text().map_or("", |g| &g.text));
        reports.push(report);
    }
    Ok((summary.summary().unwrap_or_default(), reports))
}

/// The summary of one text as JSON, in the envelope of the other tasks.
pub fn record(id: u64, input: &str, text: &str, reports: &[Report]) -> serde_json::Value {
    let stages: [Stage; 4] =
        [("queue", |t| t.queue), ("tokenize", |t| t.tokenize), ("prefill", |t| t.prefill), ("decode", |t| t.decode)];
    let output = serde_json::json!({ "text": text, "alternatives": [], "requests": reports.len() });
    envelope((id, "summarize", input), output, &stages, reports)
}

/// For each sentence of a summary, the sentences of the source that it is nearest to: index of the
/// source's sentence and cosine, best first, at most two and none far behind the best.
pub fn nearest(summary: &[Vec<f32>], source: &[Vec<f32>]) -> Vec<Vec<(usize, f32)>> {
    summary
        .iter()
        .map(|vector| {
            let mut all: Vec<(usize, f32)> = source.iter().map(|s| cosine(vector, s)).enumerate().collect();
            all.sort_by(|a, b| b.1.total_cmp(&a.1));
            let best = all.first().map_or(0.0, |b| b.1);
            all.into_iter().take(2).filter(|(_, c)| *c >= 0.3 && *c > best - 0.1).collect()
        })
        .collect()
}

/// Sentences of `text` as inputs for `embed`, and their places.
pub fn sentence_inputs(text: &str) -> (Vec<Range<usize>>, Vec<Input>) {
    let places: Vec<Range<usize>> =
        sentences(text).into_iter().filter(|r| text[r.clone()].chars().any(char::is_alphanumeric)).collect();
    let inputs = places.iter().map(|r| Input::Text(text[r.clone()].to_owned())).collect();
    (places, inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_asked_for_in_parts_and_then_once_more() {
        let text = "One two three four five six seven eight nine ten. ".repeat(100);
        let mut summary = ChatSummary::new(&text, 2).expect("summary");
        let (_, parts) = summary.progress();
        assert_eq!((parts, summary.windows), (3, 3));
        for i in 0..parts {
            assert!(summary.summary().is_none() && summary.request(None).is_some());
            summary.take(&format!("Part {i} was about numbers."));
        }
        assert_eq!((summary.progress(), summary.passes), ((0, 1), 2));
        summary.take("It is about numbers.");
        assert!(summary.request(None).is_none());
        assert_eq!(summary.summary().as_deref(), Some("It is about numbers."));
        assert!(ChatSummary::new(" \n", 2).is_err());
    }

    #[test]
    fn nearest_sentences_come_best_first_and_far_ones_not_at_all() {
        let source = vec![vec![1.0, 0.0], vec![0.8, 0.6], vec![0.0, 1.0]];
        let found = nearest(&[vec![0.95, 0.3122]], &source);
        assert_eq!(found[0].iter().map(|f| f.0).collect::<Vec<_>>(), [0, 1]);
        assert!(nearest(&[vec![-1.0, 0.0]], &source)[0].is_empty());
    }
}
