//! Where events wait until somebody reads them. Sending never waits: what nobody has read yet is put together.

use super::event::{Event, RequestId};
use super::pile::{Pile, Unread};
use crate::nn::lock;
use crossbeam_channel::{RecvError, RecvTimeoutError, TryRecvError};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Answers and bytes that a request may have unread; above that it waits for its reader.
const MOST: Unread = Unread { answers: 4096, bytes: 1 << 20 };

/// Called after every event, to wake whoever reads.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The end of a mailbox that events are put into. Several requests may share one.
pub struct EventSink {
    post: Arc<Post>,
    wake: Option<Wake>,
}

/// The end of a mailbox that is read. When it is dropped, the requests that send to it are cancelled.
pub struct Events {
    post: Arc<Post>,
}

#[derive(Default)]
struct Post {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    pile: Pile,
    senders: usize,
    is_abandoned: bool,
    /// Of the task that waits for the next event.
    waker: Option<Waker>,
}

impl EventSink {
    /// A mailbox. `wake` is called after every event, on the engine's thread.
    pub fn channel(wake: Option<Wake>) -> (Self, Events) {
        let post = Arc::new(Post::default());
        lock(&post.state).senders = 1;
        (Self { post: Arc::clone(&post), wake }, Events { post })
    }

    /// Delivers `event`; never waits. False if nobody will read it.
    pub fn send(&self, event: Event) -> bool {
        let waker = {
            let mut state = lock(&self.post.state);
            if state.is_abandoned {
                return false;
            }
            state.pile.push(event);
            state.waker.take()
        };
        self.post.arrived.notify_one();
        // Strangers' code: it must neither run under the lock nor take the engine down.
        let call = || {
            if let Some(waker) = waker {
                waker.wake();
            }
            if let Some(wake) = &self.wake {
                wake();
            }
        };
        if catch_unwind(AssertUnwindSafe(call)).is_err() {
            tracing::error!("whoever was to be woken for an event panicked");
        }
        true
    }

    /// What request `id` has waiting to be read.
    pub fn unread(&self, id: RequestId) -> Unread {
        lock(&self.post.state).pile.unread(id)
    }

    /// Whether request `id` has so much unread that it should wait for its reader.
    pub fn is_full(&self, id: RequestId) -> bool {
        let unread = self.unread(id);
        unread.answers > MOST.answers || unread.bytes > MOST.bytes
    }

    /// Whether nobody reads any more.
    pub fn is_abandoned(&self) -> bool {
        lock(&self.post.state).is_abandoned
    }
}

impl Clone for EventSink {
    fn clone(&self) -> Self {
        lock(&self.post.state).senders += 1;
        Self { post: Arc::clone(&self.post), wake: self.wake.clone() }
    }
}

impl Drop for EventSink {
    fn drop(&mut self) {
        let waker = {
            let mut state = lock(&self.post.state);
            state.senders -= 1;
            if state.senders > 0 {
                return;
            }
            state.waker.take()
        };
        self.post.arrived.notify_all();
        if let Some(waker) = waker {
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}

impl Events {
    /// The next event; waits for it.
    ///
    /// # Errors
    /// All has been read, and nobody can send any more.
    pub fn recv(&self) -> Result<Event, RecvError> {
        let mut state = lock(&self.post.state);
        loop {
            match take(&mut state) {
                Err(TryRecvError::Empty) => {
                    state = self.post.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Err(TryRecvError::Disconnected) => return Err(RecvError),
                Ok(event) => return Ok(event),
            }
        }
    }

    /// The next event, if it comes within `timeout`.
    ///
    /// # Errors
    /// None came, or none can come any more.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Event, RecvTimeoutError> {
        let until = Instant::now().checked_add(timeout);
        let mut state = lock(&self.post.state);
        loop {
            match take(&mut state) {
                Ok(event) => return Ok(event),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                Err(TryRecvError::Empty) => {}
            }
            let left = until.map_or(timeout, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(RecvTimeoutError::Timeout);
            }
            state = self.post.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The next event, if there is one now.
    ///
    /// # Errors
    /// There is none, or none can come any more.
    pub fn try_recv(&self) -> Result<Event, TryRecvError> {
        take(&mut lock(&self.post.state))
    }

    /// The events that are there now.
    pub fn try_iter(&self) -> impl Iterator<Item = Event> + '_ {
        std::iter::from_fn(|| self.try_recv().ok())
    }

    /// All events, waiting for each, until none can come any more.
    pub fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        std::iter::from_fn(|| self.recv().ok())
    }

    /// Events that wait to be read, after putting together.
    pub fn len(&self) -> usize {
        lock(&self.post.state).pile.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next event, for a task that must not block: `None` when none can come any more. One task at a time can wait.
    pub fn next(&self) -> Next<'_> {
        Next(self)
    }

    /// The same as a poll.
    pub fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<Event>> {
        let mut state = lock(&self.post.state);
        match take(&mut state) {
            Ok(event) => Poll::Ready(Some(event)),
            Err(TryRecvError::Disconnected) => Poll::Ready(None),
            Err(TryRecvError::Empty) => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let unread = {
            let mut state = lock(&self.post.state);
            state.is_abandoned = true;
            std::mem::take(&mut state.pile)
        };
        drop(unread);
    }
}

/// Waits for an event without blocking a thread.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Next<'a>(&'a Events);

impl Future for Next<'_> {
    type Output = Option<Event>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_next(cx)
    }
}

fn take(state: &mut State) -> Result<Event, TryRecvError> {
    let none = if state.senders == 0 { TryRecvError::Disconnected } else { TryRecvError::Empty };
    state.pile.pop().ok_or(none)
}
