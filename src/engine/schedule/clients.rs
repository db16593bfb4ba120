//! Which client goes first where not all fit into a step of their model: the one with the least
//! service so far, as in start-time fair queueing (Goyal, Vin and Cheng 1996).

use super::ticket::{AGE, Line, Ticket};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

#[derive(Clone, Debug)]
struct Client {
    /// Tokens beyond what the least served client of the line has had.
    service: u64,
    /// When it last took part in a step, or came.
    served: f64,
}

/// The clients of a model.
#[derive(Clone, Debug, Default)]
pub struct Clients(BTreeMap<(Line, u64), Client>);

impl Clients {
    /// Forgets clients without tickets, and takes new ones in as equal to the least served, so that
    /// they neither push others out nor wait for them.
    pub fn meet<'a>(&mut self, tickets: impl Iterator<Item = &'a Ticket>) {
        let mut present: BTreeMap<(Line, u64), f64> = BTreeMap::new();
        for ticket in tickets {
            let since = present.entry((ticket.line(), ticket.client)).or_insert(f64::INFINITY);
            *since = since.min(ticket.waiting_since);
        }
        self.0.retain(|key, _| present.contains_key(key));
        let mut least: BTreeMap<Line, u64> = BTreeMap::new();
        for ((line, _), client) in &self.0 {
            let least = least.entry(*line).or_insert(u64::MAX);
            *least = client.service.min(*least);
        }
        for ((line, _), client) in &mut self.0 {
            client.service -= least.get(line).copied().unwrap_or_default();
        }
        for (key, served) in present {
            if let Entry::Vacant(place) = self.0.entry(key) {
                place.insert(Client { service: 0, served });
            }
        }
    }

    /// Counts `tokens` that a client had in a step until `now`.
    pub fn charge(&mut self, line: Line, client: u64, tokens: usize, now: f64) {
        if let Some(client) = self.0.get_mut(&(line, client)) {
            client.service = client.service.saturating_add(tokens as u64);
            client.served = now;
        }
    }

    /// `group` in the order in which it is served: by client, and of a client's requests of a priority
    /// first the one that has waited longest.
    pub fn order(&self, tickets: &[Ticket], mut group: Vec<usize>, now: f64) -> Vec<usize> {
        group.sort_by_cached_key(|&i| {
            let t = &tickets[i];
            (self.rank(t.line(), t.client, now), t.client, t.priority, micros(t.waiting_since), !t.is_open, t.arrived)
        });
        group
    }

    /// Low goes first. Who has had nothing for long goes before those with less service, or clients
    /// that come ever anew could keep it out.
    fn rank(&self, line: Line, client: u64, now: f64) -> (bool, i64, i64) {
        match self.0.get(&(line, client)) {
            Some(c) if now - c.served >= AGE => (false, micros(c.served), 0),
            Some(c) => (true, i64::try_from(c.service).unwrap_or(i64::MAX), micros(c.served)),
            None => (true, 0, 0),
        }
    }

    /// Clients that are remembered, once for each line.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// A time that can be sorted by.
fn micros(ms: f64) -> i64 {
    (ms * 1e3) as i64
}
