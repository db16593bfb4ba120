//! One forward step over what several requests have open: who moved, who failed, and what came of it.

use super::active::{Active, deliver, finished};
use super::message::{ItemResult, RequestId};
use super::put_away::panic_message;
use super::worker::Worker;
use super::works::Before;
use crate::error::UserMessage;
use crate::tasks::{Model, Phase, Work};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// What to do about a fault of ours.
const FAULT: &str = "Choose another model or another device; this is a fault of Glossa's, please report it.";

/// What to do where a model's memory for texts is too small.
const ROOM: &str = "Ask for a shorter answer or about a shorter text, or allow a longer context.";

/// A request's part in a step: what its inputs may take, and how far they were before.
pub struct Part {
    pub id: RequestId,
    pub before: Vec<Before>,
}

/// An input that failed alone, and why.
type Failure = (RequestId, usize, UserMessage);

/// An input in a step.
struct Seat<'a> {
    id: RequestId,
    before: Before,
    work: &'a mut dyn Work,
}

impl Seat<'_> {
    fn has_moved(&self) -> bool {
        self.work.remaining() < self.before.remaining
    }
}

/// What a step has come to.
#[derive(Default)]
struct Outcome {
    failures: Vec<Failure>,
    has_panicked: bool,
    /// Inputs that moved, by request, and what they did.
    moved: Vec<(RequestId, Phase)>,
    /// Rows by request.
    rows: Vec<(RequestId, usize)>,
    /// Inputs that neither moved nor wait for memory.
    stuck: Vec<(RequestId, usize)>,
}

impl Worker {
    /// One forward step, then the answers that it completed. The tokens that each request took.
    pub fn step(&mut self, key: &str, parts: &[Part]) -> Vec<(RequestId, usize)> {
        if parts.iter().all(|p| p.before.is_empty()) {
            return Vec::new();
        }
        let begun = Instant::now();
        let (models, active) = (&mut self.models, &mut self.active);
        let Some(loaded) = models.get_mut(key) else { return Vec::new() };
        let mut seats = seats(active, parts);
        self.link.usage.begin_step(seats.iter().map(|s| s.before.given).sum());
        let halt = &self.link.halt;
        let outcome = run(&mut *loaded.model, &mut seats, &|| halt.is_cancelled());
        let ended = Instant::now();
        let rows = outcome.rows.iter().map(|r| r.1).sum();
        loaded.rows = rows;
        // Its state may be half written: those that have it go on, whoever comes has it read afresh.
        let is_news = outcome.has_panicked && !loaded.is_outdated;
        loaded.is_outdated |= outcome.has_panicked;
        let notice =
            is_news.then(|| format!("{} had a fault; it is read afresh when those that have it have ended", loaded.id));
        self.link.usage.step(rows);
        if notice.is_some() {
            self.send_status(notice);
        }
        let Outcome { mut failures, moved, rows, stuck, .. } = outcome;
        if moved.is_empty() && failures.is_empty() {
            failures.extend(self.did_nothing(parts, &stuck));
        }
        for part in parts {
            let phase = moved.iter().find(|m| m.0 == part.id).map(|m| m.1);
            let (mine, others) = std::mem::take(&mut failures).into_iter().partition(|f| f.0 == part.id);
            failures = others;
            let Some(index) = self.find(part.id).filter(|_| phase.is_some() || !Vec::is_empty(&mine)) else { continue };
            if let Some(phase) = phase {
                self.active[index].add_step(phase, begun, ended, &moved);
                self.active[index].tell_progress();
            }
            self.conclude(index, mine);
        }
        self.link.usage.count(&self.models);
        rows
    }

    /// What fails because a step moved nobody. Who waits for memory may go on waiting while somebody has some to give
    /// back.
    fn did_nothing(&self, parts: &[Part], stuck: &[(RequestId, usize)]) -> Option<Failure> {
        let first = parts.iter().find(|p| !p.before.is_empty())?;
        let is_hopeless = || self.find(first.id).is_some_and(|i| !self.others_move(&self.active[i]));
        if let Some((id, input)) = stuck.first() {
            let why = "the model was asked for a step and did nothing";
            return Some((*id, *input, UserMessage::new("The model did not go on", why, FAULT)));
        }
        let why = "it waits for memory, and nobody is left who could give some back";
        let message = UserMessage::new("The text did not go on", why, ROOM);
        is_hopeless().then(|| Some((first.id, first.before.first()?.input, message)))?
    }

