//! A team of threads that runs one program together, with barriers that spin.
//!
//! An encoder is some forty short parallel stages. Waking a thread pool for each costs as much as
//! the work of a short sentence, so the team is woken once per forward pass and its members meet
//! at barriers.

use crate::nn::lock;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Spins before a waiting member lets others have its core.
const SPINS: u32 = 4000;

/// A place where all members of a team wait for one another, any number of times.
struct Barrier {
    count: usize,
    arrived: AtomicUsize,
    generation: AtomicUsize,
    broken: AtomicBool,
}

/// What a member ends with because another one has panicked.
struct Broken;

impl Barrier {
    fn new(count: usize) -> Self {
        Self { count, arrived: AtomicUsize::new(0), generation: AtomicUsize::new(0), broken: AtomicBool::new(false) }
    }

    fn wait(&self) {
        let generation = self.generation.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.count {
            self.arrived.store(0, Ordering::Relaxed);
            self.generation.store(generation.wrapping_add(1), Ordering::Release);
            return;
        }
        let mut spins = 0;
        while self.generation.load(Ordering::Acquire) == generation {
            if self.broken.load(Ordering::Acquire) {
                // The one that failed says why.
                resume_unwind(Box::new(Broken));
            }
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }
}

/// One thread's view of a running program.
pub struct Member<'a> {
    /// 0..count
    pub index: usize,
    /// Members of the team.
    pub count: usize,
    barrier: Option<&'a Barrier>,
}

impl Member<'_> {
    /// A member that works alone: it has all parts and never waits.
    pub fn alone() -> Self {
        Member { index: 0, count: 1, barrier: None }
    }

    /// Waits until every member is here. What each wrote before is seen by all afterwards.
    pub fn wait(&self) {
        if let Some(barrier) = self.barrier {
            barrier.wait();
        }
    }

    /// This member's share of `total` things, as even as possible.
    pub fn part(&self, total: usize) -> Range<usize> {
        total * self.index / self.count..total * (self.index + 1) / self.count
    }
}

/// A fixed set of threads.
pub struct Team {
    pool: Option<rayon::ThreadPool>,
    threads: usize,
}

impl Team {
    /// A team of `threads` (at least one).
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub fn new(threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let threads = threads.max(1);
        let pool = if threads > 1 {
            let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
            Some(builder.thread_name(|i| format!("glossa-cpu-{i}")).build()?)
        } else {
            None
        };
        Ok(Self { pool, threads })
    }

    /// Threads in the team.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `program` once on every thread, and returns when all have ended.
    ///
    /// # Panics
    /// If a member panics; the team stays usable.
    pub fn run(&self, program: impl Fn(&Member<'_>) + Sync) {
        let Some(pool) = &self.pool else {
            program(&Member::alone());
            return;
        };
        let (barrier, failure) = (Barrier::new(self.threads), Mutex::new(None));
        pool.broadcast(|context| {
            let member = Member { index: context.index(), count: self.threads, barrier: Some(&barrier) };
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| program(&member))) {
                // The others do not wait for ever.
                barrier.broken.store(true, Ordering::Release);
                if !payload.is::<Broken>() {
                    lock(&failure).get_or_insert(payload);
                }
            }
        });
        if let Some(payload) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            resume_unwind(payload);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_see_what_others_wrote_before_the_barrier() {
        let team = Team::new(4).expect("threads");
        let cells: Vec<AtomicUsize> = (0..4).map(|_| AtomicUsize::new(0)).collect();
        team.run(|me| {
            for round in 1..200 {
                cells[me.index].store(round, Ordering::Relaxed);
                me.wait();
                assert!(cells.iter().all(|c| c.load(Ordering::Relaxed) == round));
                me.wait();
            }
        });
    }

    #[test]
    fn a_panic_ends_the_run_and_the_team_goes_on() {
        let team = Team::new(3).expect("threads");
        let run = std::panic::AssertUnwindSafe(|| {
            team.run(|me| {
                assert!(me.index != 1, "one fails");
                me.wait();
            });
        });
        let payload = std::panic::catch_unwind(run).expect_err("a panic");
        assert_eq!(payload.downcast_ref::<&str>().copied(), Some("one fails"), "the one that failed says why");
        let count = AtomicUsize::new(0);
        team.run(|me| {
            me.wait();
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.into_inner(), 3);
    }

    #[test]
    fn parts_cover_everything_once() {
        for count in 1..7 {
            for total in 0..20 {
                let all: Vec<usize> =
                    (0..count).flat_map(|index| Member { index, count, barrier: None }.part(total)).collect();
                assert_eq!(all, (0..total).collect::<Vec<_>>());
            }
        }
    }
}
