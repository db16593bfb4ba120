//! What the module promises, over random loads in simulated time.

use super::simulate::{Arrival, Cost, World};
use super::*;
use crate::engine::message::Priority;
use proptest::prelude::*;

fn costs(models: usize) -> impl Strategy<Value = Vec<Cost>> {
    let cost = (0.5f64..30.0, 0.0f64..0.1).prop_map(|(base, token)| Cost { base, token });
    prop::collection::vec(cost, models)
}

fn arrival(models: usize, span: f64) -> impl Strategy<Value = Arrival> {
    let priority = prop_oneof![Just(Priority::Batch), Just(Priority::Interactive)];
    let prompt = prop_oneof![1usize..20, 1usize..600, Just(4000)];
    (0.0..span, 0u64..6, priority, 0..models, prompt, 0usize..40).prop_map(
        |(at, client, priority, model, prompt, writes)| Arrival { at, client, priority, model, prompt, writes },
    )
}

fn chat(client: u64, prompt: usize, writes: usize) -> Arrival {
    Arrival { at: 0.0, client, priority: Priority::Interactive, model: 0, prompt, writes }
}

/// More than any simulation here takes.
const ENDLESS: usize = 1_000_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Every turn is checked on the way (`simulate::check`). Here: nobody starves, all ends, and the
    /// same happens twice.
    #[test]
    fn all_requests_are_served_in_time_and_the_same_way_twice(
        costs in costs(4),
        budget in 16usize..1100,
        arrivals in prop::collection::vec(arrival(4, 3000.0), 1..120),
    ) {
        let mut world = World::new(&costs, budget, arrivals.clone());
        world.run(f64::INFINITY);
        // The bound of the module's description.
        let (n, s) = (costs.len() as f64 - 1.0, world.longest_step());
        let turn = s + 2.0 * n * (s + QUANTUM);
        for job in &world.jobs {
            prop_assert!(job.ended.is_some());
            let same = |j: &&simulate::Job| {
                j.ticket.client == job.ticket.client && j.model == job.model && j.ticket.priority == job.ticket.priority
            };
            let r = world.jobs.iter().filter(same).count() as f64;
            let turn = if job.ticket.is_interactive() { turn } else { AGE + turn };
            let bound = r * (AGE + 6.0 * turn);
            let wait = world.wait_of(job);
            prop_assert!(wait <= bound, "{wait} > {bound}: {job:?}");
        }
        let mut again = World::new(&costs, budget, arrivals);
        again.run(f64::INFINITY);
        prop_assert_eq!(world.log, again.log);
        // Nothing is remembered once nobody is there.
        prop_assert!(world.scheduler.next(&[], world.now + 1e6, &|_, _| budget).is_none());
        prop_assert_eq!(world.scheduler.rounds.count(), 0);
    }

    /// A request for a model that has been idle is in the step after the one in progress, whatever the
    /// others do.
    #[test]
    fn a_newcomer_waits_for_one_step(
        costs in costs(4),
        load in prop::collection::vec(arrival(3, 500.0), 1..40),
        at in 100.0f64..1500.0,
    ) {
        let mut busy = load;
        busy.extend((0..3).map(|model| Arrival { model, ..chat(7, 100, 3000) }));
        let newcomer = Arrival { at, model: 3, ..chat(8, 50, 0) };
        busy.push(newcomer);
        let mut world = World::new(&costs, 1024, busy);
        world.run(3000.0);
        let job = world.jobs.iter().find(|j| j.ticket.client == 8).expect("it came");
        let longest = world.longest_step();
        let wait = world.wait_of(job);
        prop_assert!(wait <= longest, "{wait} > {longest}");
    }

    /// One that comes back again and again has its turn within a round, and takes no more than its
    /// share of the time.
    #[test]
    fn who_comes_and_goes_has_no_more_than_who_stays(costs in costs(2), pause in 0.0f64..40.0) {
        let mut world = World::new(&costs, 1024, vec![chat(1, 1, ENDLESS)]);
        let mut worst: f64 = 0.0;
        world.step();
        while world.now < 5000.0 {
            let due = world.now + pause;
            while world.now < due {
                world.step();
            }
            world.submit(&Arrival { at: world.now, model: 1, ..chat(2, 1, 0) });
            let job = world.jobs.len() - 1;
            while world.jobs[job].ended.is_none() {
                world.step();
            }
            worst = worst.max(world.wait_of(&world.jobs[job]));
        }
        let s = world.longest_step();
        prop_assert!(worst <= s + 2.0 * (s + QUANTUM), "waited {worst}");
        let (stays, comes) = (world.time_of(0, 0.0, 5000.0), world.time_of(1, 0.0, 5000.0));
        prop_assert!(comes <= stays + 2.0 * (s + QUANTUM), "{comes} beside {stays}");
    }

    /// Models that always have work have equal shares of any stretch of time.
    #[test]
    fn time_is_shared_equally(costs in costs(4), batch in any::<bool>(), from in 0.0f64..3000.0, span in 100.0f64..3000.0) {
        let priority = if batch { Priority::Batch } else { Priority::Interactive };
        let load = (0..4).map(|model| Arrival { model, priority, ..chat(model as u64, 300, ENDLESS) });
        let mut world = World::new(&costs, 256, load.collect());
        world.run(from + span);
        let times: Vec<f64> = (0..4).map(|model| world.time_of(model, from, from + span)).collect();
        let (least, most) = times.iter().fold((f64::MAX, 0f64), |(a, b), t| (a.min(*t), b.max(*t)));
        let bound = 2.0 * (world.longest_step() + QUANTUM);
        prop_assert!(most - least <= bound, "{times:?} differ by more than {bound}");
    }

    /// Beside one request for every client, another's many get no more than one's part.
    #[test]
    fn a_client_with_many_requests_takes_nothing_from_another(many in 1usize..1000, is_batch in any::<bool>()) {
        let priority = if is_batch { Priority::Batch } else { Priority::Interactive };
        let mut load = vec![Arrival { priority, ..chat(1, ENDLESS, 0) }; many];
        load.push(Arrival { at: 50.0, priority, ..chat(2, ENDLESS, 0) });
        let mut world = World::new(&[Cost { base: 10.0, token: 0.01 }], 1024, load);
        world.run(100.0);
        let before = world.tokens_of(1);
        let start = world.tokens_of(2);
        world.run(2000.0);
        let (others, own) = (world.tokens_of(1) - before, world.tokens_of(2) - start);
        prop_assert!(own * 100 >= others * 99, "{own} tokens beside {others}");
        let single = world.jobs.last().expect("it came");
        prop_assert!(world.wait_of(single) <= world.longest_step());
    }

    /// The same where the many write: what writing leaves of a step is for reading, and some is left
    /// however many write.
    #[test]
    fn who_writes_much_leaves_room_to_read(many in 1usize..1500) {
        let mut load = vec![chat(1, 1, ENDLESS); many];
        load.push(Arrival { at: 500.0, ..chat(2, ENDLESS, 0) });
        let mut world = World::new(&[Cost { base: 10.0, token: 0.01 }], 1024, load);
        world.run(1000.0);
        let reads = world.jobs.last().expect("it came");
        prop_assert!(world.wait_of(reads) <= world.longest_step());
        let steps = world.log.iter().filter(|s| s.begun >= 500.0).count();
        let room = 1024 - many.min(768);
        prop_assert!(reads.tokens >= (steps - 1) * room, "{} tokens in {steps} steps", reads.tokens);
    }

    /// Batch requests of any number have a step at least every AGE beside saturated interactive work,
    /// and hardly more.
    #[test]
    fn batch_has_a_small_part_beside_interactive_work(costs in costs(2), many in 1usize..100) {
        let mut load = vec![chat(1, 1, ENDLESS); 3];
        load.extend(vec![Arrival { priority: Priority::Batch, model: 1, ..chat(2, ENDLESS, 0) }; many]);
        let mut world = World::new(&costs, 1024, load);
        world.run(9000.0);
        let batch: Vec<f64> = world.log.iter().filter(|s| s.model == 1).map(|s| s.begun).collect();
        let wait = AGE + 5.0 * world.longest_step() + 2.0 * QUANTUM;
        prop_assert!(batch[0] <= wait);
        for pair in batch.windows(2) {
            let between = pair[1] - pair[0];
            prop_assert!((AGE..=wait).contains(&between), "{between} ms between batch steps");
        }
        prop_assert!(9000.0 - batch[batch.len() - 1] <= wait);
    }

    /// Clients that come ever anew, more than fit into a step, don't keep one out for ever.
    #[test]
    fn new_clients_do_not_keep_old_ones_out(per_step in 65usize..80) {
        let mut world = World::new(&[Cost { base: 20.0, token: 0.0 }], 1024, Vec::new());
        world.submit(&chat(0, ENDLESS, 0));
        let mut client = 0;
        while world.now < 6000.0 {
            for _ in 0..per_step {
                client += 1;
                world.submit(&Arrival { at: world.now, ..chat(client, 16, 0) });
            }
            world.step();
        }
        // After AGE those alone are ahead that came before its last step and still wait.
        let wait = world.wait_of(&world.jobs[0]);
        prop_assert!(wait <= AGE + 2.0 * world.longest_step() + AGE * (per_step as f64 - 64.0) / 64.0, "waited {wait}");
    }
}