    /// Hands out what has come of one request: failures, parts of texts, answers. Ends it after its last.
    fn conclude(&mut self, index: usize, failures: Vec<Failure>) {
        let begun = Instant::now();
        let active = &mut self.active[index];
        let mut items: Vec<(usize, ItemResult)> = Vec::new();
        for (_, input, message) in failures {
            active.open.discard(input);
            items.push((input, Err(message)));
        }
        let Some(loaded) = self.models.get(&active.key) else { return };
        let partial = |(input, work): (usize, &mut dyn Work)| {
            let said = catch_unwind(AssertUnwindSafe(|| loaded.model.partial(work)));
            said.map_err(|payload| panic_message(&*payload)).transpose().map(|said| (input, said))
        };
        let partials: Vec<_> = active.open.iter_mut().filter_map(partial).collect();
        for (input, partial) in partials {
            match partial {
                Ok(partial) => active.stream(input, partial),
                Err(message) => {
                    active.open.discard(input);
                    items.push((input, Err(message)));
                }
            }
        }
        for (input, work) in active.open.take_finished() {
            items.push((input, finished(&*loaded.model, active, input, work)));
        }
        if !items.is_empty() {
            // What these held is free for others.
            let key = Arc::clone(&active.key);
            self.active.iter_mut().filter(|a| a.key == key).for_each(|a| a.may_retry = true);
        }
        let active = &mut self.active[index];
        if let Some(end) = deliver(active, items, begun) {
            self.end(index, end);
        }
    }
}

/// The inputs that take part, in the order of the turn. Those that have all they can take come first: what is cut short
/// must not take their room.
fn seats<'a>(active: &'a mut [Active], parts: &[Part]) -> Vec<Seat<'a>> {
    let mut seats = Vec::new();
    for active in active {
        let Some(part) = parts.iter().find(|p| p.id == active.id()) else { continue };
        for (input, work) in active.open.iter_mut() {
            if let Some(before) = part.before.iter().find(|b| b.input == input) {
                seats.push(Seat { id: part.id, before: *before, work });
            }
        }
    }
    let place = |id: RequestId| parts.iter().position(|p| p.id == id);
    seats.sort_by_cached_key(|s| (s.before.given < s.before.load, place(s.id)));
    seats
}

/// Runs a step. If it fails for all of them, each is tried alone, as it is: who fails then has failed.
fn run(model: &mut dyn Model, seats: &mut [Seat<'_>], is_over: &dyn Fn() -> bool) -> Outcome {
    let mut outcome = Outcome::default();
    let writing = seats.iter().filter(|s| s.before.phase == Phase::Decode).count();
    let given: usize = seats.iter().map(|s| s.before.given).sum();
    let most = model.budget(writing).max(given);
    let together = attempt(model, seats, most, &mut outcome);
    let is_single = seats.len() == 1;
    for seat in seats.iter_mut() {
        let failed = match &together {
            Ok(()) => None,
            Err(message) if is_single => Some(message.clone()),
            // It had its step before another one's failed.
            Err(_) if seat.has_moved() || is_over() => None,
            Err(_) => attempt(model, std::slice::from_mut(seat), most, &mut outcome).err(),
        };
        let failed = failed.or_else(|| seat.work.failure().map(UserMessage::from));
        if let Some(message) = failed {
            outcome.failures.push((seat.id, seat.before.input, message));
        }
    }
    for seat in seats {
        if seat.has_moved() {
            outcome.moved.push((seat.id, seat.before.phase));
            let fall = seat.before.load.min(seat.before.remaining - seat.work.remaining()).max(1);
            let rows = seat.work.taken().unwrap_or(fall);
            match outcome.rows.iter_mut().find(|r| r.0 == seat.id) {
                Some(sum) => sum.1 += rows,
                None => outcome.rows.push((seat.id, rows)),
            }
        } else if !seat.work.is_waiting() {
            outcome.stuck.push((seat.id, seat.before.input));
        }
    }
    outcome
}

/// One call of the model.
fn attempt(
    model: &mut dyn Model,
    seats: &mut [Seat<'_>],
    most: usize,
    outcome: &mut Outcome,
) -> Result<(), UserMessage> {
    let mut works: Vec<&mut dyn Work> = seats.iter_mut().map(|s| &mut *s.work as &mut dyn Work).collect();
    match catch_unwind(AssertUnwindSafe(|| model.step(&mut works, most))) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.into()),
        Err(payload) => {
            outcome.has_panicked = true;
            Err(panic_message(&*payload))
        }
    }
}
