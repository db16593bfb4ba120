//! What chat and generation share: a decoder with its tokenizer, writing token by token.

use super::beams::Beams;
use super::caches::{Caches, Lent};
use super::options::WritingOptions;
use crate::models::blocks::{Layered, prepare};
use crate::models::codec::{Codec, Prompt, TextStream};
use crate::models::gguf::Gguf;
use crate::models::library::ModelEntry;
use crate::models::weights::Weights;
use crate::nn::NnError;
use crate::nn::decoder::config::Config;
use crate::nn::decoder::{CHUNK, Decoder, Want};
use crate::nn::forecast;
use crate::nn::keys::Keys;
use crate::nn::precision::Precision;
use crate::nn::runtime::Runtime;
use crate::nn::sampling::{Choice, Sampler, endless_cycle};
use crate::nn::source::TensorSource as _;
use crate::tasks::contract::{
    Asked, DEFAULT_CONTEXT, FinishReason, Generated, Input, Message, Model, Need, Output, Partial, Phase, Progress,
    PromptInfo, Role, Step, TaskError, Work, ended, own,
};

/// Tokens in which a cycle must have gone on to be called endless.
const ENDLESS: usize = 64;

/// A decoder with its tokenizer.
pub struct LanguageModel {
    codec: Codec,
    decoder: Decoder,
    caches: Caches,
    precision: Option<&'static str>,
}

/// A text on its way.
struct Writing {
    prompt: Vec<u32>,
    lent: Lent,
    info: PromptInfo,
    sampler: Sampler,
    options: WritingOptions,
    ids: Vec<u32>,
    steps: Vec<Step>,
    stream: TextStream,
    text: String,
    /// Bytes of `text` and number of steps that have been handed out.
    shown: (usize, usize),
    finish: Option<FinishReason>,
    has_template: bool,
    /// What its reader should know of the model's file and of what was done to the conversation.
    notes: Vec<String>,
    /// Instead of the sampler, where several beams are asked for.
    beams: Option<Beams>,
}

impl Work for Writing {
    fn tokens(&self) -> usize {
        self.prompt.len()
    }

    fn remaining(&self) -> usize {
        match self.finish {
            Some(_) => 0,
            None => {
                let unread = self.prompt.len().saturating_sub(self.lent.tokens().len());
                let steps = self.beams.as_ref().map_or(self.ids.len(), Beams::steps);
                unread + self.options.max_tokens.saturating_sub(steps) + 1
            }
        }
    }

    fn phase(&self) -> Phase {
        let begun = self.beams.as_ref().map_or(!self.ids.is_empty(), Beams::has_begun);
        if begun { Phase::Decode } else { Phase::Prefill }
    }
}

impl Writing {
    /// The end of `text` that may still turn out to be the beginning of a stop string.
    fn held_back(&self) -> usize {
        let tail = |stop: &String| {
            (1..=stop.len().min(self.text.len()))
                .rev()
                .find(|n| stop.is_char_boundary(*n) && self.text.ends_with(&stop[..*n]))
                .unwrap_or(0)
        };
        self.options.stop.iter().map(tail).max().unwrap_or(0)
    }

    /// Ends at the first stop string, if one has come.
    fn cut_at_stop(&mut self) -> bool {
        let from = self.text.floor_char_boundary(self.shown.0.min(self.text.len()));
        let find = |stop: &String| self.text[from..].find(stop.as_str()).filter(|_| !stop.is_empty());
        let Some(at) = self.options.stop.iter().filter_map(find).min() else { return false };
        self.text.truncate(from + at);
        true
    }
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
            let own = runtime.kept() == Precision::Own;
            let precision = entry.gguf().filter(|_| own).and_then(|_| source.precision());
            Ok(Self { codec, decoder, caches: Caches::default(), precision })
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

