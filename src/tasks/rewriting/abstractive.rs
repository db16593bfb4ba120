//! Abstractive summaries by T5: the text in windows of whole sentences, each summarized, and what
//! came out summarized again until it is one piece.

use super::passages::{Passage, Passages, Rewriter};
use crate::models::sentencepiece::SourceToken;
use crate::nn::beam::{EarlyStopping, SearchOptions};
use crate::tasks::contract::{
    Alternative, Asked, Digest, Input, Model, Output, Partial, Phase, Reading, TaskError, Work, ended, own,
};
use crate::tasks::text::sentences::sentences;

/// What T5 was taught to be told before a text that it shall summarize.
const PREFIX: &str = "summarize:";
/// Tokens of a summary, unless another length is asked for.
const MAX_TOKENS: usize = 150;
/// Passes over what earlier passes made.
const MAX_PASSES: usize = 4;
/// Windows that one text may have: about 200,000 words.
const MAX_WINDOWS: usize = 600;

/// An encoder-decoder that summarizes.
pub struct Summarizer(pub(super) Rewriter);

/// A text on its way.
struct Summarizing {
    passages: Passages,
    search: SearchOptions,
    pass: usize,
    input_tokens: usize,
    /// Windows of the text itself.
    windows: usize,
    written: usize,
    /// Passes that may still come, as an upper bound for what remains.
    ahead: usize,
}

impl Work for Summarizing {
    fn tokens(&self) -> usize {
        self.input_tokens
    }

    fn remaining(&self) -> usize {
        // What later passes will need is not known; it is less than all that has been so far.
        self.passages.remaining() + self.ahead
    }

    fn load(&self) -> usize {
        self.passages.load().max(1)
    }

    fn failure(&mut self) -> Option<TaskError> {
        self.passages.failure.take()
    }

    fn phase(&self) -> Phase {
        if self.passages.steps == 0 && self.pass == 1 { Phase::Prefill } else { Phase::Decode }
    }
}

impl Summarizer {
    /// Windows of whole sentences; a sentence that is longer than a window is cut.
    fn windows(&self, text: &str, search: &SearchOptions) -> Result<Vec<Passage>, TaskError> {
        let prefix: Vec<u32> = self.0.tokens(PREFIX, 0)?.into_iter().map(|t| t.id).collect();
        let room = self.0.room(prefix.len());
        let mut out = Vec::new();
        let mut open: Vec<SourceToken> = Vec::new();
        let mut close = |open: &mut Vec<SourceToken>| {
            if let (Some(first), Some(last)) = (open.first(), open.last()) {
                let range = first.start..last.end;
                out.push(self.0.passage(&prefix, range, std::mem::take(open), search.clone()));
            }
        };
        for place in sentences(text) {
            let tokens = self.0.tokens(&text[place.clone()], place.start)?;
            for part in tokens.chunks(room) {
                if open.len() + part.len() > room {
                    close(&mut open);
                }
                open.extend_from_slice(part);
            }
        }
        close(&mut open);
        Ok(out)
    }

    /// After a pass: the next one over what came out, if it was more than one piece.
    fn next_pass(&self, work: &mut Summarizing) -> Result<(), TaskError> {
        if work.passages.remaining() > 0 {
            return Ok(());
        }
        work.ahead = 0;
        if work.passages.len() <= 1 || work.pass >= MAX_PASSES {
            return Ok(());
        }
        let steps = work.passages.steps;
        let done = std::mem::take(&mut work.passages).into_done();
        work.written += done.iter().map(|(_, r)| r.tokens).sum::<usize>();
        let parts: Vec<&str> = done.iter().filter_map(|(_, r)| Some(r.alternatives.first()?.text.as_str())).collect();
        let joined = parts.iter().map(|p| with_stop(p)).collect::<Vec<_>>().join(" ");
        work.passages = Passages::new(self.windows(&joined, &work.search)?, false);
        work.passages.steps = steps;
        work.pass += 1;
        if work.passages.is_empty() {
            return Err(TaskError::Input("the model wrote nothing".into()));
        }
        Ok(())
    }
}

