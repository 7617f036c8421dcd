//! Edge cases: user code panics, hangs or calls back at the worst time, values are as large as possible, and threads
//! race. A run still has its one ending, and its runtime continues.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod elsewhere;
mod limits;
mod readers;
mod slots;
mod spans;
mod store;
mod supervisor;
mod threads;
mod turns;
mod values;
mod wakers;

use std::{
    future::Future,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
};

use futures::Stream;
use quell_actors::{
    Agent, Model, RunEvent, RunId, Runtime, Store,
    id::Timestamp,
    model::{ModelChunk, ModelError, ModelRequest},
    runtime::RuntimeConfig,
    sim::{Gate, Storyteller},
    store::{
        AppendError, BatchId, Events, Expected, MemoryStore, ReadError, RunHead, RunQuery,
        SessionHead, SessionPatch, SessionQuery, WriteError,
    },
};
use tokio::runtime::Builder;

/// Lets every task run that can, under a paused clock.
async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// Waits until `holds`, on a real clock.
async fn eventually(holds: impl Fn() -> bool) {
    support::guarded(async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Does `work` on its own thread, so that a deadlock fails the test instead of blocking it.
fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = done.send(work());
    });
    match is_done.recv_timeout(support::GUARD) {
        Ok(answer) => answer,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the thread hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().unwrap_err())
        }
    }
}

/// A tokio runtime with two threads.
fn two_threads() -> tokio::runtime::Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// A tokio runtime without threads.
fn no_threads() -> tokio::runtime::Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn slots(max_live_runs: usize) -> RuntimeConfig {
    RuntimeConfig {
        max_live_runs,
        ..RuntimeConfig::default()
    }
}

/// An agent whose model connects and then produces nothing.
fn hanging() -> Agent {
    support::poet(Storyteller::endless().stall_at(0))
}

/// Whether no run is active, and no ending is waiting to be stored.
fn is_idle(runtime: &Runtime) -> bool {
    format!("{runtime:?}").contains("runs: 0")
}

type Chunk = Result<ModelChunk, ModelError>;

/// A model whose closure makes the stream of each answer.
struct Scripted<F>(F);

impl<F, S> Model for Scripted<F>
where
    F: Fn() -> S + Send + Sync + 'static,
    S: Stream<Item = Chunk> + Send + 'static,
{
    fn stream(&self, _: ModelRequest) -> impl Stream<Item = Chunk> + Send + 'static {
        (self.0)()
    }
}

fn text(words: &str) -> Chunk {
    Ok(ModelChunk::Text(words.into()))
}

/// A store in memory that yields before each append, makes reads of heads wait at a gate, and may wrongly return the
/// number of events from an append instead of the last position.
#[derive(Clone)]
struct OddStore(Arc<Odd>);

struct Odd {
    memory: MemoryStore,
    heads: Gate,
    counts: bool,
    appends: AtomicU64,
}

impl OddStore {
    fn new(heads: &Gate, counts: bool) -> OddStore {
        OddStore(Arc::new(Odd {
            memory: MemoryStore::default(),
            heads: heads.clone(),
            counts,
            appends: AtomicU64::new(0),
        }))
    }

    fn appends(&self) -> u64 {
        self.0.appends.load(Ordering::SeqCst)
    }

    /// Shows whether the store is still held.
    fn watch(&self) -> Weak<Odd> {
        Arc::downgrade(&self.0)
    }
}

impl Store for OddStore {
    async fn append(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: Events,
    ) -> Result<u64, AppendError> {
        let before = self.0.appends.fetch_add(1, Ordering::SeqCst);
        assert!(before < 10_000, "the store is asked without an end");
        tokio::task::yield_now().await;
        let count = events.last() - events.first() + 1;
        let last = self.0.memory.append(run, expected, batch, events).await?;
        Ok(if self.0.counts { count } else { last })
    }

    async fn head(&self, run: RunId) -> Result<Option<RunHead>, ReadError> {
        self.0.heads.wait().await;
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

/// A future that has been polled once and is pending.
async fn begun<F: Future + Send + 'static>(
    work: F,
) -> std::pin::Pin<Box<dyn Future<Output = F::Output> + Send>> {
    let mut work = Box::pin(work);
    assert!(futures::poll!(&mut work).is_pending());
    work
}
