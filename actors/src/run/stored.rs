//! A run that the store has and this process does not work for: it has ended, it is paused, or it is not ours.

use std::{
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use futures::future::BoxFuture;

use super::{
    cancel::Cancel,
    log::{RunLog, RuntimeEnv},
    tail::{At, Tail},
    waiters::Seat,
};
use crate::{
    cancel::{CancelOutcome, CancelRequest},
    error::EventsError,
    id::RunId,
    store::RunHead,
};

/// The runtime, as a stored run sees it.
pub(crate) trait RunFinder: Send + Sync {
    /// What the readers of a run follow, or `None` when there is no such run. The log of a paused run comes back into
    /// memory for it.
    ///
    /// # Errors
    ///
    /// [`EventsError::Read`] when the store could not be read.
    fn tail(
        self: Arc<Self>,
        run: RunId,
    ) -> BoxFuture<'static, Result<Option<Arc<dyn Tail>>, EventsError>>;

    /// Cancels a run. This takes effect whether or not the future is polled.
    fn cancel(self: Arc<Self>, run: RunId, request: CancelRequest) -> Cancel;
}

/// A run as the store had it when it was asked.
pub(crate) struct StoredRun {
    pub(crate) head: RunHead,
    pub(super) env: Arc<RuntimeEnv>,
    finder: Arc<dyn RunFinder>,
    comeback: Arc<Comeback>,
}

/// The log of a run that has come back into memory since its head was read. All handles of the run share it.
pub(crate) type Comeback = OnceLock<Arc<RunLog>>;

impl StoredRun {
    pub(crate) fn new(
        head: RunHead,
        env: Arc<RuntimeEnv>,
        finder: Arc<dyn RunFinder>,
        comeback: Arc<Comeback>,
    ) -> StoredRun {
        StoredRun {
            head,
            env,
            finder,
            comeback,
        }
    }

    /// The run's log, if the run has come back into memory.
    pub(super) fn log(&self) -> Option<&Arc<RunLog>> {
        self.comeback.get()
    }

    /// Cancels the run. This takes effect whether or not the future is polled.
    pub(super) fn cancel(&self, request: CancelRequest) -> Cancel {
        let status = self.head.status;
        if status.is_ended() {
            return Cancel::answered(CancelOutcome::AlreadyEnded { status });
        }
        self.finder.clone().cancel(self.head.run_id, request)
    }

    /// What the run's readers follow now.
    ///
    /// # Errors
    ///
    /// [`EventsError`] when the store could not be read, or the run is deleted.
    pub(super) async fn tail(self: Arc<Self>) -> Result<Arc<dyn Tail>, EventsError> {
        if self.head.status.is_ended() {
            return Ok(self);
        }
        let tail = self.finder.clone().tail(self.head.run_id).await?;
        let first = self.head.last + 1;
        tail.ok_or(EventsError::Expired { first })
    }

    /// Why nothing follows on what is stored. `None`: the run has ended.
    fn not_here(&self) -> Option<EventsError> {
        let last_stored = self.head.last;
        (!self.head.status.is_ended()).then_some(EventsError::NotHere { last_stored })
    }
}

impl Tail for StoredRun {
    fn poll_at(
        &self,
        seq: u64,
        _: &mut Seat,
        _: &mut Context<'_>,
    ) -> Poll<Result<At, EventsError>> {
        if seq <= self.head.last {
            return Poll::Ready(Ok(At::Stored));
        }
        Poll::Ready(self.not_here().map_or(Ok(At::End), Err))
    }

    fn poll_ended(&self, _: &mut Seat, _: &mut Context<'_>) -> Poll<Result<u64, EventsError>> {
        Poll::Ready(self.not_here().map_or(Ok(self.head.last), Err))
    }

    fn leave(&self, _: &mut Seat) {}
}
