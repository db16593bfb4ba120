//! Options of commands that rewrite texts: translations and summaries.

use super::Common;
use super::writing::{WritingArgs, number};
use crate::error::UserMessage;
use crate::models::library::{Library, ModelEntry};
use crate::nn::options::LENGTH_PENALTY;
use crate::tasks::rewriting::languages::{language_name, pair_name, pair_of};
use crate::tasks::{EarlyStopping, Options, SearchOptions};
use clap::Args;

#[derive(Args, Clone)]
pub(super) struct SearchArgs {
    /// Language of the source, by its code (translate)
    #[arg(long, value_name = "CODE", default_value = "")]
    from: String,
    /// Language to translate into (translate)
    #[arg(long, value_name = "CODE", default_value = "")]
    to: String,
    /// Hypotheses that are searched at once; 1 is greedy (default: what the model was made for; chat and
    /// generate draw tokens)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(super) beams: Option<u8>,
    /// Tokens that an answer must have
    #[arg(long, value_name = "N", default_value_t = 0)]
    min_tokens: usize,
    /// Above 1 prefers longer answers, below shorter ones
    #[arg(long, value_name = "P", default_value_t = 1.0, allow_hyphen_values = true, value_parser = length_penalty)]
    length_penalty: f32,
    /// End a search as soon as there are as many finished hypotheses as beams
    #[arg(long)]
    early_stopping: bool,
    /// No run of N tokens comes twice (0: it may)
    #[arg(long, value_name = "N", default_value_t = 0)]
    no_repeat_ngram: usize,
    /// Answers to give, best first (at most as many as beams)
    #[arg(long, value_name = "N", default_value_t = 1)]
    n_best: usize,
    /// Draw tokens (by --temperature, --top-k, --top-p) instead of searching
    #[arg(long)]
    sample: bool,
}

fn length_penalty(text: &str) -> Result<f32, String> {
    number(text, &LENGTH_PENALTY)
}

impl SearchArgs {
    /// Puts them into the engine's options.
    pub(super) fn apply(&self, writing: Option<&WritingArgs>, options: &mut Options) {
        let beams = self.beams.map_or(0, usize::from);
        options.search = SearchOptions {
            // Several answers need as many beams.
            beams: if beams == 0 && self.n_best > 4 { self.n_best } else { beams },
            length_penalty: self.length_penalty,
            early_stopping: if self.early_stopping { EarlyStopping::Yes } else { EarlyStopping::No },
            min_tokens: self.min_tokens,
            max_tokens: writing.and_then(WritingArgs::max_tokens).unwrap_or(0),
            no_repeat_ngram: self.no_repeat_ngram,
            n_best: self.n_best.max(1),
            sampling: self.sample.then(|| options.writing.sampling.clone()),
        };
        options.translate.from.clone_from(&self.from);
        options.translate.to.clone_from(&self.to);
    }

    /// The model for the pair of languages, where none is named: the first whose manifest has it.
    ///
    /// # Errors
    /// A pair that no model here translates, with those that are.
    pub(super) fn model(&self, named: Option<&str>, common: &Common) -> Result<Option<String>, UserMessage> {
        if named.is_some() || (self.from.is_empty() && self.to.is_empty()) {
            return Ok(named.map(str::to_owned));
        }
        let pairs = pairs(&common.library()?);
        let fits = |asked: &str, own: &str| asked.is_empty() || asked == own;
        if let Some((id, _, _)) = pairs.iter().find(|(_, from, to)| fits(&self.from, from) && fits(&self.to, to)) {
            return Ok(Some(id.clone()));
        }
        let known: Vec<String> = pairs.iter().map(|(_, from, to)| pair_name(from, to)).collect();
        let asked = |code: &str| if code.is_empty() { "any language" } else { language_name(code) }.to_owned();
        let why = format!(
            "no model here translates {} → {} (there is: {})",
            asked(&self.from),
            asked(&self.to),
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        );
        let next = "Give a model folder, such as Helsinki-NLP's opus-mt-fr-en (--model DIR), or choose another pair.";
        Err(UserMessage::new("The text cannot be translated", why, next))
    }
}

/// Models that translate: id, source, target.
fn pairs(library: &Library) -> Vec<(String, String, String)> {
    let models = library.list().0;
    let pair = |entry: &ModelEntry| {
        let manifest = entry.manifest.as_ref()?;
        let (from, to) = pair_of(&manifest.task, &manifest.languages)?;
        Some((entry.id.clone(), from.to_owned(), to.to_owned()))
    };
    models.iter().filter_map(pair).collect()
}
