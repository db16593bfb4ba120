//! What the tasks on encoders share: a model with its tokenizer, texts cut into windows, the step.

use crate::models::blocks::{Layered, prepare};
use crate::models::library::ModelEntry;
use crate::models::tokenizer::{TextTokenizer, Token};
use crate::models::weights::Weights;
use crate::nn::NnError;
use crate::nn::bert::config::Config;
use crate::nn::bert::{Encoder, HeadKind, Sequence};
use crate::nn::runtime::Runtime;
use crate::tasks::contract::{Need, Piece, Progress, Reading, TaskError, Work, ended, own};
use std::ops::Range;
use unicode_segmentation::GraphemeCursor;

/// Tokens that a result shows one by one; of longer texts the first so many.
const MAX_PIECES: usize = 512;

/// An encoder with a head, and its tokenizer.
pub struct EncoderModel {
    pub tokenizer: TextTokenizer,
    pub network: Encoder,
}

/// How much of a text a model knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known {
    #[default]
    All,
    /// At least as many words or signs are unknown as known.
    Half,
    /// No word of it.
    Nothing,
}

impl Known {
    /// What the reader of an answer should know of it.
    pub fn note(self) -> Option<String> {
        let note = match self {
            Self::All => return None,
            Self::Half => {
                "the model does not know half of these words and signs or more: its answer says little about the text"
            }
            Self::Nothing => "the model knows none of these words and signs: an answer says nothing about the text",
        };
        Some(note.to_owned())
    }
}

/// A part of a text with its special tokens, as it goes through the network.
pub struct Window {
    pub ids: Vec<u32>,
    /// Token types, or empty for all zero.
    pub types: Vec<u32>,
    /// The tokens of the text that are in it.
    pub range: Range<usize>,
    /// Where the first of them stands in `ids`.
    pub head: usize,
}

/// A text on its way through an encoder.
pub struct Windows {
    pub tokens: Vec<Token>,
    pub windows: Vec<Window>,
    /// How much of the text the model knows.
    pub known: Known,
    /// Of the windows that are done, in order: what the head gave.
    pub outputs: Vec<Vec<f32>>,
}

impl Windows {
    /// Windows that wait for their step.
    pub fn new(tokens: Vec<Token>, windows: Vec<Window>) -> Self {
        Self { tokens, windows, known: Known::All, outputs: Vec::new() }
    }

    /// The window in which each token has most context on its shorter side, and where the token
    /// stands in it. An edge of the text counts as any amount of context.
    pub fn owners(&self) -> Vec<(usize, usize)> {
        let last = self.tokens.len();
        let mut best: Vec<(usize, usize)> = vec![(usize::MAX, 0); last];
        let mut context = vec![0; last];
        for (w, window) in self.windows.iter().enumerate() {
            let Range { start, end } = window.range;
            for t in start..end {
                let before = if start == 0 { usize::MAX } else { t - start + 1 };
                let after = if end == last { usize::MAX } else { end - t };
                if before.min(after) > context[t] {
                    context[t] = before.min(after);
                    best[t] = (w, window.head + t - start);
                }
            }
        }
        best
    }
}

impl Work for Windows {
    fn tokens(&self) -> usize {
        self.windows.iter().map(|w| w.ids.len()).sum()
    }

    fn remaining(&self) -> usize {
        self.windows[self.outputs.len()..].iter().map(|w| w.ids.len()).sum()
    }
}

impl EncoderModel {
    /// Opens tokenizer, configuration and weights of `entry`.
    ///
    /// # Errors
    /// What is wrong with the files, or [`TaskError::Stopped`].
    pub fn open(
        entry: &ModelEntry,
        kind: HeadKind,
        runtime: &Runtime,
        progress: Progress<'_>,
    ) -> Result<Self, TaskError> {
        let here = |source: NnError| TaskError::checkpoint(entry, Need::Encoder(kind), source);
        let config = Config::from_json(&entry.read_config()?).map_err(here)?;
        let tokenizer = TextTokenizer::open(&entry.tokenizer)?;
        let weights = Weights::open(&entry.weights)?;
        let blocks = prepare(entry, &weights, runtime.kept(), progress)?;
        let weights = Layered { blocks, below: &weights };
        let mut report = |share: f32| if progress(share) { Err(NnError::Stopped) } else { Ok(()) };
        let network = Encoder::load(config, kind, &weights, runtime.target(), &mut report).map_err(here)?;
        Ok(Self { tokenizer, network })
    }