/// A part's summary as a sentence.
fn with_stop(part: &str) -> String {
    let part = part.trim();
    if part.ends_with(['.', '!', '?']) || part.is_empty() { part.to_owned() } else { format!("{part}.") }
}

impl Model for Summarizer {
    fn bytes(&self) -> usize {
        self.0.network.bytes()
    }

    fn precision(&self) -> Option<&'static str> {
        self.0.precision()
    }

    fn prepare(&self, asked: &Asked<'_>, stop: &dyn Fn() -> bool) -> Result<Box<dyn Work>, TaskError> {
        let Input::Text(text) = asked.input else {
            return Err(TaskError::Input("a summary takes a text".into()));
        };
        if stop() {
            return Err(TaskError::Stopped);
        }
        if !self.0.is_t5() {
            let why = "this model translates; a summary in words of its own needs a T5".to_owned();
            return Err(TaskError::Languages(why));
        }
        let mut search = asked.options.search.clone();
        if search.beams == 0 {
            search.beams = 2;
        }
        if search.max_tokens == 0 {
            search.max_tokens = MAX_TOKENS;
        }
        if search.early_stopping == EarlyStopping::No {
            // As T5's own configuration asks for summaries.
            search.early_stopping = EarlyStopping::Yes;
        }
        search.max_tokens = search.max_tokens.min(self.0.network.config().positions - 1);
        let all = self.windows(text, &search)?;
        if all.is_empty() {
            return Err(TaskError::Input("the text is empty".into()));
        }
        if all.len() > MAX_WINDOWS {
            let why =
                format!("the text has {} parts of 500 tokens; at most {MAX_WINDOWS} can be summarized", all.len());
            return Err(TaskError::Prompt(why));
        }
        let windows = all.len();
        let passages = Passages::new(all, false);
        let input_tokens = passages.tokens();
        let ahead = if windows > 1 { passages.remaining() + MAX_TOKENS } else { 0 };
        Ok(Box::new(Summarizing { passages, search, pass: 1, input_tokens, windows, written: 0, ahead }))
    }

    fn step(&mut self, works: &mut [&mut dyn Work], max_tokens: usize) -> Result<(), TaskError> {
        let mut works: Vec<&mut Summarizing> =
            works.iter_mut().filter_map(|w| own::<Summarizing>(*w)).filter(|w| w.passages.remaining() > 0).collect();
        let mut all: Vec<&mut Passages> = works.iter_mut().map(|w| &mut w.passages).collect();
        self.0.step(&mut all, max_tokens)?;
        for work in works {
            if let Err(error) = self.next_pass(work) {
                work.passages.failure = Some(error);
            }
        }
        Ok(())
    }

    fn partial(&self, work: &mut dyn Work) -> Option<Partial> {
        let work = own::<Summarizing>(work)?;
        let tokens = work.passages.take_fresh();
        // Only the last pass is worth reading.
        let last = work.passages.len() == 1;
        let passages = if last { self.0.grown(&mut work.passages) } else { Vec::new() };
        Partial::of_passages(passages, tokens)
    }

    fn finish(&self, _: &Input, work: Box<dyn Work>) -> Result<Output, TaskError> {
        let work = *ended::<Summarizing>(work)?;
        let reading = Reading { tokens: work.input_tokens, windows: work.windows, ..Reading::default() };
        let done = work.passages.into_done();
        let tokens = work.written + done.iter().map(|(_, r)| r.tokens).sum::<usize>();
        let ended = done.iter().all(|(_, r)| r.ended);
        // After the last pass there is one piece; if even that did not do, all that is left, in order.
        let alternatives = match <[_; 1]>::try_from(done) {
            Ok([(_, only)]) => only.alternatives,
            Err(several) => {
                let best = several.iter().filter_map(|(_, r)| r.alternatives.first());
                let text = best.clone().map(|a| with_stop(&a.text)).collect::<Vec<_>>().join(" ");
                let score = best.clone().map(|a| a.score).sum::<f32>() / several.len().max(1) as f32;
                vec![Alternative { text, score }]
            }
        };
        Ok(Output::Digest(Digest { alternatives, reading, tokens, passes: work.pass, ended }))
    }
}
