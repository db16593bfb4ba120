//! What chat and generation share: a decoder with its tokenizer, writing token by token.

use super::beams::Beams;
use super::line::Line;
use super::pace::Pace;
use super::plan::SHORT_EVERY;
use super::text::Writing;
use crate::models::blocks::{Layered, prepare};
use crate::models::codec::{Codec, Prompt, TextStream};
use crate::models::gguf::Gguf;
use crate::models::library::ModelEntry;
use crate::models::weights::Weights;
use crate::nn::NnError;
use crate::nn::decoder::config::Config;
use crate::nn::decoder::{Decoder, Usage, pages_of};
use crate::nn::forecast;
use crate::nn::keys::Keys;
use crate::nn::precision::Precision;
use crate::nn::runtime::Runtime;
use crate::nn::sampling::Sampler;
use crate::nn::source::TensorSource as _;
use crate::tasks::contract::{
    Asked, DEFAULT_CONTEXT, FinishReason, Generated, Input, Message, Model, Need, Occupancy, Output, Partial, Progress,
    PromptInfo, Role, TaskError, Work, ended, own,
};

/// A decoder with its tokenizer.
pub struct LanguageModel {
    pub(super) codec: Codec,
    pub(super) decoder: Decoder,
    pub(super) pace: Pace,
    /// Steps since a short prompt was read whole.
    pub(super) since_short: usize,
    pub(super) line: Line,
    precision: Option<&'static str>,
}

/// Opens configuration, tokenizer and tensors of `entry`, and hands them to `then`.
fn open<R>(
    entry: &ModelEntry,
    kept: Precision,
    progress: Progress<'_>,
    then: impl FnOnce(Config, Codec, &Layered<'_>, Progress<'_>) -> Result<R, TaskError>,
) -> Result<R, TaskError> {
    let here = |source: NnError| TaskError::checkpoint(entry, Need::Language, source);
    if let Some(path) = entry.gguf() {
        let file = Gguf::open(path)?;
        // The architecture first: a tokenizer of a model that cannot run interests nobody.
        let config = Config::from_metadata(&file, file.vocabulary()).map_err(here)?;
        let codec = file.codec()?;
        let blocks = prepare(entry, &file, kept, progress)?;
        return then(config, codec, &Layered { blocks, below: &file }, progress);
    }
    let json = entry.read_config()?;
    let config = Config::from_json(&json).map_err(here)?;
    let ends = Keys(&json).ends(config.vocab).map_err(here)?;
    let codec = Codec::gpt2(&entry.tokenizer, ends)?;
    let weights = Weights::open(&entry.weights)?;
    let blocks = prepare(entry, &weights, kept, progress)?;
    then(config, codec, &Layered { blocks, below: &weights }, progress)
}

impl LanguageModel {
    /// Opens a GGUF file, or a GPT-2 folder. Refused before anything is read if it will not fit.
    ///
    /// # Errors
    /// What is wrong with the files, [`TaskError::TooLarge`] or [`TaskError::Stopped`].
    pub fn load(entry: &ModelEntry, runtime: &Runtime, progress: Progress<'_>) -> Result<Self, TaskError> {
        open(entry, runtime.kept(), progress, |mut config, codec, source, progress| {
            let here = |source: NnError| TaskError::checkpoint(entry, Need::Language, source);
            config.context = config.context.min(runtime.context.unwrap_or(DEFAULT_CONTEXT)).max(1);
            let target = runtime.target();
            let forecast = forecast::decoder(&config, source, (&target, runtime.kept()), runtime.free_memory());
            if forecast.is_too_much() {
                return Err(TaskError::TooLarge { forecast, context: config.context });
            }
            let mut report = |share: f32| if progress(share) { Err(NnError::Stopped) } else { Ok(()) };
            let decoder = Decoder::load(config, source, target, &mut report).map_err(here)?;
            // As many as the forecast counts.
            let texts = forecast.cache / forecast.least.max(1);
            decoder.allow_pages(texts * pages_of(decoder.config().context));
            let own = runtime.kept() == Precision::Own;
            let precision = entry.gguf().filter(|_| own).and_then(|_| source.precision());
            Ok(Self {
                codec,
                decoder,
                pace: Pace::default(),
                since_short: SHORT_EVERY,
                line: Line::default(),
                precision,
            })
        })
    }

    /// Its tokenizer.
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// Its network.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The prompt of `messages`, without the oldest turns if all do not fit; how many were left out.
    fn conversation(&self, messages: &[Message], answer: usize) -> Result<(Prompt, usize), TaskError> {
        let context = self.decoder.config().context;
        let room = context - answer.min(context / 4);
        let mut kept = messages.to_vec();
        let mut prompt = self.codec.prompt(&kept)?;
        // Down to three quarters at once, so that the next turns find their beginning cached.
        let wanted = if prompt.ids.len() > room { room * 3 / 4 } else { room };
        while prompt.ids.len() > wanted {
            let letters = |kept: &[Message]| kept.iter().map(|m| m.content.len() + 16).sum::<usize>();
            let enough = letters(&kept) * wanted / prompt.ids.len();
            let before = kept.len();
            // Whole turns, question and answer, until what is left should fit.
            while kept.len() == before || letters(&kept) > enough {
                let first = usize::from(kept.first().is_some_and(|m| m.role == Role::System));
                let Some(next) = (first + 1..kept.len()).find(|&i| kept[i].role == Role::User) else { break };
                kept.drain(first..next);
            }
            if kept.len() == before {
                break;
            }
            prompt = self.codec.prompt(&kept)?;
        }
        Ok((prompt, messages.len() - kept.len()))
    }
}

