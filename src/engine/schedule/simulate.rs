//! A worker in simulated time, which checks every turn that the scheduler chooses.

use super::*;
use crate::engine::message::Priority;

/// A request to come.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub at: f64,
    pub client: u64,
    pub priority: Priority,
    pub model: usize,
    /// Tokens to read.
    pub prompt: usize,
    /// Tokens to write after that, one in a step.
    pub writes: usize,
}

/// What a model's steps cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub base: f64,
    pub token: f64,
}

/// A request that has come.
#[derive(Clone, Debug)]
pub struct Job {
    pub ticket: Ticket,
    pub model: usize,
    unread: usize,
    unwritten: usize,
    /// Longest time between services, or until the first.
    longest_wait: f64,
    pub ended: Option<f64>,
    pub tokens: usize,
}

/// A step that was run.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub begun: f64,
    pub ms: f64,
    pub model: usize,
    /// Requests by number, and tokens of each.
    pub shares: Vec<(usize, usize)>,
    pub has_interactive: bool,
}

/// The worker, its requests and its log.
pub struct World {
    pub scheduler: Scheduler,
    pub now: f64,
    pub costs: Vec<Cost>,
    pub budget: usize,
    pub jobs: Vec<Job>,
    pub log: Vec<Step>,
    /// Requests that have not ended.
    open: Vec<usize>,
    /// Not yet come, the next one last.
    pending: Vec<Arrival>,
}

impl World {
    pub fn new(costs: &[Cost], budget: usize, mut arrivals: Vec<Arrival>) -> Self {
        arrivals.sort_by(|a, b| b.at.total_cmp(&a.at));
        Self {
            scheduler: Scheduler::default(),
            now: 0.0,
            costs: costs.to_vec(),
            budget,
            jobs: Vec::new(),
            log: Vec::new(),
            open: Vec::new(),
            pending: arrivals,
        }
    }

    pub fn submit(&mut self, arrival: &Arrival) {
        let number = self.jobs.len() as u64;
        let ticket = Ticket {
            id: number,
            client: arrival.client,
            priority: arrival.priority,
            model: format!("model {}", arrival.model).into(),
            arrived: number,
            waiting_since: arrival.at,
            load: arrival.prompt.max(1),
            is_open: false,
        };
        self.open.push(self.jobs.len());
        self.jobs.push(Job {
            ticket,
            model: arrival.model,
            unread: arrival.prompt.max(1),
            unwritten: arrival.writes,
            longest_wait: 0.0,
            ended: None,
            tokens: 0,
        });
    }

    /// Runs until `end`, or until all is done.
    pub fn run(&mut self, end: f64) {
        while self.now < end && self.step() {}
    }

    /// One step; false when there is nothing left to do.
    pub fn step(&mut self) -> bool {
        while let Some(next) = self.pending.pop_if(|a| a.at <= self.now) {
            self.submit(&next);
        }
        let open = &self.open;
        let tickets: Vec<Ticket> = open.iter().map(|&i| self.jobs[i].ticket.clone()).collect();
        let Some(turn) = self.scheduler.next(&tickets, self.now, &|_, _| self.budget) else {
            assert!(tickets.is_empty(), "work is left undone");
            let Some(next) = self.pending.last() else { return false };
            self.now = next.at;
            return true;
        };
        check(&turn, &tickets, self.now, self.budget);
        let model = self.jobs[open[turn.shares[0].index]].model;
        let cost = self.costs[model];
        let tokens: usize = turn.shares.iter().map(|s| s.tokens).sum();
        let ms = cost.base + cost.token * tokens as f64;
        self.log.push(Step {
            begun: self.now,
            ms,
            model,
            shares: turn.shares.iter().map(|s| (open[s.index], s.tokens)).collect(),
            has_interactive: turn.shares.iter().any(|s| tickets[s.index].is_interactive()),
        });
        self.now += ms;
        for share in &turn.shares {
            self.jobs[open[share.index]].serve(share.tokens, self.now - ms, self.now);
        }
        self.open.retain(|&i| self.jobs[i].ended.is_none());
        self.scheduler.charge(&turn, &tickets, ms);
        assert!(self.scheduler.rounds.count() <= self.costs.len());
        true
    }

