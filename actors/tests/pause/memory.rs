//! A paused run is kept only in the store, except while a caller holds it.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt};
use quell_actors::{
    Agent, Model, NewRun, Outcome, RunStatus, Runtime,
    error::StartError,
    model::{ModelChunk, ModelError, ModelRequest},
    store::RunQuery,
};

use super::{CALL, approve, clerk, on, paused, payer};
use crate::support::{
    ended, foreign, nothing_kept, nothing_left, settle,
    shared::SharedStore,
    start_under,
    tools::{Alive, Ledger, One, open},
    until,
};

/// A model whose open streams are counted.
struct Counted<M>(M, Arc<Alive>);

impl<M: Model> Model for Counted<M> {
    fn stream(
        &self,
        request: ModelRequest,
    ) -> impl Stream<Item = Result<ModelChunk, ModelError>> + Send + 'static {
        let one: One = self.1.one();
        self.0.stream(request).map(move |chunk| {
            let _ = &one;
            chunk
        })
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_works_for_a_paused_run_and_its_log_leaves_memory() {
    let (store, ledger, streams) = (
        SharedStore::new(),
        Ledger::default(),
        Arc::new(Alive::default()),
    );
    let agent = Agent::builder("clerk", Counted(payer(), streams.clone()))
        .tool(ledger.tool("pay", &open()).confirm())
        .build()
        .unwrap();
    let runtime = on(&store).await;
    let run = paused(&runtime, &agent, "Pay.").await;
    let id = run.id();
    assert_eq!(streams.count(), 0, "the model's stream is gone");
    assert!(
        format!("{runtime:?}").contains("runs: 0, live: 0"),
        "{runtime:?}"
    );
    nothing_left(&runtime);

    // While a handle is held the log is in memory, and the store is not read.
    let reads = store.reads();
    assert_eq!(
        runtime.get(id).await.unwrap().unwrap().status(),
        RunStatus::Paused
    );
    assert_eq!(store.reads(), reads);
    drop(run);
    let found = runtime.get(id).await.unwrap().unwrap();
    assert!(store.reads() > reads, "its log had left memory");
    assert_eq!(found.status(), RunStatus::Paused);
    drop(found);

    let run = runtime.continue_run(id, approve()).await.unwrap();
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    assert_eq!(ledger.times(CALL), 1);
    assert_eq!(streams.count(), 0);
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_goes_on_in_another_process() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let id = paused(&on(&store).await, &clerk(&ledger), "Pay.")
        .await
        .id();
    let before = store.stored(id).await;

    let second = on(&store.another()).await;
    second.add_agent(&clerk(&ledger));
    let run = second.continue_run(id, approve()).await.unwrap();
    let mut events = run.events();
    for old in &before {
        assert_eq!(events.next().await.unwrap().unwrap(), *old);
    }
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    assert_eq!(ledger.times(CALL), 1);
    let head = store.stored_head(id).await.unwrap();
    assert_eq!((head.status, head.epoch), (RunStatus::Completed, 2));
    nothing_kept(&second);
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_is_found_and_listed_as_stored_and_keeps_its_id() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let runtime = on(&store).await;
    let agent = clerk(&ledger);
    let id = paused(&runtime, &agent, NewRun::new("Pay.").session("s"))
        .await
        .id();
    assert_eq!(runtime.list(), []);
    let listed = runtime.runs(RunQuery::unfinished()).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].run_id, listed[0].status),
        (id, RunStatus::Paused)
    );
    assert_eq!(listed[0].session_id.as_deref(), Some("s"));
    let again = runtime.start(&agent, NewRun::new("Pay.").id(id)).await;
    assert_eq!(again.unwrap_err(), StartError::DuplicateRun(id));
    let other = on(&store.another()).await;
    let again = other.start(&agent, NewRun::new("Pay.").id(id)).await;
    assert_eq!(again.unwrap_err(), StartError::DuplicateRun(id));
    settle().await;
    nothing_kept(&other);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_paused_run_leaves_nothing_behind() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let runtime = on(&store).await;
    let agent = clerk(&ledger);
    // In memory with a handle, and without.
    for keeps in [true, false] {
        let run = paused(&runtime, &agent, "Pay.").await;
        let id = run.id();
        let handle = keeps.then(|| run.clone());
        drop(run);
        assert!(runtime.delete_run(id).await.unwrap());
        assert!(!runtime.delete_run(id).await.unwrap());
        assert!(runtime.get(id).await.unwrap().is_none());
        assert_eq!(store.stored(id).await, []);
        nothing_kept(&runtime);
        if let Some(run) = handle {
            assert_eq!(run.status(), RunStatus::Cancelled);
        }
        // Its id is free again.
        let run = runtime
            .start(&agent, NewRun::new("Pay.").id(id))
            .await
            .unwrap();
        run.cancel().await;
        ended(&run).await;
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_linked_run_may_pause_and_then_is_the_runtimes_own() {
    let (runtime, ledger) = (Runtime::new(), Ledger::default());
    let supervisor = foreign(true).await;
    let run = start_under(&supervisor, &runtime, &clerk(&ledger)).await;
    until(&run, |kind| {
        matches!(kind, quell_actors::EventKind::Paused(_))
    })
    .await;
    settle().await;
    assert_eq!(run.status(), RunStatus::Paused);
    // Its supervisor may end meanwhile.
    supervisor.stop(None);
    settle().await;
    assert_eq!(run.status(), RunStatus::Paused);
    runtime.continue_run(run.id(), approve()).await.unwrap();
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_may_be_dropped_and_its_paused_runs_stay() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let alive = Arc::new(Alive::default());
    let mut agent = clerk(&ledger);
    for expiry in [None, Some(Duration::from_secs(600))] {
        let limits = quell_actors::agent::Limits {
            pause_expiry: expiry,
            ..Default::default()
        };
        agent = Agent::builder("clerk", Counted(payer(), alive.clone()))
            .tool(ledger.tool("pay", &open()).confirm())
            .limits(limits)
            .build()
            .unwrap();
        let view = store.another();
        let runtime = on(&view).await;
        let run = paused(&runtime, &agent, "Pay.").await;
        let id = run.id();
        drop((run, runtime));
        settle().await;
        tokio::time::sleep(Duration::from_secs(700)).await;
        let head = store.stored_head(id).await.unwrap();
        assert_eq!(head.status, RunStatus::Paused);
    }
    // Nothing holds the model any more.
    drop(agent);
    settle().await;
    assert_eq!(Arc::strong_count(&alive), 1, "nothing keeps the model");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_was_slow_brings_nothing_back_that_is_over() {
    for deletes in [false, true] {
        let (store, ledger) = (SharedStore::new(), Ledger::default());
        let runtime = on(&store).await;
        let id = paused(&runtime, &clerk(&ledger), "Pay.").await.id();
        store.hold_next_read();
        let slow = tokio::spawn({
            let runtime = runtime.clone();
            async move { runtime.get(id).await }
        });
        settle().await;
        assert!(format!("{runtime:?}").contains("reading: 1"));
        // Meanwhile the run continues, ends, and is forgotten.
        let run = runtime.continue_run(id, approve()).await.unwrap();
        assert!(matches!(ended(&run).await, Outcome::Completed(_)));
        drop(run);
        if deletes {
            assert!(runtime.delete_run(id).await.unwrap());
        }
        store.let_go();
        let found = slow.await.unwrap().unwrap();
        let status = found.map(|run| run.status());
        let expected = (!deletes).then_some(RunStatus::Completed);
        assert_eq!(status, expected);
        nothing_kept(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn going_on_takes_the_run_over_also_where_it_was_paused() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let runtime = on(&store).await;
    let run = paused(&runtime, &clerk(&ledger), "Pay.").await;
    assert_eq!(store.stored_head(run.id()).await.unwrap().epoch, 1);
    runtime.continue_run(run.id(), approve()).await.unwrap();
    ended(&run).await;
    assert_eq!(store.stored_head(run.id()).await.unwrap().epoch, 2);
}
