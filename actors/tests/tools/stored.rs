//! Intent before effect: a call starts once its start is stored, and not before.

use std::time::Duration;

use quell_actors::{
    CancelOutcome, CancelReason, Run, RunStatus, Runtime,
    agent::Limits,
    cancel::{Activity, ToolEnd},
    error::EventsError,
    runtime::RuntimeConfig,
    sim::Gate,
    tool::OnCancel,
};
use tokio::time::Instant;

use super::{
    Alive, clerk, ended, ends, eventually, settle,
    support::{Fault, FaultyStore, foreign, nothing_left, opened, partial, start_under},
    waits,
};

/// A run with two calls whose starts are not stored yet, and the test's means to watch it.
async fn about_to_call(linked: bool, limits: Limits) -> (Runtime, Run, FaultyStore, Alive, Gate) {
    let (store, alive, gate) = (FaultyStore::held(), Alive::default(), Gate::new());
    let runtime = opened(RuntimeConfig::default(), store.clone()).await;
    let agent = clerk(super::calls(&["waits", "must"]))
        .tool(waits("waits", &gate, &alive, OnCancel::Drop))
        .tool(waits("must", &gate, &alive, OnCancel::Finish))
        .limits(limits)
        .build()
        .unwrap();
    // The run's start, and the model request.
    store.let_through(2);
    let run = if linked {
        start_under(&foreign(false).await, &runtime, &agent).await
    } else {
        runtime.start(&agent, "Go.").await.unwrap()
    };
    // The append of the answer is held; the starts of its calls wait behind it.
    eventually(|| store.appends() == 3).await;
    settle().await;
    (runtime, run, store, alive, gate)
}

#[tokio::test(start_paused = true)]
async fn a_call_has_not_begun_before_its_start_is_stored() {
    for linked in [false, true] {
        let (runtime, run, store, alive, gate) = about_to_call(linked, Limits::default()).await;
        assert_eq!(alive.count(), 0, "the answer is not stored");
        store.let_through(1);
        eventually(|| store.appends() == 4).await;
        settle().await;
        assert_eq!(
            alive.count(),
            0,
            "the answer is stored, and the starts are not"
        );
        store.let_through(1);
        eventually(|| alive.count() == 2).await;
        store.release();
        gate.open();
        assert_eq!(ended(&run).await.text(), "all done");
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_before_that_begins_no_call_and_says_so() {
    for linked in [false, true] {
        let (runtime, run, store, alive, _gate) = about_to_call(linked, Limits::default()).await;
        let before = Instant::now();
        let CancelOutcome::Accepted { durable, .. } = run.cancel().await else {
            panic!("it is accepted");
        };
        assert!(!durable && before.elapsed() <= Duration::from_millis(200));
        assert_eq!(
            run.status(),
            RunStatus::Cancelled,
            "it waits for nothing, not even the store"
        );
        store.release();
        let outcome = ended(&run).await;
        assert_eq!(partial(&outcome).receipt.cut, Activity::Tool);
        let not_started = [
            ("waits", ToolEnd::NotStarted),
            ("must", ToolEnd::NotStarted),
        ];
        assert_eq!(ends(&outcome), not_started);
        assert_eq!(alive.count(), 0);
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_counts_while_the_store_is_waited_for() {
    let limits = Limits {
        deadline: Some(Duration::from_secs(3)),
        ..Limits::default()
    };
    let (runtime, run, store, alive, _gate) = about_to_call(false, limits).await;
    tokio::time::advance(Duration::from_secs(3)).await;
    eventually(|| run.status() == RunStatus::Cancelled).await;
    store.release();
    let outcome = ended(&run).await;
    assert_eq!(partial(&outcome).receipt.reason, CancelReason::Deadline);
    assert!(
        ends(&outcome)
            .iter()
            .all(|(_, end)| *end == ToolEnd::NotStarted)
    );
    assert_eq!(alive.count(), 0);
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_lost_before_that_begins_no_call() {
    let (runtime, run, store, alive, _gate) = about_to_call(false, Limits::default()).await;
    store.fail(std::iter::repeat_n(Fault::Unavailable, 100));
    store.release();
    let lost = run.outcome().await.unwrap_err();
    assert!(matches!(lost, EventsError::StoreLost { .. }), "{lost:?}");
    settle().await;
    assert_eq!((alive.count(), run.status()), (0, RunStatus::Error));
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_lost_under_a_call_ends_it() {
    for linked in [false, true] {
        let (runtime, run, store, alive, gate) = about_to_call(linked, Limits::default()).await;
        store.let_through(2);
        eventually(|| alive.count() == 2).await;
        store.fail(std::iter::repeat_n(Fault::Unavailable, 100));
        store.release();
        // One result is to be stored, and the store fails.
        gate.let_through(1);
        let lost = run.outcome().await.unwrap_err();
        assert!(matches!(lost, EventsError::StoreLost { .. }), "{lost:?}");
        eventually(|| alive.count() <= 1).await;
        // The call that must finish is awaited, as long as a cancel would wait.
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert_eq!((alive.count(), run.status()), (0, RunStatus::Error));
        nothing_left(&runtime);
    }
}