    /// Milliseconds of the steps of `model` that began within a stretch of time.
    pub fn time_of(&self, model: usize, from: f64, to: f64) -> f64 {
        let within = |s: &&Step| s.model == model && s.begun >= from && s.begun < to;
        self.log.iter().filter(within).map(|s| s.ms).sum()
    }

    /// The longest that a request has waited for a step, up to now.
    pub fn wait_of(&self, job: &Job) -> f64 {
        let current = if job.ended.is_none() { self.now - job.ticket.waiting_since } else { 0.0 };
        job.longest_wait.max(current)
    }

    /// Tokens that a client's requests had.
    pub fn tokens_of(&self, client: u64) -> usize {
        self.jobs.iter().filter(|j| j.ticket.client == client).map(|j| j.tokens).sum()
    }

    /// The longest step that there was.
    pub fn longest_step(&self) -> f64 {
        self.log.iter().map(|s| s.ms).fold(0.0, f64::max)
    }
}

impl Job {
    fn serve(&mut self, tokens: usize, begun: f64, ended: f64) {
        self.longest_wait = self.longest_wait.max(begun - self.ticket.waiting_since);
        self.ticket.waiting_since = ended;
        self.ticket.is_open = true;
        self.tokens += tokens;
        if self.unread > 0 {
            self.unread -= tokens;
        } else {
            self.unwritten -= 1;
        }
        self.ticket.load = self.unread.max(1);
        if self.unread == 0 && self.unwritten == 0 {
            self.ended = Some(ended);
        }
    }
}

/// What is true of every turn.
fn check(turn: &Turn, tickets: &[Ticket], now: f64, budget: usize) {
    let budget = budget.max(MIN_SHARE);
    assert!(!turn.shares.is_empty(), "a turn without work");
    assert!(turn.shares.iter().map(|s| s.tokens).sum::<usize>() <= budget, "more than the budget");
    let mut indices: Vec<usize> = turn.shares.iter().map(|s| s.index).collect();
    indices.sort_unstable();
    indices.dedup();
    assert_eq!(indices.len(), turn.shares.len(), "twice in a step");
    for share in &turn.shares {
        let ticket = &tickets[share.index];
        assert_eq!(ticket.model, turn.model);
        assert!(share.tokens >= 1 && share.tokens <= ticket.load.max(1), "{share:?} of {ticket:?}");
    }
    let takes_part = |i: usize| indices.binary_search(&i).is_ok();
    let taking: Vec<&Ticket> = indices.iter().map(|&i| &tickets[i]).collect();
    if tickets.iter().any(Ticket::is_interactive) {
        let led = taking.iter().any(|t| t.is_interactive() || t.is_aged(now));
        assert!(led, "young batch requests went before interactive ones");
        let young = |s: &&Share| !tickets[s.index].is_interactive() && !tickets[s.index].is_aged(now);
        let rode: usize = turn.shares.iter().filter(young).map(|s| s.tokens).sum();
        assert!(rode <= RIDE, "{rode} tokens rode along");
    }
    // Those that write do so in every step of their model.
    if taking.iter().any(|t| t.is_interactive()) {
        let writes = |t: &Ticket| t.model == turn.model && t.is_interactive() && t.is_writer();
        let writers: Vec<usize> = (0..tickets.len()).filter(|&i| writes(&tickets[i])).collect();
        // Aged batch requests that write count as interactive.
        let others = taking.iter().filter(|t| t.is_writer() && !t.is_interactive()).count();
        if writers.len() + others <= budget - (budget / READING).max(MIN_SHARE.min(budget / 2)) {
            assert!(writers.iter().all(|&i| takes_part(i)), "a writer stood still");
        }
    }
    // Whoever reads a part reads something useful.
    for share in turn.shares.iter().filter(|s| !tickets[s.index].is_writer()) {
        let least = MIN_SHARE.min(tickets[share.index].load).min(budget / 2);
        assert!(share.tokens >= least, "{share:?} is a crumb");
    }
}
