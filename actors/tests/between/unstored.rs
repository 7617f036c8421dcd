//! A pause that the store takes late.

use std::time::Duration;

use quell_actors::{
    Agent, NewRun, Outcome, Run, RunStatus, Runtime,
    agent::Limits,
    error::ContinueError,
    runtime::{Decisions, RuntimeConfig},
    sim::{Gate, Storyteller},
};
use serde_json::json;

use crate::support::{
    nothing_kept, opened, settle,
    shared::SharedStore,
    tools::{Ledger, open},
};

/// A run that is paused, and a store that has not taken that.
async fn paused_unstored(expiry: Duration) -> (SharedStore, Runtime, Run) {
    let store = SharedStore::new();
    let impatient = RuntimeConfig {
        store_patience: Duration::from_secs(1),
        ..RuntimeConfig::default()
    };
    let runtime = opened(impatient, store.clone()).await;
    let pay = Ledger::default().tool("pay", &open()).confirm();
    let limits = Limits {
        pause_expiry: Some(expiry),
        ..Limits::default()
    };
    let gate = Gate::new();
    let model = Storyteller::new("done")
        .gate(&gate)
        .calling("pay", json!({}));
    let agent = Agent::builder("clerk", model).tool(pay).limits(limits);
    let new = NewRun::new("Pay.").session("s");
    let run = runtime.start(&agent.build().unwrap(), new).await.unwrap();
    settle().await;
    // It takes the answer, and not the pause.
    store.freeze_after(1);
    gate.open();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(run.status(), RunStatus::Paused);
    (store, runtime, run)
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_pause_is_stored_late_goes_on_as_any_other() {
    let (store, runtime, run) = paused_unstored(Duration::from_secs(3600)).await;
    let decide = || Decisions::new().approve("call-1-0");
    let early = runtime.continue_run(run.id(), decide()).await.unwrap_err();
    assert!(matches!(early, ContinueError::Store { .. }), "{early:?}");
    store.thaw();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let head = store.stored_head(run.id()).await.unwrap();
    assert_eq!(head.status, RunStatus::Paused);
    let id = run.id();
    drop(run);
    let run = runtime.continue_run(id, decide()).await.unwrap();
    assert!(matches!(run.outcome().await, Ok(Outcome::Completed(_))));
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_pause_is_stored_late_expires_as_any_other() {
    let (store, runtime, run) = paused_unstored(Duration::from_secs(3600)).await;
    let id = run.id();
    drop(run);
    store.thaw();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    settle().await;
    let head = store.stored_head(id).await.unwrap();
    assert_eq!(head.status, RunStatus::Cancelled);
    nothing_kept(&runtime);
}
