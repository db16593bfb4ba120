//! Events that nobody has read yet, put together as far as nothing is lost by it. Pure: no threads, no clocks.

use super::event::{Event, RequestId};
use super::news::{News, Phase};
use crate::tasks::{Output, Partial};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// News of the engine itself that are kept for a reader who does not come; the oldest go first.
const MOST_NEWS: usize = 4096;

/// What a request has waiting for its reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Inputs whose answers wait.
    pub answers: usize,
    /// About the bytes of all that waits.
    pub bytes: usize,
}

/// An event in its place, and about its bytes.
struct Letter {
    event: Event,
    bytes: usize,
}

/// Where a request's unread events lie that more can be added to.
#[derive(Default)]
struct Own {
    unread: Unread,
    events: usize,
    partials: HashMap<usize, u64>,
    items: Option<u64>,
    loading: Option<u64>,
    progress: Option<u64>,
}

impl Own {
    /// Forgets what lay at `place`: it has been read.
    fn taken(&mut self, place: u64) {
        self.partials.retain(|_, at| *at != place);
        for kept in [&mut self.items, &mut self.loading, &mut self.progress] {
            *kept = kept.filter(|at| *at != place);
        }
    }
}

/// The pile, oldest below.
#[derive(Default)]
pub struct Pile {
    letters: BTreeMap<u64, Letter>,
    next: u64,
    of: HashMap<RequestId, Own>,
    /// Places of the engine's own news, in order, and of the newest status.
    news: VecDeque<u64>,
    status: Option<u64>,
}

impl Pile {
    /// What request `id` has waiting.
    pub fn unread(&self, id: RequestId) -> Unread {
        self.of.get(&id).map(|o| o.unread).unwrap_or_default()
    }

    /// Events that wait, after putting together.
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    /// Takes the oldest.
    pub fn pop(&mut self) -> Option<Event> {
        let (place, letter) = self.letters.pop_first()?;
        let Some(id) = letter.event.id() else {
            self.news.retain(|at| *at != place);
            self.status = self.status.filter(|at| *at != place);
            return Some(letter.event);
        };
        if let Some(own) = self.of.get_mut(&id) {
            own.taken(place);
            own.events -= 1;
            own.unread.bytes = own.unread.bytes.saturating_sub(letter.bytes);
            own.unread.answers = own.unread.answers.saturating_sub(answers(&letter.event));
            if own.events == 0 {
                self.of.remove(&id);
            }
        }
        Some(letter.event)
    }

    /// Lays `event` on the pile, or adds it to what of its kind lies there.
    pub fn push(&mut self, event: Event) {
        match event.id() {
            Some(id) => self.push_of(id, event),
            None => self.push_news(event),
        }
    }

    fn push_of(&mut self, id: RequestId, event: Event) {
        let (more, arrived) = (weigh(&event), answers(&event));
        let place = self.next;
        let own = self.of.entry(id).or_default();
        let slot = match &event {
            Event::Loading { .. } => own.loading.replace(place),
            Event::Progress { .. } => own.progress.replace(place),
            Event::Items { .. } => own.items.replace(place),
            Event::Partial { index, .. } => own.partials.insert(*index, place),
            // What is told of a loading after this is a new one.
            Event::Started { .. } => own.loading.take().and(None),
            _ => None,
        };
        own.unread.answers += arrived;
        if let Some(old) = slot
            && let Some(letter) = self.letters.get_mut(&old)
        {
            let added = add(&mut letter.event, event, more);
            letter.bytes += added;
            own.unread.bytes += added;
            match &letter.event {
                Event::Loading { .. } => own.loading = Some(old),
                Event::Progress { .. } => own.progress = Some(old),
                Event::Items { .. } => own.items = Some(old),
                Event::Partial { index, .. } => drop(own.partials.insert(*index, old)),
                _ => {}
            }
            return;
        }
        if matches!(event, Event::Partial { .. }) {
            // An answer must not come before the last part of its text.
            own.items = None;
        }
        own.unread.bytes += more;
        own.events += 1;
        self.lay(event, more);
    }

