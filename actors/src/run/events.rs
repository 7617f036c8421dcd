//! Reading a run: one list, replayed and then live.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, MutexGuard},
    task::{Context, Poll, ready},
};

use futures::{FutureExt, Stream, StreamExt, future::BoxFuture, stream::FusedStream};

use super::{
    log::{Inner, RunLog},
    waiters::WaiterKey,
};
use crate::{
    error::EventsError,
    event::RunEvent,
    store::{AppendError, ReadError},
};

/// How many events are read from the store at a time.
const PAGE: usize = 256;

/// The events of a run, from a position on: first what was stored before, then what is stored as it happens, without a
/// gap and without a queue. It ends after the run's last event, or after an error.
///
/// Any number of streams may read one run. One that is not read costs the run nothing.
///
/// # Cancel safety
///
/// Dropping the stream, or a call of [`next`](EventStream::next), cancels nothing and loses nothing: the next call goes
/// on where the last one stood.
#[must_use = "streams do nothing unless polled"]
pub struct EventStream {
    log: Arc<RunLog>,
    seq: u64,
    key: WaiterKey,
    page: VecDeque<RunEvent>,
    fetch: Option<BoxFuture<'static, Result<Vec<RunEvent>, ReadError>>>,
    done: bool,
}

impl EventStream {
    pub(super) fn new(log: Arc<RunLog>, seq: u64) -> EventStream {
        EventStream {
            log,
            seq: seq.max(1),
            key: WaiterKey::default(),
            page: VecDeque::new(),
            fetch: None,
            done: false,
        }
    }

    /// The next event; `None` after the last one.
    ///
    /// # Errors
    ///
    /// [`EventsError`]; nothing but `None` comes after it.
    pub async fn next(&mut self) -> Option<Result<RunEvent, EventsError>> {
        StreamExt::next(self).await
    }

    /// The position of the event that comes next.
    pub fn position(&self) -> u64 {
        self.seq
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RunEvent, EventsError>>> {
        // What the memory does not hold is in the store, and was stored before this process took the run up.
        if self.seq <= self.log.tape.base() {
            return self.poll_page(cx).map(Some);
        }
        self.log.poll_stored(self.seq, &mut self.key, cx)
    }

    fn poll_page(&mut self, cx: &mut Context<'_>) -> Poll<Result<RunEvent, EventsError>> {
        loop {
            if let Some(event) = self.page.pop_front() {
                return Poll::Ready(Ok(event));
            }
            let (log, after) = (&self.log, self.seq - 1);
            let fetch = self
                .fetch
                .get_or_insert_with(|| log.env.store.clone().read(log.id, after, PAGE));
            let answer = ready!(fetch.poll_unpin(cx));
            self.fetch = None;
            match answer {
                Ok(page) if page.is_empty() => {
                    return Poll::Ready(Err(EventsError::Expired {
                        first: self.seq + 1,
                    }));
                }
                Ok(page) => self.page = page.into(),
                Err(ReadError::Expired { first }) => {
                    return Poll::Ready(Err(EventsError::Expired { first }));
                }
                Err(ReadError::Failed(message)) => {
                    return Poll::Ready(Err(EventsError::Read { message }));
                }
            }
        }
    }
}

impl Stream for EventStream {
    type Item = Result<RunEvent, EventsError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.done {
            return Poll::Ready(None);
        }
        let item = ready!(this.poll(cx));
        match &item {
            Some(Ok(event)) => {
                this.seq = event.seq.saturating_add(1);
                this.done = event.is_last();
            }
            Some(Err(_)) | None => this.done = true,
        }
        Poll::Ready(item)
    }
}

impl FusedStream for EventStream {
    fn is_terminated(&self) -> bool {
        self.done
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.log.forget_waiter(self.key);
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream")
            .field("run_id", &self.log.id)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

impl RunLog {
    /// The event at `seq`, once it is stored; `None` when there will be none.
    fn poll_stored(
        &self,
        seq: u64,
        key: &mut WaiterKey,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<RunEvent, EventsError>>> {
        let inner = self.lock();
        if seq <= inner.stored {
            drop(inner);
            return Poll::Ready(self.tape.get(seq).map(Ok));
        }
        if inner.lost.is_some() {
            let last_stored = inner.stored;
            return Poll::Ready(Some(Err(EventsError::StoreLost { last_stored })));
        }
        if inner.is_settled() {
            return Poll::Ready(None);
        }
        wait(inner, key, seq, cx)
    }

    /// Ready with the last event's position when the run has ended and that is stored, or with what was lost.
    pub(crate) fn poll_ended(
        &self,
        key: &mut WaiterKey,
        cx: &Context<'_>,
    ) -> Poll<Result<u64, EventsError>> {
        let inner = self.lock();
        if inner.lost.is_some() {
            let last_stored = inner.stored;
            return Poll::Ready(Err(EventsError::StoreLost { last_stored }));
        }
        if inner.is_settled() {
            return Poll::Ready(Ok(inner.stored));
        }
        wait(inner, key, u64::MAX, cx)
    }

    /// Ready when position `seq` is stored, or the store was lost: then with the reason.
    pub(crate) fn poll_mark(
        &self,
        seq: u64,
        key: &mut WaiterKey,
        cx: &Context<'_>,
    ) -> Poll<Result<(), AppendError>> {
        let inner = self.lock();
        if seq <= inner.stored {
            return Poll::Ready(Ok(()));
        }
        if let Some(lost) = &inner.lost {
            return Poll::Ready(Err(lost.clone()));
        }
        wait(inner, key, seq, cx)
    }

    pub(crate) fn forget_waiter(&self, key: WaiterKey) {
        if key != WaiterKey::default() {
            // The waker is dropped here, outside the lock: a waker may run what its owner likes.
            let _gone = self.lock().waiters.leave(key);
        }
    }
}

/// Waits for position `seq`. The waker that this replaces is dropped outside the lock.
fn wait<T>(
    mut inner: MutexGuard<'_, Inner>,
    key: &mut WaiterKey,
    seq: u64,
    cx: &Context<'_>,
) -> Poll<T> {
    let replaced = inner.waiters.wait(key, seq, cx);
    drop(inner);
    drop(replaced);
    Poll::Pending
}
