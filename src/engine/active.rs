//! A request on the worker: its open inputs, its clock, its single last event.

use super::message::{Event, ItemResult, Report, RequestId, Timing};
use super::put_away::panic_message;
use super::schedule;
use super::submission::Submission;
use super::trace::Trace;
use super::works::{Works, estimate};
use crate::error::UserMessage;
use crate::tasks::{Model, Partial, Phase, STEP_TOKENS, Work};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// Inputs of one request that are tokenized ahead of a step.
const OPEN: usize = 256;
/// Other requests whose sharing of steps is remembered.
const MATES: usize = 64;

/// A request that has not ended.
pub struct Active {
    pub submission: Submission,
    pub arrived: u64,
    /// Task and model: what can share a step.
    pub key: Arc<str>,
    /// Whether it has its model: the one that is loaded serves it to its end, whatever is chosen meanwhile.
    pub is_bound: bool,
    /// Since when its model is being read for it.
    pub loading: Option<Instant>,
    /// Inputs tokenized and not yet answered.
    pub open: Works,
    /// Whether others have given memory back since it last had to wait for some.
    pub may_retry: bool,
    /// When it last took part in a step, or was submitted.
    served: Instant,
    next_input: usize,
    done: usize,
    started: Option<Instant>,
    timing: Timing,
    trace: Trace,
    /// Other requests that shared steps with this one.
    mates: Vec<RequestId>,
    tokens: usize,
    /// Tokens of prompts that were found already read and the milliseconds that it saved, of inputs that are answered
    /// and of the one that was last heard of.
    known: (usize, u32),
    coming: (usize, u32),
    generated: usize,
    batch: usize,
    warnings: Vec<String>,
}

/// What the report needs to know of the engine.
#[derive(Clone)]
pub struct Place {
    pub model: String,
    pub device: &'static str,
    pub precision: &'static str,
}

/// How a request ends.
pub enum End {
    Done,
    Cancelled,
    Failed(UserMessage),
}

impl Active {
    /// A request that has just arrived, for a model of `model_task`.
    pub fn new(submission: Submission, arrived: u64, model_task: &str) -> Self {
        let key = format!("{model_task}|{}", submission.request.model.as_deref().unwrap_or("")).into();
        Self {
            trace: Trace::new(submission.submitted),
            mates: Vec::new(),
            served: submission.submitted,
            submission,
            arrived,
            key,
            is_bound: false,
            loading: None,
            open: Works::default(),
            may_retry: false,
            next_input: 0,
            done: 0,
            started: None,
            timing: Timing::default(),
            tokens: 0,
            known: (0, 0),
            coming: (0, 0),
            generated: 0,
            batch: 0,
            warnings: Vec::new(),
        }
    }

    /// Its id.
    pub fn id(&self) -> RequestId {
        self.submission.id
    }

    /// For the scheduler, whose clock began at `epoch`.
    pub fn ticket(&self, epoch: Instant) -> schedule::Ticket {
        let request = &self.submission.request;
        schedule::Ticket {
            id: self.id().0,
            client: request.client.0,
            priority: request.priority,
            model: Arc::clone(&self.key),
            arrived: self.arrived,
            waiting_since: ms(epoch, self.served),
            load: self.load().max(1),
            is_open: !self.open.is_empty(),
        }
    }

    /// Tokens that the next step could take: of inputs that were not tokenized yet about as many, as far as a step goes.
    fn load(&self) -> usize {
        let mut load = self.open.load();
        for input in self.submission.request.inputs.iter().skip(self.next_input).take(OPEN) {
            if load >= STEP_TOKENS {
                break;
            }
            load = load.saturating_add(estimate(input.text()));
        }
        load
    }

    /// Whether there is something to compute for it: what is open goes on to its end, so that it gives back what it holds;
    /// nothing more is begun while nobody reads what came before.
    pub fn is_ready(&self) -> bool {
        self.is_bound && (!self.open.is_empty() || !self.is_unread())
    }

    /// Whether too much waits to be read.
    fn is_unread(&self) -> bool {
        self.submission.sink.is_full(self.id())
    }

    /// Whether all that could move of it waits for memory that others hold.
    pub fn is_waiting(&self) -> bool {
        self.open.is_waiting() && self.next_input >= self.submission.request.inputs.len()
    }

    /// Notes that it had a turn.
    pub fn serve(&mut self) {
        self.served = Instant::now();
        self.may_retry = false;
    }

    /// Notes that work has begun, once.
    pub fn start(&mut self) {
        if self.started.is_none() {
            let now = Instant::now();
            self.started = Some(now);
            self.timing.queue = ms(self.submission.submitted, now);
            self.trace.add("queue", self.submission.submitted, now, 0);
            self.submission.sink.send(Event::Started { id: self.submission.id });
        }
    }

    /// Adds the time for which its model was read, if it was.
    pub fn add_load(&mut self) {
        let Some(begun) = self.loading.take() else { return };
        let now = Instant::now();
        self.timing.load += ms(begun, now);
        self.trace.add("load", begun, now, 0);
    }

