//! The scheduler's rules, one by one.

use super::*;
use crate::engine::message::Priority;
use Priority::{Batch, Interactive};

fn ticket(id: u64, model: &str, load: usize) -> Ticket {
    Ticket {
        id,
        client: 1,
        priority: Interactive,
        model: model.into(),
        arrived: id,
        waiting_since: 0.0,
        load,
        is_open: false,
    }
}

fn writer(id: u64, model: &str) -> Ticket {
    Ticket { is_open: true, ..ticket(id, model, 1) }
}

/// The next turn as (which ticket, how many tokens).
fn shares(tickets: &[Ticket], now: f64, budget: usize) -> Vec<(usize, usize)> {
    let turn = Scheduler::default().next(tickets, now, &|_, _| budget).unwrap();
    turn.shares.iter().map(|s| (s.index, s.tokens)).collect()
}

/// Runs `steps` steps of always the same tickets, and tells whose they were.
fn models(scheduler: &mut Scheduler, tickets: &[Ticket], cost: impl Fn(&str) -> f64, steps: usize) -> Vec<String> {
    let mut run = || {
        let turn = scheduler.next(tickets, 0.0, &|_, _| 1024).unwrap();
        scheduler.charge(&turn, tickets, cost(&turn.model));
        turn.model.to_string()
    };
    (0..steps).map(|_| run()).collect()
}

#[test]
fn without_work_there_is_no_turn() {
    assert_eq!(Scheduler::default().next(&[], 0.0, &|_, _| 1024), None);
    assert_eq!(shares(&[ticket(0, "chat", 50)], 0.0, 0), [(0, MIN_SHARE)], "with work there is, whatever the budget");
}

#[test]
fn requests_of_a_model_share_its_step_writers_first() {
    let tickets = [ticket(0, "chat", 300), ticket(1, "search", 8), writer(2, "chat"), ticket(3, "chat", 5)];
    assert_eq!(shares(&tickets, 0.0, 1024), [(2, 1), (0, 300), (3, 5)]);
    assert_eq!(shares(&tickets, 0.0, 100), [(2, 1), (0, 94), (3, 5)], "the long one waits for its rest");
}

#[test]
fn a_step_is_not_cut_into_crumbs() {
    let tickets: Vec<Ticket> = (0..10).map(|id| ticket(id, "chat", 100)).collect();
    assert_eq!(shares(&tickets, 0.0, 50), [(0, 17), (1, 17), (2, 16)], "the oldest first");
}

#[test]
fn readers_take_turns() {
    let mut tickets: Vec<Ticket> = (0..4).map(|id| ticket(id, "chat", 100)).collect();
    tickets[0].waiting_since = 9.0;
    tickets[1].waiting_since = 9.0;
    assert_eq!(shares(&tickets, 9.0, 32), [(2, 16), (3, 16)], "who has waited longest");
    tickets[2].waiting_since = 9.0;
    tickets[3].waiting_since = 9.0;
    tickets[3].is_open = true;
    assert_eq!(shares(&tickets, 9.0, 32), [(3, 16), (0, 16)], "who has begun, if all have waited as long");
}

#[test]
fn clients_share_equally_however_much_they_ask_for() {
    let mut tickets: Vec<Ticket> = (0..10).map(|id| ticket(id, "chat", 500)).collect();
    tickets.push(Ticket { client: 2, ..ticket(10, "chat", 500) });
    let given = shares(&tickets, 0.0, 320);
    assert_eq!(given.len(), 11);
    assert_eq!(given[10], (10, 160));
    assert!(given[..10].iter().all(|s| s.1 == 16));
}

#[test]
fn interactive_leads_and_a_little_batch_rides_along() {
    let batch = |id, model, load| Ticket { priority: Batch, ..ticket(id, model, load) };
    let tickets = [batch(0, "search", 900), batch(1, "chat", 900), writer(2, "chat")];
    assert_eq!(shares(&tickets, 0.0, 1024), [(2, 1), (1, RIDE)]);
    assert_eq!(shares(&tickets[..2], 0.0, 1024), [(0, 900)], "by itself it has all");
}