    /// How much of a text the model knows; `tokens` are those of `text`.
    pub fn known(&self, text: &str, tokens: &[Token]) -> Known {
        let is_unknown = |t: &&Token| Some(t.id) == self.tokenizer.unknown;
        let is_word = |t: &&Token| text.get(t.start..t.end).is_some_and(|w| w.contains(char::is_alphanumeric));
        let unknown = tokens.iter().filter(is_unknown).count();
        let words = tokens.iter().filter(|t| !is_unknown(t) && is_word(t)).count();
        match unknown {
            0 => Known::All,
            _ if words == 0 => Known::Nothing,
            many if many >= words => Known::Half,
            _ => Known::All,
        }
    }

    /// The tokens of a text that must have some.
    ///
    /// # Errors
    /// [`TaskError::Input`] for a text without visible characters, [`TaskError::Stopped`].
    pub fn tokens(&self, text: &str, stop: &dyn Fn() -> bool) -> Result<Vec<Token>, TaskError> {
        if text.trim().is_empty() {
            return Err(TaskError::Input("the text is empty".into()));
        }
        let tokens = self.tokenizer.encode(text, stop).map_err(TaskError::Tokenizer)?.ok_or(TaskError::Stopped)?;
        if tokens.is_empty() {
            return Err(TaskError::Input("the text has no visible characters".into()));
        }
        Ok(tokens)
    }

    /// Tokens of text that fit between the special tokens of one window.
    pub fn room(&self) -> usize {
        self.network.config().positions.saturating_sub(2).max(1)
    }

    /// `range` of `tokens` between the special tokens.
    pub fn window(&self, tokens: &[Token], range: Range<usize>) -> Window {
        let mut ids = vec![self.tokenizer.cls];
        ids.extend(tokens[range.clone()].iter().map(|t| t.id));
        ids.push(self.tokenizer.sep);
        Window { ids, types: Vec::new(), range, head: 1 }
    }

    /// `tokens` of `text` in these windows.
    pub fn windows(&self, text: &str, tokens: Vec<Token>, windows: Vec<Window>) -> Windows {
        let known = self.known(text, &tokens);
        Windows { known, ..Windows::new(tokens, windows) }
    }

    /// What has been read of finished work.
    pub fn reading(&self, work: &Windows) -> Reading {
        let piece = |t: &Token| Piece { text: self.tokenizer.name(t.id), id: t.id, start: t.start, end: t.end };
        Reading {
            tokens: work.tokens(),
            pieces: work.tokens.iter().take(MAX_PIECES).map(piece).collect(),
            windows: work.windows.len(),
            notes: work.known.note().into_iter().collect(),
        }
    }

    /// One forward step over what is left of `works`, at most about `max_tokens`.
    ///
    /// # Errors
    /// An error of the device.
    pub fn step(&self, works: &mut [&mut dyn Work], max_tokens: usize) -> Result<(), TaskError> {
        let mut works: Vec<&mut Windows> = works.iter_mut().filter_map(|w| own(*w)).collect();
        let mut batch = Vec::new();
        let mut owners = Vec::new();
        let mut used = 0;
        for (owner, work) in works.iter().enumerate() {
            for window in &work.windows[work.outputs.len()..] {
                if used > 0 && used + window.ids.len() > max_tokens {
                    break;
                }
                used += window.ids.len();
                batch.push(Sequence { ids: &window.ids, types: &window.types });
                owners.push(owner);
            }
        }
        let outputs = self.network.outputs(&batch)?;
        for (owner, row) in owners.into_iter().zip(outputs) {
            works[owner].outputs.push(row);
        }
        Ok(())
    }
}

/// Finished work on an encoder as what it is: windows, or something that has them. All numbers are usable.
///
/// # Errors
/// [`TaskError::NotANumber`].
pub fn finished<W: Work + AsRef<Windows>>(work: Box<dyn Work>) -> Result<Box<W>, TaskError> {
    let work = ended::<W>(work)?;
    if (*work).as_ref().outputs.iter().flatten().any(|x| !x.is_finite()) {
        return Err(TaskError::NotANumber);
    }
    Ok(work)
}

