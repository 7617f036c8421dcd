//! The seam to stores: where a run's events are kept, with a meaning that one machine and several can give.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod events;
mod head;
mod memory;
mod query;
mod session;
mod twin;

use std::{future::Future, sync::Arc};

pub use self::{
    events::Events,
    head::RunHead,
    memory::MemoryStore,
    query::{RunQuery, SessionOrder, SessionQuery},
    session::{SessionData, SessionHead, SessionPatch},
};
pub(crate) use self::{
    events::Tape,
    twin::{DynStore, InTokio},
};
pub use crate::status::StatusSet;
use crate::{
    error::Cause,
    event::RunEvent,
    id::{RunId, Timestamp},
};

/// Keeps the events of runs.
///
/// What an implementation promises:
///
/// * A run's events have contiguous positions from 1.
/// * [`append`](Store::append) is all or nothing and linearizable per run. It succeeds only when the run's epoch and
///   last position are the expected ones and the run has not ended. A run that is not there yet has the last position
///   0, and the first append makes it, with the epoch it names, and its session, where it names one that is not there.
/// * An append that [acquires](Expected::acquire) takes the run over: it succeeds when the run has the expected epoch,
///   and leaves it with the next one, so that the previous owner is fenced from then on. All in one step.
/// * A retried batch id returns what the first try returned. The last batch id of a run is enough to keep.
/// * After a terminal event nothing is ever appended to a run.
/// * A read never shows what a later read does not, but for what was deleted in between.
/// * A run, and so its session, is listed from its first append on. What was deleted is not there: an append to it is
///   fenced, and only a first append makes it again.
///
/// `store::conformance::check` (feature `conformance`) holds a store to all of this.
///
/// The runtime has one append in flight for each run; what is decided meanwhile goes into the next. It polls an append
/// once where it stands, and pays for a task only when it has to wait.
pub trait Store: Send + Sync + 'static {
    /// Appends `events` to `run`, and returns the last position.
    ///
    /// # Errors
    ///
    /// [`AppendError`]. The difference between its `Unknown` and `Unavailable` is what retries rest on: an
    /// implementation that is in doubt says `Unknown`.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves it open whether the events were stored, as [`AppendError::Unknown`] does.
    fn append(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: Events,
    ) -> impl Future<Output = Result<u64, AppendError>> + Send;

    /// The same append, by a store that can finish it at once, without waiting for anything: what the store in memory
    /// does, so that a chunk costs neither a box nor a task. `None`: the runtime calls [`append`](Store::append).
    #[doc(hidden)]
    fn append_now(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: &Events,
    ) -> Option<Result<u64, AppendError>> {
        let _ = (run, expected, batch, events);
        None
    }

    /// Where a run stands, or `None` when there is no such run.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the store cannot be read.
    fn head(&self, run: RunId) -> impl Future<Output = Result<Option<RunHead>, ReadError>> + Send;

    /// The run's events after position `after`: at least one, unless there is none, and at most `limit`.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the store cannot be read, or does not have those events any more.
    fn read(
        &self,
        run: RunId,
        after: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<RunEvent>, ReadError>> + Send;

    /// The runs that `query` asks for, in its order.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the store cannot be read.
    fn runs(&self, query: RunQuery)
    -> impl Future<Output = Result<Vec<RunHead>, ReadError>> + Send;

    /// The session of this id.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the store cannot be read.
    fn session(
        &self,
        id: Arc<str>,
    ) -> impl Future<Output = Result<Option<SessionHead>, ReadError>> + Send;

    /// The sessions that `query` asks for, in its order.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the store cannot be read.
    fn sessions(
        &self,
        query: SessionQuery,
    ) -> impl Future<Output = Result<Vec<SessionHead>, ReadError>> + Send;

    /// How many sessions `query` asks for, whatever page of them: what is past, left out and the limit play no part.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the store cannot be read.
    fn count_sessions(
        &self,
        query: SessionQuery,
    ) -> impl Future<Output = Result<u64, ReadError>> + Send;

    /// Makes the session of this id where there is none, created `at`, and puts `patch` to it. When it was updated does
    /// not change with that.
    ///
    /// # Errors
    ///
    /// [`WriteError`]. Doing it twice does no harm.
    fn put_session(
        &self,
        id: Arc<str>,
        patch: SessionPatch,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Deletes a run and all its events, ended or not. `false`: there was none.
    ///
    /// # Errors
    ///
    /// [`WriteError`]. Doing it twice does no harm.
    fn delete_run(&self, run: RunId) -> impl Future<Output = Result<bool, WriteError>> + Send;

    /// Deletes a session and all its runs. `false`: there was none.
    ///
    /// # Errors
    ///
    /// [`WriteError`]. Doing it twice does no harm.
    fn delete_session(&self, id: Arc<str>)
    -> impl Future<Output = Result<bool, WriteError>> + Send;
}

/// What a run's log must look like for an append to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The generation of ownership: one more each time the run is taken over. The first is 1.
    pub epoch: u64,
    /// The last position; 0 when the run is not there yet.
    pub last: u64,
    /// Whether the append takes the run over, so that it has the epoch after `epoch` from then on.
    pub acquire: bool,
}

impl Expected {
    /// The epoch that the run has after the append.
    pub const fn epoch_after(self) -> u64 {
        self.epoch.saturating_add(self.acquire as u64)
    }
}

/// The name of an append. A retry reuses it, so that events are never stored twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchId(pub u128);

/// Why an append was not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The run's epoch or last position is another than expected: another owner has it. Nothing was stored.
    #[error("the run has another owner, in epoch {epoch} at event {last}")]
    Fenced {
        /// The epoch the run has.
        epoch: u64,
        /// The position it is at.
        last: u64,
    },
    /// The run has ended. Nothing was stored.
    #[error("the run has ended, at event {last}")]
    Ended {
        /// The position of its last event.
        last: u64,
    },
    /// The events may be stored or not. Not a failure: the same batch is to be tried again.
    #[error("it is not known whether the events were stored: {0}")]
    Unknown(#[source] Cause),
    /// The events were surely not stored.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Cause),
}

impl AppendError {
    /// Whether no try of the same append can succeed any more.
    pub(crate) const fn is_final(&self) -> bool {
        matches!(self, AppendError::Fenced { .. } | AppendError::Ended { .. })
    }
}

/// Why a store could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The events that were asked for are not kept any more.
    #[error("events before {first} are no longer kept")]
    Expired {
        /// The first position that is kept; one past the last when none is.
        first: u64,
    },
    /// The store failed.
    #[error("the store could not be read: {0}")]
    Failed(#[source] Cause),
}

/// Why the store did not apply the change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// It may have been done or not; doing it again does no harm.
    #[error("it is not known whether it was done: {0}")]
    Unknown(#[source] Cause),
    /// It was surely not done.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Cause),
}