    /// Adds a forward step that inputs of `moved` (a request's id for each) shared.
    pub fn add_step(&mut self, phase: Phase, begun: Instant, ended: Instant, moved: &[(RequestId, Phase)]) {
        let millis = ms(begun, ended);
        let stage = match phase {
            Phase::Forward => {
                self.timing.forward += millis;
                "forward"
            }
            Phase::Prefill => {
                self.timing.prefill += millis;
                "prefill"
            }
            Phase::Decode => {
                self.timing.decode += millis;
                "decode"
            }
        };
        if self.batch == 0 {
            // Until its first step it waited for its turn, or for room, but for what is counted elsewhere.
            let waited = ms(self.submission.submitted, begun) - self.timing.load - self.timing.tokenize;
            self.timing.queue = self.timing.queue.max(waited);
        }
        self.trace.add(stage, begun, ended, moved.len());
        self.batch = self.batch.max(moved.len());
        for (id, _) in moved {
            if *id != self.submission.id && self.mates.len() < MATES && !self.mates.contains(id) {
                self.mates.push(*id);
            }
        }
    }

    /// Adds tokenizing time since `begun`.
    pub fn add_tokenize(&mut self, begun: Instant) {
        let now = Instant::now();
        self.timing.tokenize += ms(begun, now);
        self.trace.add("tokenize", begun, now, 0);
    }

    /// The next input to tokenize, while there are fewer open than one step can use.
    pub fn next_input(&mut self) -> Option<usize> {
        let index = self.next_input;
        if self.open.len() >= OPEN || index >= self.submission.request.inputs.len() || self.is_unread() {
            return None;
        }
        self.next_input += 1;
        Some(index)
    }

    /// Counts the tokens of an input.
    pub fn count(&mut self, work: &dyn Work) {
        self.tokens += work.tokens();
    }

    /// Takes a tokenized input in.
    pub fn opened(&mut self, index: usize, work: Box<dyn Work>) {
        self.count(&*work);
        self.open.open(index, work);
    }

    /// Hands out what has come of an answer that streams.
    pub fn stream(&mut self, index: usize, partial: Partial) {
        if self.timing.ttft == 0.0 && partial.tokens > 0 {
            self.timing.ttft = ms(self.submission.submitted, Instant::now());
        }
        self.generated += partial.tokens;
        self.coming = (partial.prompt.cached, partial.prompt.saved_ms);
        self.submission.sink.send(Event::Partial { id: self.submission.id, index, partial });
    }

    /// Says how far a single long input has come.
    pub fn tell_progress(&self) {
        let Some((_, work)) = self.open.iter().next() else { return };
        if self.submission.request.inputs.len() == 1 && work.phase() == Phase::Forward && work.remaining() > 0 {
            let share = 1.0 - work.remaining() as f32 / work.tokens().max(1) as f32;
            self.submission.sink.send(Event::Progress { id: self.submission.id, share });
        }
    }

    /// Delivers answers, which were put together since `begun`.
    pub fn deliver(&mut self, items: Vec<(usize, ItemResult)>, begun: Instant) {
        if items.is_empty() {
            return;
        }
        let now = Instant::now();
        self.timing.postprocess += ms(begun, now);
        self.trace.add("post", begun, now, 0);
        self.done += items.len();
        let (done, total) = (self.done, self.submission.request.inputs.len());
        self.submission.sink.send(Event::Items { id: self.submission.id, items, done, total });
    }

    /// Whether every input is answered.
    pub fn is_complete(&self) -> bool {
        self.done == self.submission.request.inputs.len()
    }

    /// Notes something that the reader of the answer should know.
    pub fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Sends the one last event.
    pub fn finish(mut self, end: End, place: Place) {
        self.add_load();
        let finished = Instant::now();
        let submitted = self.submission.submitted;
        // One that was stopped has no answer: what it said on its way counts.
        let known = if self.done == 0 { self.coming } else { self.known };
        self.timing.total = ms(submitted, finished);
        let report = Report {
            task: self.submission.request.task,
            model: place.model,
            device: place.device,
            precision: place.precision,
            submitted,
            started: self.started.unwrap_or(finished),
            finished,
            timing: self.timing,
            trace: self.trace.stretches(),
            shared_with: self.mates,
            tokens: self.tokens,
            cached: known.0,
            saved_ms: known.1,
            generated: self.generated,
            done: self.done,
            batch: self.batch,
            warnings: self.warnings,
        };
        let id = self.submission.id;
        self.submission.end(match end {
            End::Done => Event::Done { id, report },
            End::Cancelled => Event::Cancelled { id, report },
            End::Failed(message) => Event::Failed { id, message, report },
        });
    }
}

/// Milliseconds from `from` to `to`.
pub fn ms(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1e3
}

/// Sends answers. A request with a single input fails with it; others go on to the next. Returns
/// how the request ends, if this was the last answer.
pub fn deliver(active: &mut Active, items: Vec<(usize, ItemResult)>, begun: Instant) -> Option<End> {
    if active.submission.request.inputs.len() == 1
        && let Some((_, Err(message))) = items.first()
    {
        return Some(End::Failed(message.clone()));
    }
    active.deliver(items, begun);
    active.is_complete().then_some(End::Done)
}

/// The answer to one input from work that is done.
pub fn finished(model: &dyn Model, active: &mut Active, input: usize, work: Box<dyn Work>) -> ItemResult {
    let asked = &active.submission.request.inputs[input];
    match catch_unwind(AssertUnwindSafe(|| model.finish(asked, work))) {
        Ok(Ok(output)) => {
            if let Some(text) = output.text() {
                active.known.0 += text.prompt.cached;
                active.known.1 = active.known.1.saturating_add(text.prompt.saved_ms);
            }
            output.warnings().into_iter().for_each(|w| active.warn(w));
            Ok(output)
        }
        Ok(Err(error)) => Err(error.into()),
        Err(payload) => Err(panic_message(&*payload)),
    }
}