impl AsRef<Windows> for Windows {
    fn as_ref(&self) -> &Windows {
        self
    }
}

/// Cuts `tokens` into runs of at most `room`, at the beginning of a word where there is one. Each
/// run begins again at most `overlap` tokens before the last one's end.
pub fn cut(tokens: &[Token], room: usize, overlap: usize) -> Vec<Range<usize>> {
    let overlap = overlap.min(room / 2);
    let begin = |low: usize, high: usize| (low..=high).rev().find(|&i| tokens[i].begins_word).unwrap_or(high);
    let mut parts = Vec::new();
    let mut start = 0;
    while tokens.len() - start > room {
        let end = begin(start + room / 2 + overlap / 2 + 1, start + room).max(start + 1);
        parts.push(start..end);
        start = if overlap == 0 { end } else { begin(end - overlap, end - overlap / 2).max(start + 1) };
    }
    if start < tokens.len() {
        parts.push(start..tokens.len());
    }
    parts
}

/// The smallest range of whole letters, as a person sees them (grapheme clusters), around `range`:
/// an accent or the rest of an emoji is never cut off.
pub fn whole_letters(text: &str, range: Range<usize>) -> Range<usize> {
    let boundary = |at: usize, forward: bool| {
        let mut cursor = GraphemeCursor::new(at, text.len(), true);
        if matches!(cursor.is_boundary(text, 0), Ok(true)) {
            return at;
        }
        let found = if forward { cursor.next_boundary(text, 0) } else { cursor.prev_boundary(text, 0) };
        found.ok().flatten().unwrap_or(at)
    };
    boundary(text.floor_char_boundary(range.start), false)..boundary(text.ceil_char_boundary(range.end), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(begins_word: bool) -> Token {
        Token { id: 7, start: 0, end: 1, begins_word }
    }

    #[test]
    fn cutting_keeps_every_token_and_prefers_word_beginnings() {
        let tokens: Vec<Token> = (0..100).map(|i| token(i % 7 == 0)).collect();
        let parts = cut(&tokens, 30, 0);
        assert_eq!(parts.iter().map(ExactSizeIterator::len).sum::<usize>(), 100);
        assert!(parts.iter().all(|p| p.len() <= 30 && tokens[p.start].begins_word));
        let solid: Vec<Token> = (0..70).map(|_| token(false)).collect();
        assert_eq!(cut(&solid, 30, 0).iter().map(ExactSizeIterator::len).collect::<Vec<_>>(), [30, 30, 10]);
    }

    #[test]
    fn overlapping_windows_cover_all_and_give_each_token_its_best_place() {
        for (count, room, overlap) in [(1000, 64, 16), (65, 64, 32), (64, 64, 16), (9, 2, 1), (5, 1, 1), (300, 40, 200)]
        {
            let tokens: Vec<Token> = (0..count).map(|i| token(i % 5 == 0)).collect();
            let windows = cut(&tokens, room, overlap);
            assert_eq!((windows[0].start, windows[windows.len() - 1].end), (0, count));
            assert!(windows.iter().all(|w| !w.is_empty() && w.len() <= room), "{windows:?}");
            assert!(windows.windows(2).all(|p| p[1].start <= p[0].end && p[1].start > p[0].start), "{windows:?}");
            let window = |range: Range<usize>| Window { ids: vec![0; range.len() + 2], types: vec![], range, head: 1 };
            let work = Windows::new(tokens, windows.into_iter().map(window).collect());
            for (t, (w, at)) in work.owners().into_iter().enumerate() {
                assert_eq!(work.windows[w].range.start + at - 1, t);
            }
        }
    }

    #[test]
    fn letters_stay_whole() {
        let text = "ne\u{301}e 👩‍👩‍👧 x";
        let accent = text.find('\u{301}').expect("accent");
        assert_eq!(whole_letters(text, 0..accent), 0..accent + 2);
        let family = text.find('👩').expect("family");
        assert_eq!(&text[whole_letters(text, family + 4..family + 6)], "👩‍👩‍👧");
        assert_eq!(whole_letters(text, text.len()..text.len()), text.len()..text.len());
    }
}