    fn take(&self, work: &mut Writing, logits: &[f32]) -> Result<(), TaskError> {
        let (seen, candidates) = (work.lent.tokens(), work.options.candidates);
        let choice = work.sampler.choose(logits, seen, candidates).ok_or(TaskError::NotANumber)?;
        if self.codec.is_end(choice.id) {
            self.end(work, FinishReason::Stop);
            return Ok(());
        }
        work.ids.push(choice.id);
        let text = self.codec.push(&mut work.stream, choice.id);
        work.text.push_str(&text);
        work.steps.push(self.step_of(choice));
        if work.cut_at_stop() {
            work.finish = Some(FinishReason::Stop);
        } else if work.ids.len() >= work.options.max_tokens {
            self.end(work, FinishReason::Length);
        } else if work.prompt.len() + work.ids.len() > self.decoder.config().context {
            self.end(work, FinishReason::Context);
        } else if endless_cycle(&work.ids, ENDLESS).is_some() {
            self.end(work, FinishReason::Repetition);
        }
        Ok(())
    }

    /// One step of a beam search.
    fn search(&self, work: &mut Writing) -> Result<(), TaskError> {
        if let Some(beams) = &mut work.beams {
            beams.step(&self.decoder)?;
        }
        self.follow(work)
    }

    /// Takes over what all beams agree on; at the end the best.
    fn follow(&self, work: &mut Writing) -> Result<(), TaskError> {
        let Some(beams) = work.beams.take() else { return Ok(()) };
        let (ids, reason) = if beams.is_over() {
            let (ids, ended) = beams.into_best();
            (ids, Some(if ended { FinishReason::Stop } else { FinishReason::Length }))
        } else {
            let ids = beams.stable().to_vec();
            work.beams = Some(beams);
            (ids, None)
        };
        for id in ids.into_iter().skip(work.ids.len()).filter(|id| !self.codec.is_end(*id)) {
            work.ids.push(id);
            let text = self.codec.push(&mut work.stream, id);
            work.text.push_str(&text);
        }
        if work.cut_at_stop() {
            work.finish = Some(FinishReason::Stop);
        } else if let Some(reason) = reason {
            self.end(work, reason);
        }
        Ok(())
    }

    fn end(&self, work: &mut Writing, reason: FinishReason) {
        let rest = self.codec.rest(&work.stream);
        work.text.push_str(&rest);
        work.cut_at_stop();
        work.finish = Some(reason);
    }

    fn step_of(&self, choice: Choice) -> Step {
        let top = choice.top.iter().map(|c| (c.id, self.codec.shown(c.id), c.probability)).collect();
        let text = self.codec.shown(choice.id);
        Step { id: choice.id, text, probability: choice.probability, entropy: choice.entropy, top }
    }
}

impl Model for LanguageModel {
    fn bytes(&self) -> usize {
        self.decoder.bytes() + self.caches.bytes()
    }

    fn cache_bytes(&self) -> usize {
        self.caches.bytes()
    }

    fn precision(&self) -> Option<&'static str> {
        self.precision
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
        let lent = self.caches.lend(&self.decoder, &prompt);
        let beams = (search.beams > 1).then(|| {
            let room = context - prompt.len();
            Beams::new(search.clone(), options.max_tokens.min(room), self.codec.ends(), &prompt)
        });
        let info = PromptInfo { tokens: prompt.len(), cached: lent.tokens().len(), dropped, context };
        Ok(Box::new(Writing {
            prompt,
            lent,
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
        }))
    }

    /// One forward step for each text: up to [`CHUNK`] tokens of its prompt, or one new token.
    fn step(&mut self, works: &mut [&mut dyn Work], _: usize) -> Result<(), TaskError> {
        for work in works.iter_mut().filter_map(|w| own::<Writing>(*w)).filter(|w| w.finish.is_none()) {
            if work.beams.as_ref().is_some_and(Beams::has_begun) {
                self.search(work)?;
                continue;
            }
            let read = work.lent.tokens().len();
            let ids: Vec<u32> = match work.ids.last() {
                Some(last) => vec![*last],
                None => work.prompt[read..].iter().copied().take(CHUNK).collect(),
            };
            let done = read + ids.len() >= work.prompt.len();
            let want = if done { Want::Last } else { Want::Nothing };
            let decoder = &self.decoder;
            let logits = work.lent.extend(&ids, |cache| decoder.forward(cache, &ids, want));
            let logits = logits.ok_or_else(|| TaskError::Input("work of another task".into()))??;
            if !done {
                continue;
            }
            let Some(beams) = &mut work.beams else {
                self.take(work, &logits)?;
                continue;
            };
            if let Some(cache) = work.lent.fork()? {
                beams.begin(cache, &logits)?;
            }
            self.follow(work)?;
        }
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
