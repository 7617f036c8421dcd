//! A store that a test holds up.

use std::sync::Arc;

use quell_actors::{
    RunEvent, RunId, Store,
    id::Timestamp,
    sim::Gate,
    store::{
        AppendError, BatchId, Events, Expected, ReadError, RunHead, RunQuery, SessionHead,
        SessionPatch, SessionQuery, WriteError,
    },
};
use tokio::sync::Notify;

use crate::support::shared::SharedStore;

/// A store that a test can hold up while it deletes a session or reads a head.
#[derive(Clone)]
pub(crate) struct Slow {
    store: SharedStore,
    pub(crate) delete: Gate,
    pub(crate) deleting: Arc<Notify>,
    /// A head is read when the first gate is open, and returned when the second is.
    pub(crate) head: [Gate; 2],
}

impl Slow {
    pub(crate) fn new(delete: Gate, head: [Gate; 2]) -> Slow {
        Slow {
            store: SharedStore::new(),
            delete,
            deleting: Arc::default(),
            head,
        }
    }
}

impl Store for Slow {
    async fn append(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: Events,
    ) -> Result<u64, AppendError> {
        self.store.append(run, expected, batch, events).await
    }

    async fn head(&self, run: RunId) -> Result<Option<RunHead>, ReadError> {
        self.head[0].wait().await;
        let head = self.store.head(run).await;
        self.head[1].wait().await;
        head
    }

    async fn read(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<RunEvent>, ReadError> {
        self.store.read(run, after, limit).await
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunHead>, ReadError> {
        self.store.runs(query).await
    }

    async fn session(&self, id: Arc<str>) -> Result<Option<SessionHead>, ReadError> {
        self.store.session(id).await
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Vec<SessionHead>, ReadError> {
        self.store.sessions(query).await
    }

    async fn count_sessions(&self, query: SessionQuery) -> Result<u64, ReadError> {
        self.store.count_sessions(query).await
    }

    async fn put_session(
        &self,
        id: Arc<str>,
        patch: SessionPatch,
        at: Timestamp,
    ) -> Result<(), WriteError> {
        self.store.put_session(id, patch, at).await
    }

    async fn delete_run(&self, run: RunId) -> Result<bool, WriteError> {
        self.store.delete_run(run).await
    }

    async fn delete_session(&self, id: Arc<str>) -> Result<bool, WriteError> {
        self.deleting.notify_one();
        self.delete.wait().await;
        self.store.delete_session(id).await
    }
}
