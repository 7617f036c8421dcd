//! A store that fails when a test wants it to.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quell_actors::{
    RunEvent, RunId, Store,
    id::Timestamp,
    store::{
        AppendError, BatchId, Events, Expected, MemoryStore, ReadError, RunHead, RunQuery,
        SessionHead, SessionPatch, SessionQuery, WriteError,
    },
};
use tokio::sync::Semaphore;

/// How an append of [`FaultyStore`] goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    UnknownBeforeStoring,
    UnknownAfterStoring,
    Unavailable,
    Panic,
}

/// A store whose appends wait at a gate, and fail on demand.
#[derive(Clone)]
pub(crate) struct FaultyStore(Arc<Inner>);

struct Inner {
    memory: MemoryStore,
    gate: Semaphore,
    faults: Mutex<VecDeque<Fault>>,
    appends: AtomicU64,
    largest: AtomicU64,
}

impl FaultyStore {
    /// Lets every append through at once.
    pub(crate) fn open() -> FaultyStore {
        let store = FaultyStore::held();
        store.0.gate.close();
        store
    }

    /// Holds every append until the test lets it through.
    pub(crate) fn held() -> FaultyStore {
        FaultyStore(Arc::new(Inner {
            memory: MemoryStore::default(),
            gate: Semaphore::new(0),
            faults: Mutex::default(),
            appends: AtomicU64::new(0),
            largest: AtomicU64::new(0),
        }))
    }

    pub(crate) fn let_through(&self, appends: usize) {
        self.0.gate.add_permits(appends);
    }

    /// Holds appends again.
    pub(crate) fn hold(&self) {
        self.0.gate.forget_permits(usize::MAX);
    }

    pub(crate) fn release(&self) {
        self.0.gate.close();
    }

    /// The next appends fail in these ways, one each.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.0.faults.lock().unwrap().extend(faults);
    }

    /// From now on no append fails.
    pub(crate) fn heal(&self) {
        self.0.faults.lock().unwrap().clear();
    }

    /// How many appends were requested.
    pub(crate) fn appends(&self) -> u64 {
        self.0.appends.load(Ordering::SeqCst)
    }

    /// The most events in one append.
    pub(crate) fn largest(&self) -> u64 {
        self.0.largest.load(Ordering::SeqCst)
    }

    /// The last stored position of a run.
    pub(crate) async fn stored(&self, run: RunId) -> u64 {
        let head = self.0.memory.head(run).await.unwrap();
        head.map_or(0, |head| head.last)
    }
}

impl Store for FaultyStore {
    async fn append(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: Events,
    ) -> Result<u64, AppendError> {
        self.0.appends.fetch_add(1, Ordering::SeqCst);
        let count = events.last() - events.first() + 1;
        self.0.largest.fetch_max(count, Ordering::SeqCst);
        if let Ok(permit) = self.0.gate.acquire().await {
            permit.forget();
        }
        let fault = self.0.faults.lock().unwrap().pop_front();
        match fault {
            None => self.0.memory.append(run, expected, batch, events).await,
            Some(Fault::UnknownBeforeStoring) => Err(AppendError::Unknown("told to".into())),
            Some(Fault::UnknownAfterStoring) => {
                let answer = self.0.memory.append(run, expected, batch, events).await;
                answer.and(Err(AppendError::Unknown("told to".into())))
            }
            Some(Fault::Unavailable) => Err(AppendError::Unavailable("told to".into())),
            Some(Fault::Panic) => panic!("the store was told to panic"),
        }
    }

    async fn head(&self, run: RunId) -> Result<Option<RunHead>, ReadError> {
        self.0.memory.head(run).await
    }

    async fn read(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<RunEvent>, ReadError> {
        self.0.memory.read(run, after, limit).await
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunHead>, ReadError> {
        self.0.memory.runs(query).await
    }

    async fn session(&self, id: Arc<str>) -> Result<Option<SessionHead>, ReadError> {
        self.0.memory.session(id).await
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Vec<SessionHead>, ReadError> {
        self.0.memory.sessions(query).await
    }

    async fn count_sessions(&self, query: SessionQuery) -> Result<u64, ReadError> {
        self.0.memory.count_sessions(query).await
    }

    async fn put_session(
        &self,
        id: Arc<str>,
        patch: SessionPatch,
        at: Timestamp,
    ) -> Result<(), WriteError> {
        self.0.memory.put_session(id, patch, at).await
    }

    async fn delete_run(&self, run: RunId) -> Result<bool, WriteError> {
        self.0.memory.delete_run(run).await
    }

    async fn delete_session(&self, id: Arc<str>) -> Result<bool, WriteError> {
        self.0.memory.delete_session(id).await
    }
}
