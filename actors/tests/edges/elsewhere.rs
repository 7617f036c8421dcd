//! Callers on threads that have no tokio runtime, and runs whose tokio runtime does not run.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
    mpsc,
};

use futures::{executor::block_on, stream};
use quell_actors::{
    CancelOutcome, EventKind, RunEvent, RunId, RunStatus, Runtime, Store,
    id::Timestamp,
    runtime::RuntimeConfig,
    store::{
        AppendError, BatchId, Events, Expected, MemoryStore, ReadError, RunHead, RunQuery,
        SessionHead, SessionPatch, SessionQuery, WriteError,
    },
};
use tokio::runtime::Handle;

use super::{Scripted, eventually, hanging, no_threads, on_a_thread, two_threads};
use crate::support::{ended, opened, until};

/// A store in memory that can only be asked in a tokio runtime, as those can whose client has timers and sockets. It
/// counts how often it was asked outside.
#[derive(Clone, Default)]
struct NeedsTokio(Arc<(MemoryStore, AtomicU64)>);

impl NeedsTokio {
    fn memory(&self) -> &MemoryStore {
        if Handle::try_current().is_err() {
            self.0.1.fetch_add(1, Ordering::SeqCst);
            panic!("there is no tokio runtime");
        }
        &self.0.0
    }
}

impl Store for NeedsTokio {
    async fn append(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: Events,
    ) -> Result<u64, AppendError> {
        self.memory().append(run, expected, batch, events).await
    }

    async fn head(&self, run: RunId) -> Result<Option<RunHead>, ReadError> {
        self.memory().head(run).await
    }

    async fn read(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<RunEvent>, ReadError> {
        self.memory().read(run, after, limit).await
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunHead>, ReadError> {
        self.memory().runs(query).await
    }

    async fn session(&self, id: Arc<str>) -> Result<Option<SessionHead>, ReadError> {
        self.memory().session(id).await
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Vec<SessionHead>, ReadError> {
        self.memory().sessions(query).await
    }

    async fn count_sessions(&self, query: SessionQuery) -> Result<u64, ReadError> {
        self.memory().count_sessions(query).await
    }

    async fn put_session(
        &self,
        id: Arc<str>,
        patch: SessionPatch,
        at: Timestamp,
    ) -> Result<(), WriteError> {
        self.memory().put_session(id, patch, at).await
    }

    async fn delete_run(&self, run: RunId) -> Result<bool, WriteError> {
        self.memory().delete_run(run).await
    }

    async fn delete_session(&self, id: Arc<str>) -> Result<bool, WriteError> {
        self.memory().delete_session(id).await
    }
}

#[test]
fn a_store_that_needs_tokio_is_asked_in_it_whoever_calls() {
    let (tokio, store) = (two_threads(), NeedsTokio::default());
    let runtime = tokio.block_on(opened(RuntimeConfig::default(), store.clone()));
    let caller = runtime.clone();
    on_a_thread(move || {
        let run = block_on(caller.start(&hanging(), "Sing.")).unwrap();
        assert_eq!(
            block_on(caller.cancel(RunId::new())),
            CancelOutcome::NotFound
        );
        let answer = block_on(run.cancel());
        assert!(
            matches!(answer, CancelOutcome::Accepted { durable: true, .. }),
            "{answer:?}"
        );
        block_on(ended(&run));
    });
    assert_eq!(store.0.1.load(Ordering::SeqCst), 0, "asked outside tokio");
}

#[test]
fn a_cancel_is_answered_though_the_tokio_runtime_of_the_run_does_not_run() {
    let tokio = no_threads();
    let run = tokio.block_on(async {
        let run = Runtime::new().start(&hanging(), "Sing.").await.unwrap();
        until(&run, |kind| {
            matches!(kind, EventKind::ModelRequestStarted { .. })
        })
        .await;
        run
    });
    let cancelled = run.clone();
    let answer = on_a_thread(move || block_on(cancelled.cancel()));
    assert!(
        matches!(answer, CancelOutcome::Accepted { durable: true, .. }),
        "{answer:?}"
    );
    assert_eq!(run.status(), RunStatus::Cancelling);
    let outcome = tokio.block_on(ended(&run));
    assert_eq!(outcome.status(), RunStatus::Cancelled);
}

#[test]
fn a_cancel_that_nobody_awaits_is_stored_though_the_model_keeps_its_thread() {
    let tokio = two_threads();
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(Some(released));
    let blocked = Arc::new(AtomicBool::new(false));
    let model = {
        let blocked = blocked.clone();
        Scripted(move || {
            let (released, blocked) = (released.lock().unwrap().take(), blocked.clone());
            stream::poll_fn(move |_| {
                blocked.store(true, Ordering::SeqCst);
                let _ = released.as_ref().map(mpsc::Receiver::recv);
                std::task::Poll::Pending
            })
        })
    };
    let agent = quell_actors::Agent::new("poet", model);
    let run = tokio.block_on(async {
        let run = Runtime::new().start(&agent, "Sing.").await.unwrap();
        eventually(|| blocked.load(Ordering::SeqCst)).await;
        run
    });
    run.cancel();
    let reader = run.clone();
    on_a_thread(move || {
        block_on(until(&reader, |kind| {
            matches!(kind, EventKind::CancelRequested { .. })
        }))
    });
    assert_eq!(
        run.status(),
        RunStatus::Cancelling,
        "it is not released yet"
    );
    release.send(()).unwrap();
    let outcome = tokio.block_on(ended(&run));
    assert_eq!(outcome.status(), RunStatus::Cancelled);
}