#[test]
fn batch_that_has_waited_long_leads_one_step() {
    let mut tickets = [Ticket { priority: Batch, ..ticket(0, "search", 900) }, writer(1, "chat")];
    tickets[1].waiting_since = AGE;
    let mut scheduler = Scheduler::default();
    let turn = scheduler.next(&tickets, AGE, &|_, _| 1024).unwrap();
    assert_eq!(&*turn.model, "search");
    scheduler.charge(&turn, &tickets, 50.0);
    // Even if others of its model have waited as long.
    for step in 0..194 {
        let turn = scheduler.next(&tickets, AGE + 50.0 + 10.0 * f64::from(step), &|_, _| 1024).unwrap();
        assert_eq!(&*turn.model, "chat");
        scheduler.charge(&turn, &tickets, 10.0);
    }
    assert_eq!(&*scheduler.next(&tickets, 2.0 * AGE, &|_, _| 1024).unwrap().model, "search");
}

#[test]
fn models_share_time_and_not_steps() {
    let tickets = [writer(0, "chat"), writer(1, "mood")];
    let cost = |model: &str| if model == "chat" { 12.0 } else { 3.0 };
    let turns = models(&mut Scheduler::default(), &tickets, cost, 500);
    assert_eq!(turns[..5], ["chat", "mood", "mood", "mood", "mood"]);
    let chats = turns.iter().filter(|m| *m == "chat").count();
    assert!((99..=101).contains(&chats), "{chats} of 500 steps, four times as long as the others");
}

#[test]
fn a_model_that_comes_is_next() {
    let mut scheduler = Scheduler::default();
    let tickets = [writer(0, "chat"), ticket(1, "mood", 20)];
    models(&mut scheduler, &tickets[..1], |_| 0.5, 3);
    assert_eq!(models(&mut scheduler, &tickets, |_| 0.5, 2), ["mood", "chat"], "in the middle of a quantum");
}

#[test]
fn neither_credit_nor_debt_lasts() {
    let tickets = [writer(0, "chat"), writer(1, "mood")];
    let mut scheduler = Scheduler::default();
    models(&mut scheduler, &tickets[..1], |_| 60_000.0, 1);
    let turns = models(&mut scheduler, &tickets, |_| 10.0, 202);
    let first = turns.iter().position(|m| m == "chat").unwrap();
    assert!((99..=101).contains(&first), "a second is paid for, not a minute: {first}");
    models(&mut scheduler, &tickets[..1], |_| 10.0, 1000);
    let turns = models(&mut scheduler, &tickets, |_| 10.0, 100);
    let moods = turns.iter().filter(|m| *m == "mood").count();
    assert!((50..=51).contains(&moods), "ten seconds away save one quantum: {moods}");
}

#[test]
fn odd_numbers_do_no_harm() {
    let mut tickets = vec![ticket(0, "chat", 0), ticket(1, "chat", usize::MAX), ticket(2, "mood", usize::MAX)];
    tickets[0].waiting_since = f64::NAN;
    tickets[1].waiting_since = f64::INFINITY;
    for (quantum, budget) in [(0.0, 17), (-1.0, 100), (f64::NAN, 1024), (f64::INFINITY, usize::MAX)] {
        let mut scheduler = Scheduler::new(quantum);
        let mut seen = [false; 3];
        for ms in [f64::NAN, -5.0, f64::INFINITY, 0.0, 1e300].into_iter().cycle().take(20_000) {
            let turn = scheduler.next(&tickets, 0.0, &|_, _| budget).unwrap();
            scheduler.charge(&turn, &tickets, ms);
            turn.shares.iter().for_each(|s| seen[s.index] = true);
        }
        assert_eq!(seen, [true; 3]);
        let turn = Turn { model: "gone".into(), leads: Batch, shares: vec![Share { index: 99, tokens: 1 }] };
        scheduler.charge(&turn, &tickets, 1.0);
    }
}

#[test]
fn what_is_gone_is_forgotten() {
    for models in [1, 1000] {
        let mut scheduler = Scheduler::default();
        for step in 0..1000u32 {
            let now = f64::from(step) * 100.0;
            let model = format!("model {}", step % models);
            let mut tickets: Vec<Ticket> = (0..5).map(|id| writer(id, &model)).collect();
            tickets.iter_mut().for_each(|t| t.client = u64::from(step) * 5 + t.id);
            let turn = scheduler.next(&tickets, now, &|_, _| 1024).unwrap();
            scheduler.charge(&turn, &tickets, 100.0);
            assert!(scheduler.rounds.count() <= 3, "of {step} models");
            assert_eq!(scheduler.rounds.count_clients(), 5);
        }
    }
}
