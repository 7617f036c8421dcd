//! Lookups of a run while it, or its session, is created or deleted.

use quell_actors::{
    Agent, EventKind, NewRun, RunId, Runtime,
    sim::{Gate, Storyteller},
};
use serde_json::json;

use super::slow::Slow;
use crate::support::{
    ended, guarded, nothing_kept, opened, settle,
    tools::{Ledger, open},
    until,
};

/// The id of a paused run that is in the store only.
async fn paused(runtime: &Runtime) -> RunId {
    let model = Storyteller::new("done").calling("pay", json!({}));
    let pay = Ledger::default().tool("pay", &open()).confirm();
    let agent = Agent::builder("clerk", model).tool(pay).build().unwrap();
    let new = NewRun::new("Pay.").session("s");
    let run = runtime.start(&agent, new).await.unwrap();
    until(&run, |kind| matches!(kind, EventKind::Paused(_))).await;
    settle().await;
    run.id()
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_that_is_found_while_its_session_is_deleted_leaves_nobody_waiting() {
    let store = Slow::new(Gate::new(), [open(), open()]);
    let runtime = opened(Default::default(), store.clone()).await;
    let id = paused(&runtime).await;
    let deleting = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.delete_session("s").await }
    });
    store.deleting.notified().await;
    let found = runtime.get(id).await.unwrap();
    let waits = tokio::spawn(async move {
        match found {
            Some(run) => Some(run.outcome().await),
            None => None,
        }
    });
    settle().await;
    store.delete.open();
    assert!(deleting.await.unwrap().unwrap());
    guarded(waits).await.unwrap();
    assert!(runtime.get(id).await.unwrap().is_none());
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_came_and_went_while_somebody_looked_for_it_is_not_said_to_be_lost() {
    let store = Slow::new(open(), [Gate::new(), Gate::new()]);
    let runtime = opened(Default::default(), store.clone()).await;
    let (id, gate) = (RunId::new(), Gate::new());
    let model = Storyteller::new("done").calling("waits", json!({}));
    let tool = Ledger::default().tool("waits", &gate);
    let agent = Agent::builder("clerk", model).tool(tool).build().unwrap();
    let looks = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.get(id).await }
    });
    settle().await;
    let new = NewRun::new("Go.").id(id);
    let run = runtime.start(&agent, new).await.unwrap();
    until(&run, |kind| matches!(kind, EventKind::ToolCallStarted(_))).await;
    store.head[0].open();
    settle().await;
    gate.open();
    let outcome = ended(&run).await;
    settle().await;
    store.head[1].open();
    let found = looks.await.unwrap().unwrap().unwrap();
    assert_eq!(found.outcome().await, Ok(outcome));
}
