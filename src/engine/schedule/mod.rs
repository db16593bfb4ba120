//! Which model steps next, which of its requests take part, and with how many tokens. Pure: no
//! threads, no clock, no models; times are milliseconds on whatever clock the caller reads.
//!
//! - Models take turns by deficit round robin in measured milliseconds (`rounds`).
//! - Interactive requests lead. Batch requests of the same model ride along with up to [`RIDE`]
//!   tokens; what has waited [`AGE`] may lead, one step in [`AGE`] per model.
//! - Within a step those that write take one token each, and the rest is shared among those that
//!   read: equally among clients, then equally among a client's requests (`fair`, `clients`).
//!
//! What is promised, with Q the quantum, S the longest step (at most [`DEBT`]) and n the other
//! models with work:
//! - A model without debt that gets its first request has the next step, or the one after those of
//!   models as new as itself; one that has just worked has its turn within S + 2n(S + Q).
//! - While models have work without pause, their shares of the time differ by at most 2(S + Q).
//! - Call that turn's wait T, or AGE + T for batch beside interactive requests. A request of a client
//!   with r of the kind (reading or writing, interactive or batch), of C clients with some, is served
//!   within r × (AGE + C × T), however many requests the others have. If they fit into one step, T is
//!   enough.

mod clients;
#[cfg(test)]
mod examples;
mod fair;
#[cfg(test)]
mod properties;
mod rounds;
#[cfg(test)]
mod simulate;
mod ticket;

use super::message::Priority;
use fair::Want;
use rounds::{Candidate, Rounds};
use std::collections::BTreeMap;
use std::sync::Arc;
pub use ticket::{AGE, DEBT, Kind, MIN_SHARE, QUANTUM, READING, RIDE, Share, Ticket, Turn};

/// Tokens that a step of a model should have at most, by how many texts it is writing.
pub type Budget<'a> = &'a dyn Fn(&str, usize) -> usize;

/// Chooses steps. Remembers what models and clients have had, of those alone that still matter: its
/// memory is bounded by the tickets that it is shown.
#[derive(Clone, Debug)]
pub struct Scheduler {
    rounds: Rounds,
    /// The time, as far as it was told.
    now: f64,
}

impl Default for Scheduler {
    fn default() -> Self {
        Self::new(QUANTUM)
    }
}

/// One model's tickets.
struct Queue {
    tickets: Vec<usize>,
    /// Of its oldest ticket.
    arrived: u64,
    has_interactive: bool,
    /// Whether a batch request has waited long.
    has_aged: bool,
}

impl Scheduler {
    /// A scheduler that gives each model `quantum` milliseconds in a round.
    pub fn new(quantum: f64) -> Self {
        Self { rounds: Rounds::new(quantum), now: 0.0 }
    }

    /// The next step, of up to what `budget` says in tokens ([`MIN_SHARE`] if that is more); `None` without
    /// tickets. A turn that is not charged is free, and comes again.
    pub fn next(&mut self, tickets: &[Ticket], now: f64, budget: Budget<'_>) -> Option<Turn> {
        self.now = now;
        let mut queues = queues(tickets, now);
        self.rounds.meet(|model| queues.contains_key(model), queues.len(), now);
        for model in queues.keys() {
            self.rounds.open(model, now);
        }
        let is_urgent = queues.values().any(|q| q.has_interactive);
        let is_due = |model: &str| self.rounds.get(model).is_some_and(|a| a.is_batch_due(now));
        let may_lead = |(model, queue): &(&Arc<str>, &Queue)| {
            !is_urgent || queue.has_interactive || (queue.has_aged && is_due(model))
        };
        let candidate =
            |(model, queue): (&Arc<str>, &Queue)| Candidate { model: Arc::clone(model), arrived: queue.arrived };
        let candidates: Vec<Candidate> = queues.iter().filter(may_lead).map(candidate).collect();
        let model = self.rounds.pick(&candidates)?;
        let queue = queues.remove(&model)?;
        let writers = queue.tickets.iter().filter(|&&i| tickets[i].is_writer()).count();
        let budget = budget(&model, writers).max(MIN_SHARE);
        self.fill(model, tickets, queue.tickets, is_urgent, budget)
    }

