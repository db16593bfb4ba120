//! A pool under random use keeps its books.

use super::{Admission, PAGE, Pool, Table, pages_of};

/// Numbers that look random and are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }
}

fn text(seed: u32, len: usize) -> Vec<u32> {
    (0..len as u32).map(|i| i * 7 + seed).collect()
}

fn admitted(pool: &Pool, prompt: &[u32], most: usize) -> Table {
    match pool.admit(prompt, most, 0) {
        Admission::Ready(table) => table,
        Admission::Wait => unreachable!("there is room"),
        Admission::Never { needed, limit } => unreachable!("{needed} of {limit}"),
    }
}

/// Reads all of `prompt` that is not held.
fn read(table: &mut Table, prompt: &[u32]) {
    while table.tokens().len() < prompt.len() {
        let rest = &prompt[table.tokens().len()..];
        let rest = &rest[..rest.len().min(50)];
        table.reserve(rest.len()).expect("promised");
        assert!(table.pointers().len() >= pages_of(table.tokens().len() + rest.len()));
        table.extend(rest);
    }
}

#[test]
fn a_common_beginning_is_held_once() {
    let pool = Pool::new(8);
    pool.set_limit(100);
    let prompt = text(0, 3 * PAGE + 20);
    let mut first = admitted(&pool, &prompt, prompt.len() + 10);
    assert!(first.tokens().is_empty());
    read(&mut first, &prompt);
    assert_eq!(pool.usage().held, 4);

    // While the first is at work its full pages are there, afterwards its last one too.
    let mut other = prompt.clone();
    other.extend(text(9, 30));
    let second = admitted(&pool, &other, other.len());
    assert_eq!(second.tokens().len(), 3 * PAGE);
    assert_eq!(second.pointers()[..3], first.pointers()[..3]);
    drop((first, second));
    assert_eq!((pool.usage().held, pool.usage().promised, pool.usage().texts), (0, 0, 0));
    let third = admitted(&pool, &other, other.len());
    assert_eq!(third.tokens(), prompt, "all of it is known");
    assert_eq!(pool.usage().pages, 5, "four that are kept, and a last one of its own");
}

#[test]
fn the_same_prompt_at_the_same_time_ends_in_the_same_pages() {
    let pool = Pool::new(8);
    let prompt = text(0, 2 * PAGE + 5);
    let (mut a, mut b) = (admitted(&pool, &prompt, 200), admitted(&pool, &prompt, 200));
    read(&mut a, &prompt[..PAGE]);
    assert_eq!(b.catch_up(&prompt), PAGE);
    read(&mut a, &prompt);
    // One that has begun with the page by itself gives its own back.
    b.reserve(10).expect("room");
    b.extend(&prompt[PAGE..PAGE + 10]);
    assert_eq!(b.catch_up(&prompt), 0, "in the middle of a page");
    read(&mut b, &prompt);
    assert_eq!(a.pointers()[..2], b.pointers()[..2]);
    assert_eq!(pool.usage().held, 4);
}

#[test]
fn forks_share_until_one_of_them_writes() {
    let pool = Pool::new(4);
    let prompt = text(0, PAGE + 10);
    let mut first = admitted(&pool, &prompt, 2 * PAGE);
    read(&mut first, &prompt);
    let mut fork = first.fork();
    assert_eq!((pool.usage().held, fork.pointers()), (2, first.pointers()));
    fork.reserve(1).expect("room");
    assert_eq!(pool.usage().held, 3);
    assert_eq!(fork.pointers()[0], first.pointers()[0]);
    assert_ne!(fork.pointers()[1], first.pointers()[1]);
    fork.extend(&[1]);
    drop(first);
    drop(fork);
    assert_eq!((pool.usage().held, pool.usage().promised), (0, 0));
}

#[test]
fn who_is_admitted_never_lacks_a_page_and_who_is_not_waits() {
    let pool = Pool::new(4);
    pool.set_limit(5);
    assert!(matches!(pool.admit(&text(0, 10), 6 * PAGE, 0), Admission::Never { needed: 6, limit: 5 }));
    let mut first = admitted(&pool, &text(1, 10), 3 * PAGE);
    assert!(matches!(pool.admit(&text(2, 10), 3 * PAGE, 0), Admission::Wait));
    let mut plain = pool.table();
    plain.reserve(2 * PAGE).expect("two are free");
    assert!(plain.reserve(2 * PAGE + 1).is_err(), "the others are promised");
    read(&mut first, &text(1, 3 * PAGE));
    assert_eq!(pool.usage().held, 5);
    drop(plain);
    drop(first);
    // What is kept makes way, oldest first.
    let mut second = admitted(&pool, &text(2, 10), 5 * PAGE);
    read(&mut second, &text(2, 5 * PAGE));
    assert_eq!((pool.usage().held, pool.usage().pages), (5, 5));
}

#[test]
fn a_thousand_texts_that_come_and_go_leave_nothing_behind() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let pool = Pool::new(4);
        pool.set_limit(24);
        let mut running: Vec<(Table, Vec<u32>, usize)> = Vec::new();
        for _ in 0..1000 {
            let at = random.below(running.len());
            match random.below(7) {
                0 | 1 => {
                    let prompt = text(random.below(3) as u32, 1 + random.below(3 * PAGE));
                    let most = prompt.len() + random.below(PAGE);
                    if let Admission::Ready(table) = pool.admit(&prompt, most, 2) {
                        assert!(table.tokens().len() < prompt.len() && prompt.starts_with(table.tokens()));
                        running.push((table, prompt, most));
                    }
                }
                2 if !running.is_empty() => drop(running.swap_remove(at)),
                3 if !running.is_empty() && running.len() < 20 => {
                    let (table, prompt, _) = &running[at];
                    let fork = (table.fork(), prompt.clone(), table.tokens().len());
                    running.push(fork);
                }
                4 if !running.is_empty() => {
                    let (table, ..) = &mut running[at];
                    let len = table.tokens().len();
                    table.truncate(len - random.below(len.min(70) + 1));
                }
                _ if !running.is_empty() => {
                    let (table, prompt, most) = &mut running[at];
                    table.catch_up(prompt);
                    let len = table.tokens().len();
                    let count = (1 + random.below(40)).min(most.saturating_sub(len));
                    let ids: Vec<u32> = (len..len + count).map(|i| prompt.get(i).copied().unwrap_or(5)).collect();
                    if count > 0 && table.reserve(count).is_ok() {
                        table.extend(&ids);
                    }
                }
                _ => {}
            }
            let usage = pool.usage();
            assert!(usage.held + usage.promised <= usage.limit, "{usage:?}");
            assert!(usage.pages >= usage.held && usage.pages <= usage.limit, "{usage:?}");
        }
        running.clear();
        let usage = pool.usage();
        assert_eq!((usage.held, usage.promised, usage.texts), (0, 0, 0), "{usage:?}");
        pool.clear();
        assert_eq!((pool.usage().pages, pool.bytes()), (0, 0));
    }
}
