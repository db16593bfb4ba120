//! Whose turn it is among models: deficit round robin (Shreedhar and Varghese 1995), in milliseconds
//! of step time.
//!
//! Each model gets a quantum per round and pays what its steps cost after they have run, so its credit
//! may fall below zero and is made up for in later rounds. Unlike the original a model doesn't use up
//! its quantum in one go: of those with credit the one goes that has waited longest, so that who has
//! just come waits for one step and not for a quantum.

use super::clients::Clients;
use super::ticket::{AGE, DEBT, QUANTUM};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A step is charged at least these milliseconds: one that seems free would always have credit.
const MIN_COST: f64 = 0.1;

/// What is remembered of a model.
#[derive(Clone, Debug)]
pub struct Account {
    /// Milliseconds that it may still use in this round.
    credit: f64,
    /// Number of its last step; 0 before its first.
    step: u64,
    /// When an equal part of the time since its last step makes up for all that it has used.
    even_at: f64,
    /// Whether it had no tickets when last looked at.
    is_idle: bool,
    /// When batch requests last led a step of it.
    pub batch_led: Option<f64>,
    pub clients: Clients,
}

impl Account {
    /// Whether a batch request that has waited long may lead a step beside interactive ones.
    pub fn is_batch_due(&self, now: f64) -> bool {
        self.batch_led.is_none_or(|at| now - at >= AGE)
    }
}

/// A model that could have the next step, and when its oldest request came.
pub struct Candidate {
    pub model: Arc<str>,
    pub arrived: u64,
}

/// The models' accounts.
#[derive(Clone, Debug)]
pub struct Rounds {
    quantum: f64,
    /// Steps so far.
    steps: u64,
    /// Models with work when last looked at.
    busy: usize,
    accounts: BTreeMap<Arc<str>, Account>,
}

impl Rounds {
    /// Rounds of `quantum` milliseconds for each model.
    pub fn new(quantum: f64) -> Self {
        // Not below the cost of a step, nor beyond what debts are kept of.
        let quantum = if quantum.is_finite() { quantum.clamp(MIN_COST, DEBT) } else { QUANTUM };
        Self { quantum, steps: 0, busy: 0, accounts: BTreeMap::new() }
    }

    /// Learns which models have work, and how many. Those without are forgotten, though not before the
    /// time that has passed makes up for what they used: else who comes and goes would have more than
    /// who stays.
    pub fn meet(&mut self, has_work: impl Fn(&str) -> bool, busy: usize, now: f64) {
        self.busy = busy;
        let quantum = self.quantum;
        self.accounts.retain(|_, a| !a.is_idle || (a.credit < quantum && now < a.even_at));
        for (model, account) in &mut self.accounts {
            account.is_idle = !has_work(model);
            if account.is_idle {
                account.clients = Clients::default();
            }
        }
    }

    /// Opens an account for a model that has none.
    pub fn open(&mut self, model: &Arc<str>, now: f64) {
        if !self.accounts.contains_key(model) {
            let new = Account {
                credit: self.quantum,
                step: 0,
                even_at: now,
                is_idle: false,
                batch_led: None,
                clients: Clients::default(),
            };
            self.accounts.insert(Arc::clone(model), new);
        }
    }

    /// A model's account.
    pub fn get(&self, model: &str) -> Option<&Account> {
        self.accounts.get(model)
    }

    /// A model's account, to change.
    pub fn get_mut(&mut self, model: &str) -> Option<&mut Account> {
        self.accounts.get_mut(model)
    }

    /// Whose turn it is.
    pub fn pick(&mut self, candidates: &[Candidate]) -> Option<Arc<str>> {
        let richest = candidates.iter().map(|c| self.credit(&c.model)).max_by(f64::total_cmp)?;
        if richest <= 0.0 {
            self.begin_rounds((-richest / self.quantum).floor() + 1.0);
        }
        let order = |c: &&Candidate| {
            let step = self.accounts.get(&c.model).map_or(0, |a| a.step);
            (self.credit(&c.model) <= 0.0, step, c.arrived)
        };
        candidates.iter().min_by_key(order).map(|c| Arc::clone(&c.model))
    }

    fn credit(&self, model: &str) -> f64 {
        self.accounts.get(model).map_or(0.0, |a| a.credit)
    }

    /// Gives everybody quanta, of which only one can be saved.
    fn begin_rounds(&mut self, rounds: f64) {
        for account in self.accounts.values_mut() {
            account.credit = (account.credit + rounds * self.quantum).min(self.quantum);
        }
    }

    /// Takes a step's cost from its model's credit; it ended `now`.
    pub fn charge(&mut self, model: &str, ms: f64, now: f64) -> Option<&mut Account> {
        let account = self.accounts.get_mut(model)?;
        self.steps += 1;
        let cost = if ms.is_finite() { ms.max(MIN_COST) } else { MIN_COST };
        account.credit = (account.credit - cost).max(-DEBT);
        account.step = self.steps;
        account.even_at = now + (self.quantum - account.credit) * self.busy as f64;
        Some(account)
    }

    /// Models that are remembered.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.accounts.len()
    }

    /// Clients that are remembered, once for each model and line.
    #[cfg(test)]
    pub fn count_clients(&self) -> usize {
        self.accounts.values().map(|a| a.clients.count()).sum()
    }
}