impl Model for LanguageModel {
    fn bytes(&self) -> usize {
        self.decoder.bytes() + self.decoder.cache_bytes()
    }

    fn cache_bytes(&self) -> usize {
        self.decoder.cache_bytes()
    }

    fn precision(&self) -> Option<&'static str> {
        self.precision
    }

    fn budget(&self, writing: usize) -> usize {
        self.pace.budget(writing)
    }

    fn release(&self) {
        self.decoder.forget();
    }

    fn occupancy(&self) -> Option<Occupancy> {
        let Usage { pages, limit, texts, held, promised } = self.decoder.usage();
        Some(Occupancy { sequences: texts, pages, limit, held, promised })
    }

    fn prepare(&self, asked: &Asked<'_>, _: &dyn Fn() -> bool) -> Result<Box<dyn Work>, TaskError> {
        let (input, mut options) = (asked.input, asked.options.writing.clone());
        let search = &asked.options.search;
        options.max_tokens = options.max_tokens.max(1);
        let chat = matches!(input, Input::Chat(_));
        let encode = |text: &str| self.codec.encode(text, true).map_err(TaskError::Prompt);
        let mut notes = self.codec.notes().to_vec();
        let (prompt, dropped) = match input {
            Input::Chat(messages) => {
                if messages.last().is_none_or(|m| m.content.trim().is_empty()) {
                    return Err(TaskError::Input("the message is empty".into()));
                }
                options.stop.extend(self.codec.plain_stops());
                let (prompt, dropped) = self.conversation(messages, options.max_tokens)?;
                notes.extend(prompt.notes.into_iter().map(str::to_owned));
                (prompt.ids, dropped)
            }
            Input::Text(text) => (encode(text)?, 0),
            Input::Question { .. } => {
                return Err(TaskError::Input("a language model takes a text or a conversation".into()));
            }
            Input::Forced { text, ids } => {
                let mut prompt = encode(text)?;
                prompt.extend(ids);
                (prompt, 0)
            }
        };
        let context = self.decoder.config().context;
        if prompt.is_empty() {
            return Err(TaskError::Input("there is no text to go on from".into()));
        }
        if prompt.len() >= context {
            let why = format!("{} tokens are more than the context of {context}", prompt.len());
            return Err(TaskError::Prompt(why));
        }
        let beams = (search.beams > 1).then(|| {
            let room = context - prompt.len();
            Beams::new(search.clone(), options.max_tokens.min(room), self.codec.ends(), &prompt)
        });
        let info = PromptInfo { tokens: prompt.len(), dropped, context, ..PromptInfo::default() };
        Ok(Box::new(Writing {
            prompt,
            cache: None,
            info,
            sampler: Sampler::new(options.sampling.clone()),
            options,
            ids: Vec::new(),
            steps: Vec::new(),
            stream: if chat { TextStream::default() } else { TextStream::continued() },
            text: String::new(),
            shown: (0, 0),
            finish: None,
            has_template: !chat || self.codec.is_for_chat(),
            notes,
            beams,
            allowed: usize::MAX,
            place: self.line.place(),
            taken: 0,
            failure: None,
            next: Vec::new(),
        }))
    }

    fn step(&mut self, works: &mut [&mut dyn Work], max_tokens: usize) -> Result<(), TaskError> {
        let texts = works.iter_mut().filter_map(|w| own::<Writing>(*w));
        self.write(texts.filter(|w| w.finish.is_none() && w.failure.is_none()).collect(), max_tokens);
        Ok(())
    }

    fn partial(&self, work: &mut dyn Work) -> Option<Partial> {
        let work = own::<Writing>(work)?;
        let ready = if work.finish.is_some() { work.text.len() } else { work.text.len() - work.held_back() };
        let (text, steps) = work.shown;
        if ready <= text && work.ids.len() == steps {
            return None;
        }
        let fresh = work.text.get(text..ready.max(text)).unwrap_or("").to_owned();
        let tokens = work.ids.len() - steps;
        let steps = work.steps.get(steps..).unwrap_or_default().to_vec();
        let partial = Partial { prompt: work.info, text: fresh, steps, passages: Vec::new(), tokens };
        work.shown = (ready.max(text), work.ids.len());
        Some(partial)
    }

    fn finish(&self, _: &Input, work: Box<dyn Work>) -> Result<Output, TaskError> {
        let work = *ended::<Writing>(work)?;
        Ok(Output::Text(Generated {
            text: work.text,
            token_ids: work.ids,
            finish_reason: work.finish.unwrap_or(FinishReason::Length),
            steps: work.steps,
            prompt: work.info,
            seed: work.sampler.seed(),
            has_template: work.has_template,
            notes: work.notes,
        }))
    }
}
