//! A request on its way, which has exactly one last event whatever becomes of those who carry it.

use super::message::{CancelToken, Event, EventSink, Report, Request, RequestId, Timing};
use super::patience::Patience;
use crate::error::UserMessage;
use crate::nn::lock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Counts the requests that have not ended, for whoever submits, works or looks on.
pub struct Ledger {
    open: AtomicUsize,
    patience: Mutex<Patience>,
    born: Instant,
    /// Why the worker ended, once it has.
    last_words: Mutex<Option<UserMessage>>,
    is_closing: AtomicBool,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            open: AtomicUsize::new(0),
            patience: Mutex::default(),
            born: Instant::now(),
            last_words: Mutex::default(),
            is_closing: AtomicBool::new(false),
        }
    }
}

impl Ledger {
    /// Requests that wait or run.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Takes a place for a request, if fewer than `capacity` are taken.
    ///
    /// # Errors
    /// After how long it is worth trying again.
    pub fn enter(self: &Arc<Self>, capacity: usize) -> Result<Place, Duration> {
        let one_more = |open: usize| (open < capacity).then_some(open + 1);
        if self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_err() {
            return Err(lock(&self.patience).turn_away());
        }
        Ok(Place(Arc::clone(self)))
    }

    /// The worker has ended, and why: what is left fails with it.
    pub fn say_last_words(&self, message: Option<UserMessage>) {
        *lock(&self.last_words) = message;
    }

    /// The engine is going: what is left ends as cancelled.
    pub fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
    }

    fn leave(&self) {
        let others = self.open.fetch_sub(1, Ordering::AcqRel).saturating_sub(1);
        lock(&self.patience).ended(self.born.elapsed().as_secs_f64(), others);
    }
}

/// One of the places that requests may take; free again when it is dropped.
pub struct Place(Arc<Ledger>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// A request with everything that belongs to it. One that is dropped instead of ended tells its reader so.
pub struct Submission {
    pub id: RequestId,
    pub request: Request,
    pub cancel: CancelToken,
    pub sink: EventSink,
    pub submitted: Instant,
    place: Option<Place>,
}

impl Submission {
    /// A request that has a place.
    pub fn new(id: RequestId, request: Request, sink: EventSink, place: Place) -> Self {
        let (cancel, submitted) = (CancelToken::default(), Instant::now());
        Self { id, request, cancel, sink, submitted, place: Some(place) }
    }

    /// Whether its owner wants no more of it, or nobody reads what comes of it.
    pub fn is_unwanted(&self) -> bool {
        self.cancel.is_cancelled() || self.sink.is_abandoned()
    }

    /// Ends it without a word: it was not taken after all.
    pub fn withdraw(mut self) {
        self.place = None;
    }

    /// Sends its one last event.
    pub fn end(mut self, last: Event) {
        self.send_last(last);
    }

    fn send_last(&mut self, last: Event) {
        // Counted out first: who sees the last event may submit again at once.
        if self.place.take().is_some() {
            self.sink.send(last);
        }
    }

    /// What is known of it without having looked at it.
    fn bare_report(&self) -> Report {
        let now = Instant::now();
        let total = now.saturating_duration_since(self.submitted).as_secs_f64() * 1e3;
        Report {
            task: self.request.task,
            model: self.request.model.clone().unwrap_or_default(),
            device: "none",
            precision: "",
            submitted: self.submitted,
            started: now,
            finished: now,
            timing: Timing { total, ..Timing::default() },
            trace: Vec::new(),
            shared_with: Vec::new(),
            tokens: 0,
            cached: 0,
            saved_ms: 0,
            generated: 0,
            done: 0,
            batch: 0,
            warnings: Vec::new(),
        }
    }
}

impl Drop for Submission {
    fn drop(&mut self) {
        let Some(place) = &self.place else { return };
        let (id, report) = (self.id, self.bare_report());
        let ledger = &place.0;
        let last = if ledger.is_closing.load(Ordering::Acquire) {
            Event::Cancelled { id, report }
        } else {
            let words = lock(&ledger.last_words).clone();
            Event::Failed { id, message: words.unwrap_or_else(|| stopped("its thread ended without a reason")), report }
        };
        self.send_last(last);
    }
}

/// What to tell of an engine that has ended unasked.
pub fn stopped(why: &str) -> UserMessage {
    let next = "Press 'Start the engine again' (Ctrl+K finds it). If it repeats with this text, please report it with the text.";
    UserMessage::new("The engine stopped unexpectedly", why, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::message::Priority;

    fn submission(ledger: &Arc<Ledger>, sink: &EventSink) -> Submission {
        let request = Request::texts("fake", vec!["a".into()], Priority::Interactive);
        let place = ledger.enter(2).unwrap_or_else(|_| panic!("a place"));
        Submission::new(RequestId(1), request, sink.clone(), place)
    }

    #[test]
    fn every_way_out_has_one_last_event_and_frees_the_place() {
        let ledger = Arc::new(Ledger::default());
        let (sink, events) = EventSink::channel(None);
        let ended = submission(&ledger, &sink);
        let report = ended.bare_report();
        ended.end(Event::Done { id: RequestId(1), report });
        assert!(matches!(events.try_recv(), Ok(Event::Done { .. })));
        drop(submission(&ledger, &sink));
        assert!(matches!(events.try_recv(), Ok(Event::Failed { .. })));
        submission(&ledger, &sink).withdraw();
        let (first, second) = (submission(&ledger, &sink), submission(&ledger, &sink));
        assert!(ledger.enter(2).is_err() && ledger.open() == 2);
        ledger.say_last_words(Some(stopped("a test")));
        drop(first);
        ledger.close();
        drop(second);
        assert!(matches!(events.try_recv(), Ok(Event::Failed { message, .. }) if message.why == "a test"));
        assert!(matches!(events.try_recv(), Ok(Event::Cancelled { .. })));
        assert!(events.try_recv().is_err() && ledger.open() == 0);
    }
}
