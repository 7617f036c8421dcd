//! A store that outlives its process: several runtimes share one memory, each through its own view, which a test can
//! freeze.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use quell_actors::{
    RunEvent, RunId, Store,
    id::Timestamp,
    sim::Gate,
    store::{
        AppendError, BatchId, Events, Expected, MemoryStore, ReadError, RunHead, RunQuery,
        SessionHead, SessionPatch, SessionQuery, WriteError,
    },
};
use tokio::sync::Notify;

/// The view that one process has of a shared store. Clones are the same view.
#[derive(Clone)]
pub(crate) struct SharedStore(Arc<View>);

struct View {
    memory: Arc<MemoryStore>,
    /// How many more appends are accepted; all others wait.
    left: AtomicU64,
    /// Notified when an append has to wait.
    frozen: Notify,
    is_frozen: AtomicBool,
    thawed: Gate,
    appends: AtomicU64,
    reads: AtomicU64,
    /// The next read of events waits.
    held: AtomicBool,
    reading: Gate,
    /// Reads of events fail.
    unreadable: AtomicBool,
    /// Appends that store nothing.
    doubtful: AtomicBool,
    /// Runs cannot be listed.
    unlisted: AtomicBool,
    /// Reads of events take a while.
    slow: AtomicBool,
    reading_now: AtomicU64,
    most_at_once: AtomicU64,
}

impl SharedStore {
    pub(crate) fn new() -> SharedStore {
        SharedStore::over(Arc::new(MemoryStore::default()))
    }

    fn over(memory: Arc<MemoryStore>) -> SharedStore {
        SharedStore(Arc::new(View {
            memory,
            left: AtomicU64::new(u64::MAX),
            frozen: Notify::new(),
            is_frozen: AtomicBool::new(false),
            thawed: Gate::new(),
            appends: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            held: AtomicBool::new(false),
            reading: Gate::new(),
            unreadable: AtomicBool::new(false),
            doubtful: AtomicBool::new(false),
            unlisted: AtomicBool::new(false),
            slow: AtomicBool::new(false),
            reading_now: AtomicU64::new(0),
            most_at_once: AtomicU64::new(0),
        }))
    }

    /// The same store as another process sees it.
    pub(crate) fn another(&self) -> SharedStore {
        SharedStore::over(self.0.memory.clone())
    }

    /// Accepts `appends` more appends, and then none, as if the process had died.
    pub(crate) fn freeze_after(&self, appends: u64) {
        self.0.left.store(appends, Ordering::SeqCst);
    }

    /// Waits until an append has to wait.
    pub(crate) async fn frozen(&self) {
        loop {
            let told = self.0.frozen.notified();
            if self.is_frozen() {
                return;
            }
            told.await;
        }
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.0.is_frozen.load(Ordering::SeqCst)
    }

    /// Lets frozen appends continue.
    pub(crate) fn thaw(&self) {
        self.0.left.store(u64::MAX, Ordering::SeqCst);
        self.0.thawed.open();
    }

    /// Sets whether appends have an unknown outcome.
    pub(crate) fn doubt(&self, doubtful: bool) {
        self.0.doubtful.store(doubtful, Ordering::SeqCst);
    }

    /// Makes the next read of events wait until the test releases it; later reads do not wait.
    pub(crate) fn hold_next_read(&self) {
        self.0.held.store(true, Ordering::SeqCst);
    }

    pub(crate) fn let_go(&self) {
        self.0.reading.let_through(1);
    }

    /// Sets whether events can be read.
    pub(crate) fn unreadable(&self, unreadable: bool) {
        self.0.unreadable.store(unreadable, Ordering::SeqCst);
    }

    /// Sets whether runs can be listed.
    pub(crate) fn unlisted(&self, unlisted: bool) {
        self.0.unlisted.store(unlisted, Ordering::SeqCst);
    }

    /// From now on each read of events lets other tasks run.
    pub(crate) fn slow_reads(&self) {
        self.0.slow.store(true, Ordering::SeqCst);
    }

    /// How many reads of events there were at the same time.
    pub(crate) fn most_at_once(&self) -> u64 {
        self.0.most_at_once.load(Ordering::SeqCst)
    }

    pub(crate) fn appends(&self) -> u64 {
        self.0.appends.load(Ordering::SeqCst)
    }

    /// How many times events were read.
    pub(crate) fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::SeqCst)
    }

    pub(crate) async fn stored_head(&self, run: RunId) -> Option<RunHead> {
        self.0.memory.head(run).await.unwrap()
    }

    /// All that is stored of a run.
    pub(crate) async fn stored(&self, run: RunId) -> Vec<RunEvent> {
        let events = self.0.memory.read(run, 0, usize::MAX).await;
        events.unwrap_or_default()
    }
}

impl Store for SharedStore {
    async fn append(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: Events,
    ) -> Result<u64, AppendError> {
        let left = &self.0.left;
        let take = |left: u64| match left {
            u64::MAX => Some(u64::MAX),
            left => left.checked_sub(1),
        };
        if left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .is_err()
        {
            self.0.is_frozen.store(true, Ordering::SeqCst);
            self.0.frozen.notify_waiters();
            self.0.thawed.wait().await;
        }
        if self.0.doubtful.load(Ordering::SeqCst) {
            return Err(AppendError::Unknown("told to".into()));
        }
        self.0.appends.fetch_add(1, Ordering::SeqCst);
        self.0.memory.append(run, expected, batch, events).await
    }

    async fn head(&self, run: RunId) -> Result<Option<RunHead>, ReadError> {
        self.0.memory.head(run).await
    }

    async fn read(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<RunEvent>, ReadError> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        if self.0.held.swap(false, Ordering::SeqCst) {
            self.0.reading.wait().await;
        }
        if self.0.slow.load(Ordering::SeqCst) {
            let now = self.0.reading_now.fetch_add(1, Ordering::SeqCst) + 1;
            self.0.most_at_once.fetch_max(now, Ordering::SeqCst);
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            self.0.reading_now.fetch_sub(1, Ordering::SeqCst);
        }
        if self.0.unreadable.load(Ordering::SeqCst) {
            return Err(ReadError::Failed("told to".into()));
        }
        self.0.memory.read(run, after, limit).await
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunHead>, ReadError> {
        if self.0.unlisted.load(Ordering::SeqCst) {
            return Err(ReadError::Failed("told to".into()));
        }
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
