//! Whose turn it is, and what is made ready for a step.

use super::active::{Active, End, deliver, finished};
use super::message::{ItemResult, Priority, RequestId};
use super::put_away::panic_message;
use super::schedule::{MIN_SHARE, Ticket, Turn};
use super::steps::Part;
use super::worker::Worker;
use crate::tasks::{Asked, STEP_TOKENS, TaskError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Inputs of one request that a turn answers without a step.
const ANSWERS: usize = 256;
/// Texts of a batch that a model with keys and values has open at a time: room is left for who comes to talk.
const BATCH_TEXTS: usize = 16;
/// How long one request's inputs may be tokenized before others have their turn.
const PATIENCE: Duration = Duration::from_millis(20);

impl Worker {
    /// One step of those whose turn it is; false if there is nobody.
    pub fn turn(&mut self) -> bool {
        let ready = self.active.iter().filter(|a| self.is_ready(a));
        let (ready, tickets): (Vec<RequestId>, Vec<Ticket>) = ready.map(|a| (a.id(), a.ticket(self.epoch))).unzip();
        let models = &self.models;
        // Room beside every text that is written: how much of it a step really takes the model knows best.
        let all = |writing: usize| writing + writing / 3 + 2 * MIN_SHARE;
        let budget = |key: &str, writing: usize| {
            models.get(key).map_or(STEP_TOKENS, |l| l.model.budget(writing).max(all(writing)))
        };
        let now = self.epoch.elapsed().as_secs_f64() * 1e3;
        let Some(mut turn) = self.scheduler.next(&tickets, now, &budget) else { return false };
        let begun = Instant::now();
        let ids: Vec<RequestId> = turn.shares.iter().map(|share| ready[share.index]).collect();
        self.models.touch(&turn.model);
        let parts = self.prepare_all(&turn, &ids);
        let used = self.step(&turn.model, &parts);
        for (share, id) in turn.shares.iter_mut().zip(&ids) {
            share.tokens = used.iter().find(|u| u.0 == *id).map_or(1, |u| u.1.max(1));
        }
        self.scheduler.charge(&turn, &tickets, begun.elapsed().as_secs_f64() * 1e3);
        true
    }

    /// Whether a step could move a request. One that waits for memory has none while others of its model go on, unless
    /// one of them has just given some back.
    fn is_ready(&self, active: &Active) -> bool {
        active.is_ready() && (!active.is_waiting() || active.may_retry || !self.others_move(active))
    }

    /// Whether another request of the same model goes on, and will give memory back.
    pub fn others_move(&self, active: &Active) -> bool {
        self.active.iter().any(|a| a.id() != active.id() && a.key == active.key && a.is_bound && !a.is_waiting())
    }

    /// Tokenizes for all that have a share, and deals out the step.
    fn prepare_all(&mut self, turn: &Turn, ids: &[RequestId]) -> Vec<Part> {
        for (share, id) in turn.shares.iter().zip(ids) {
            if let Some(index) = self.find(*id) {
                self.prepare(index, share.tokens);
            }
        }
        let mut parts = Vec::new();
        for (share, id) in turn.shares.iter().zip(ids) {
            // One may have ended with what was answered without a step.
            if let Some(index) = self.find(*id) {
                let active = &mut self.active[index];
                active.serve();
                parts.push(Part { id: *id, before: active.open.deal(share.tokens) });
            }
        }
        parts
    }

    /// Tokenizes inputs of one request until its share of the step is full. Inputs without content are answered at
    /// once.
    fn prepare(&mut self, index: usize, share: usize) {
        let halt = self.link.halt.clone();
        let active = &mut self.active[index];
        active.start();
        let begun = Instant::now();
        let Some(loaded) = self.models.get(&active.key) else { return };
        let mut answered: Vec<(usize, ItemResult)> = Vec::new();
        let (mut end, mut is_new) = (None, false);
        let is_batch = active.submission.request.priority == Priority::Batch;
        let most = if is_batch && loaded.model.occupancy().is_some() { BATCH_TEXTS } else { usize::MAX };
        let mut load = active.open.load();
        // Answers without a step cost no tokens: a bound of their own lets others have their turn.
        while load < share && answered.len() < ANSWERS && begun.elapsed() < PATIENCE {
            if active.open.len() >= most {
                break;
            }
            let Some(input) = active.next_input() else { break };
            is_new = true;
            let cancel = active.submission.cancel.clone();
            let stop = || cancel.is_cancelled() || halt.is_cancelled();
            let request = &active.submission.request;
            let prepare = || {
                let asked = Asked { task: request.task, input: &request.inputs[input], options: &request.options };
                loaded.model.prepare(&asked, &stop)
            };
            match catch_unwind(AssertUnwindSafe(prepare)) {
                // Nothing to compute, so no step would ever answer it.
                Ok(Ok(work)) if work.remaining() == 0 => {
                    active.count(&*work);
                    answered.push((input, finished(&*loaded.model, active, input, work)));
                }
                Ok(Ok(work)) => {
                    load = load.saturating_add(work.load());
                    active.opened(input, work);
                }
                Ok(Err(TaskError::Stopped)) => {
                    end = Some(End::Cancelled);
                    break;
                }
                Ok(Err(error)) => answered.push((input, Err(error.into()))),
                Err(payload) => answered.push((input, Err(panic_message(&*payload)))),
            }
        }
        if is_new {
            active.add_tokenize(begun);
        }
        if end.is_none() {
            end = deliver(active, answered, Instant::now());
        }
        if let Some(end) = end {
            self.end(index, end);
        }
    }
}
