//! A store that is lost and comes back.

use std::time::Duration;

use quell_actors::{
    Agent, CancelOutcome, EventKind, NewRun, Outcome, RunStatus, Store,
    error::EventsError,
    runtime::{RuntimeConfig, Shutdown},
    sim::{Gate, Storyteller},
    tool::OnCancel,
};
use serde_json::json;

use crate::support::{
    Fault, FaultyStore, check_history, opened, poet, settle, tools::Ledger, until,
};

/// A little more than the time between two attempts to reach a lost store.
const LATER: Duration = Duration::from_secs(6);

fn impatient() -> RuntimeConfig {
    RuntimeConfig {
        store_patience: Duration::from_secs(1),
        ..RuntimeConfig::default()
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_is_stored_when_the_store_is_back() {
    for faults in [
        Fault::UnknownBeforeStoring,
        Fault::UnknownAfterStoring,
        Fault::Unavailable,
    ] {
        let store = FaultyStore::open();
        let runtime = opened(impatient(), store.clone()).await;
        let model = Storyteller::new("one two three").stall_at(1);
        let run = runtime.start(&poet(model), "Go.").await.unwrap();
        until(&run, |kind| matches!(kind, EventKind::Content { .. })).await;
        store.fail(std::iter::repeat_n(faults, 10_000));
        let answer = run.cancel().await;
        assert!(matches!(
            answer,
            CancelOutcome::Accepted { durable: false, .. }
        ));
        let lost = run.outcome().await.unwrap_err();
        assert!(matches!(lost, EventsError::StoreLost { .. }), "{lost:?}");
        store.heal();
        tokio::time::sleep(LATER).await;
        settle().await;

        let head = store.head(run.id()).await.unwrap().unwrap();
        assert_eq!(head.status, RunStatus::Cancelled);
        let stored = store.read(run.id(), 0, 100).await.unwrap();
        check_history(&stored);
        // A handle that is still held sees how the run ended.
        assert!(matches!(run.outcome().await, Ok(Outcome::Cancelled(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_no_longer_for_a_store_that_is_lost() {
    let store = FaultyStore::open();
    let runtime = opened(impatient(), store.clone()).await;
    let model = Storyteller::new("one two three").stall_at(1);
    let run = runtime.start(&poet(model), "Go.").await.unwrap();
    until(&run, |kind| matches!(kind, EventKind::Content { .. })).await;
    store.fail(std::iter::repeat_n(Fault::Unavailable, 10_000));
    run.cancel().await;
    assert!(run.outcome().await.is_err());
    runtime.shutdown(Shutdown::default()).await;
    store.heal();
    tokio::time::sleep(LATER).await;
    let head = store.head(run.id()).await.unwrap().unwrap();
    assert_eq!(
        head.status,
        RunStatus::Running,
        "that is for recovery to settle"
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_back_gets_one_append_after_the_other() {
    let store = FaultyStore::open();
    let runtime = opened(impatient(), store.clone()).await;
    let gate = Gate::new();
    let model = Storyteller::new("one two three").gate(&gate);
    let run = runtime.start(&poet(model), "Go.").await.unwrap();
    settle().await;
    // The first word is in an append that gets no answer, and the ending in the one after it.
    store.fail(std::iter::repeat_n(Fault::UnknownBeforeStoring, 10_000));
    gate.open();
    assert!(run.outcome().await.is_err());
    store.heal();
    // A little more than the time between two attempts, and not twice that.
    tokio::time::sleep(LATER).await;
    settle().await;
    let head = store.head(run.id()).await.unwrap().unwrap();
    let stored = store.read(run.id(), 0, 100).await.unwrap();
    assert_eq!(head.status, RunStatus::Error);
    check_history(&stored);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_lost_its_store_has_its_session_until_its_tool_is_done() {
    let store = FaultyStore::open();
    let runtime = opened(impatient(), store.clone()).await;
    let (ledger, finish) = (Ledger::default(), Gate::new());
    let tool = ledger.tool("move", &finish).on_cancel(OnCancel::Finish);
    let model = Storyteller::new("done").calling("move", json!({}));
    let agent = Agent::builder("clerk", model).tool(tool).build().unwrap();
    let new = || NewRun::new("Move.").session("s");
    let first = runtime.start(&agent, new()).await.unwrap();
    until(&first, |kind| matches!(kind, EventKind::ToolCallStarted(_))).await;
    settle().await;
    store.fail(std::iter::repeat_n(Fault::Unavailable, 10_000));
    first.cancel().await;
    assert!(first.outcome().await.is_err());
    store.heal();
    let second = poet(Storyteller::new("la").stall_at(0));
    let second = runtime.start(&second, new()).await.unwrap();
    settle().await;
    assert_eq!(second.status(), RunStatus::Pending, "the tool is at work");
    finish.open();
    settle().await;
    assert_eq!(second.status(), RunStatus::Running);
    second.cancel().await;
}
