//! Reading a run: one list, replayed and then live.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::{FutureExt, Stream, StreamExt, future::BoxFuture, stream::FusedStream};

use super::{
    counters::Counted,
    log::RuntimeEnv,
    stored::StoredRun,
    tail::{At, Tail},
    waiters::Seat,
};
use crate::{error::EventsError, event::RunEvent, id::RunId, store::ReadError};

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
    run: RunId,
    env: Arc<RuntimeEnv>,
    source: Source,
    seat: Seat,
    seq: u64,
    page: VecDeque<RunEvent>,
    fetch: Option<BoxFuture<'static, Result<Vec<RunEvent>, ReadError>>>,
    done: bool,
    _reader: Counted,
}

/// Where the events come from.
enum Source {
    Tail(Arc<dyn Tail>),
    /// The runtime is asked what there is of the run.
    Finding(BoxFuture<'static, Result<Arc<dyn Tail>, EventsError>>),
}

impl EventStream {
    pub(super) fn follow(
        run: RunId,
        env: Arc<RuntimeEnv>,
        tail: Arc<dyn Tail>,
        seq: u64,
    ) -> EventStream {
        EventStream::new(run, env, Source::Tail(tail), seq)
    }

    /// Looks first for what there is of the run now.
    pub(super) fn find(stored: Arc<StoredRun>, seq: u64) -> EventStream {
        let (run, env) = (stored.head.run_id, stored.env.clone());
        EventStream::new(run, env, Source::Finding(stored.tail().boxed()), seq)
    }

    fn new(run: RunId, env: Arc<RuntimeEnv>, source: Source, seq: u64) -> EventStream {
        EventStream {
            run,
            _reader: env.counters.readers.enter(),
            env,
            source,
            seat: Seat::default(),
            seq: seq.max(1),
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

    /// The next event that is stored by now; `None` when there is none yet, and after the last one.
    pub(super) async fn next_stored(&mut self) -> Option<Result<RunEvent, EventsError>> {
        poll_fn(|cx| match self.poll_next_unpin(cx) {
            Poll::Pending if !self.is_reading() => Poll::Ready(None),
            item => item,
        })
        .await
    }

    /// Whether it waits for the store to be read, and not for the run.
    fn is_reading(&self) -> bool {
        self.fetch.is_some()
    }

    /// The position of the event that comes next.
    pub fn position(&self) -> u64 {
        self.seq
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<RunEvent>, EventsError>> {
        let tail = loop {
            match &mut self.source {
                Source::Tail(tail) => break tail,
                Source::Finding(tail) => self.source = Source::Tail(ready!(tail.poll_unpin(cx))?),
            }
        };
        match ready!(tail.poll_at(self.seq, &mut self.seat, cx))? {
            At::Event(event) => Poll::Ready(Ok(Some(event))),
            At::Stored => self.poll_page(cx).map_ok(Some),
            At::End => Poll::Ready(Ok(None)),
        }
    }

    /// An event that is stored, and not in memory.
    fn poll_page(&mut self, cx: &mut Context<'_>) -> Poll<Result<RunEvent, EventsError>> {
        loop {
            if let Some(event) = self.page.pop_front() {
                return Poll::Ready(Ok(event));
            }
            let (run, store, after) = (self.run, &self.env.store, self.seq - 1);
            let fetch = self
                .fetch
                .get_or_insert_with(|| store.clone().read(run, after, PAGE));
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
                Err(ReadError::Failed(cause)) => {
                    return Poll::Ready(Err(EventsError::Read(cause)));
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
        let item = ready!(this.poll(cx)).transpose();
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
        if let Source::Tail(tail) = &self.source {
            tail.leave(&mut self.seat);
        }
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream")
            .field("run_id", &self.run)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}