    /// Notes what a turn has cost: `ms` of the worker's time, by the tickets that it was made of. Where
    /// a request took fewer tokens or more than its share, put that into the share before.
    pub fn charge(&mut self, turn: &Turn, tickets: &[Ticket], ms: f64) {
        let begun = self.now;
        self.now += if ms.is_finite() { ms.max(0.0) } else { 0.0 };
        let Some(account) = self.rounds.charge(&turn.model, ms, self.now) else { return };
        let mut has_batch = false;
        for share in &turn.shares {
            let Some(ticket) = tickets.get(share.index) else { continue };
            account.clients.charge(ticket.line(), ticket.client, share.tokens, self.now);
            has_batch |= !ticket.is_interactive();
        }
        // What merely rode along has not had its step.
        if turn.leads == Priority::Batch && has_batch {
            account.batch_led = Some(begun);
        }
    }

    /// Who of one model's tickets takes part in its step.
    fn fill(
        &mut self,
        model: Arc<str>,
        tickets: &[Ticket],
        queue: Vec<usize>,
        is_urgent: bool,
        budget: usize,
    ) -> Option<Turn> {
        let now = self.now;
        let account = self.rounds.get_mut(&model)?;
        account.clients.meet(queue.iter().map(|&i| &tickets[i]));
        let is_due = account.is_batch_due(now);
        let may_lead = |t: &Ticket| !is_urgent || t.is_interactive() || (is_due && t.is_aged(now));
        let (lead, rest): (Vec<usize>, Vec<usize>) = queue.into_iter().partition(|&i| may_lead(&tickets[i]));
        let leads = lead.iter().map(|&i| tickets[i].priority).min()?;
        let mut shares = Vec::new();
        let left = budget - self.divide(&model, tickets, lead, budget, &mut shares)?;
        // Less is not worth opening a text for; its turn to lead will come.
        if left >= 2 * MIN_SHARE {
            self.divide(&model, tickets, rest, left.min(RIDE), &mut shares)?;
        }
        Some(Turn { model, leads, shares })
    }

    /// Shares `room` tokens among requests that are equally urgent, and tells how many they take.
    fn divide(
        &self,
        model: &str,
        tickets: &[Ticket],
        group: Vec<usize>,
        room: usize,
        shares: &mut Vec<Share>,
    ) -> Option<usize> {
        let clients = &self.rounds.get(model)?.clients;
        let (writers, readers): (Vec<usize>, Vec<usize>) = group.into_iter().partition(|&i| tickets[i].is_writer());
        let mut split = |group: Vec<usize>, room: usize, least: usize| -> usize {
            let order = clients.order(tickets, group, self.now);
            let wants: Vec<Want> = order.iter().map(|&i| Want { index: i, load: tickets[i].load.max(1) }).collect();
            // A client's interactive and batch requests are two parties: they are in one group only
            // where aged ones lead, and are ordered by service of their own.
            let party = |w: &Want| (tickets[w.index].client, tickets[w.index].priority);
            let parties: Vec<&[Want]> = wants.chunk_by(|a, b| party(a) == party(b)).collect();
            let new = fair::divide(&parties, room, least);
            let used = new.iter().map(|s| s.tokens).sum();
            shares.extend(new);
            used
        };
        let reading = (room / READING).max(MIN_SHARE.min(room / 2));
        let unread = readers.iter().fold(0usize, |sum, &i| sum.saturating_add(tickets[i].load.max(1)));
        let written = split(writers, room - unread.min(reading), 1);
        Some(written + split(readers, room - written, MIN_SHARE))
    }
}

/// The tickets by model.
fn queues(tickets: &[Ticket], now: f64) -> BTreeMap<Arc<str>, Queue> {
    let mut queues: BTreeMap<Arc<str>, Queue> = BTreeMap::new();
    for (index, ticket) in tickets.iter().enumerate() {
        if !queues.contains_key(&ticket.model) {
            let new = Queue { tickets: Vec::new(), arrived: u64::MAX, has_interactive: false, has_aged: false };
            queues.insert(Arc::clone(&ticket.model), new);
        }
        let Some(queue) = queues.get_mut(&ticket.model) else { continue };
        queue.tickets.push(index);
        queue.arrived = queue.arrived.min(ticket.arrived);
        queue.has_interactive |= ticket.is_interactive();
        queue.has_aged |= !ticket.is_interactive() && ticket.is_aged(now);
    }
    queues
}