    fn push_news(&mut self, event: Event) {
        match &event {
            // A status is the whole picture: only what an older one had to tell beside it must be kept.
            Event::Status(_) => {
                if let Some(old) = self.status.take()
                    && matches!(self.letters.get(&old), Some(Letter { event: Event::Status(s), .. }) if s.notice.is_none())
                {
                    self.letters.remove(&old);
                    self.news.retain(|at| *at != old);
                }
                self.status = Some(self.next);
            }
            Event::Library(News::Download(fresh)) if fresh.state == Phase::Running => {
                let same = |at: &u64| {
                    matches!(self.letters.get(at), Some(Letter { event: Event::Library(News::Download(d)), .. })
                        if d.id == fresh.id && d.state == Phase::Running)
                };
                if let Some(letter) =
                    self.news.iter().rev().copied().find(same).and_then(|at| self.letters.get_mut(&at))
                {
                    letter.event = event;
                    return;
                }
            }
            _ => {}
        }
        self.news.push_back(self.next);
        if self.news.len() > MOST_NEWS
            && let Some(oldest) = self.news.pop_front()
        {
            self.letters.remove(&oldest);
        }
        self.lay(event, 0);
    }

    fn lay(&mut self, event: Event, bytes: usize) {
        self.letters.insert(self.next, Letter { event, bytes });
        self.next += 1;
    }
}

/// Answers that an event brings.
fn answers(event: &Event) -> usize {
    match event {
        Event::Items { items, .. } => items.len(),
        _ => 0,
    }
}

/// About the bytes of an event that grow with what it says.
fn weigh(event: &Event) -> usize {
    match event {
        Event::Partial { partial, .. } => {
            let steps: usize = partial.steps.iter().map(|s| 64 + s.text.len() + 48 * s.top.len()).sum();
            partial.text.len() + steps + partial.passages.iter().map(|p| p.1.len()).sum::<usize>()
        }
        Event::Items { items, .. } => items.iter().map(|(_, result)| result.as_ref().map_or(256, weight_of)).sum(),
        _ => 0,
    }
}

fn weight_of(output: &Output) -> usize {
    match output {
        Output::Text(g) => 128 + g.text.len() + g.steps.len() * 64,
        Output::Translation(t) => 128 + 2 * t.text.len(),
        Output::Vector(v) => 64 + 4 * v.vector.len(),
        _ => 256,
    }
}

/// Puts `new` behind what `old` says already; the bytes that came on top.
fn add(old: &mut Event, new: Event, bytes: usize) -> usize {
    match (old, new) {
        (Event::Partial { partial, .. }, Event::Partial { partial: more, .. }) => join(partial, more),
        (Event::Items { items, done, total, .. }, Event::Items { items: more, done: d, total: t, .. }) => {
            items.extend(more);
            (*done, *total) = (d, t);
            bytes
        }
        (old, new) => {
            *old = new;
            0
        }
    }
}

/// Puts two parts of one answer together; the bytes that came on top.
fn join(old: &mut Partial, more: Partial) -> usize {
    let mut added = more.text.len() + more.steps.iter().map(|s| 64 + s.text.len() + 48 * s.top.len()).sum::<usize>();
    old.prompt = more.prompt;
    old.text.push_str(&more.text);
    old.steps.extend(more.steps);
    old.tokens += more.tokens;
    for (index, text) in more.passages {
        match old.passages.iter_mut().find(|p| p.0 == index) {
            // Each is told whole, so the newest is enough.
            Some(passage) => {
                added += text.len().saturating_sub(passage.1.len());
                passage.1 = text;
            }
            None => {
                added += text.len();
                old.passages.push((index, text));
            }
        }
    }
    added
}
