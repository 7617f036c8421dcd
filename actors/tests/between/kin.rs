//! A paused run that has children: they end with it, although the run has no actor and no reader.

use std::sync::{Arc, Mutex};

use quell_actors::{
    Agent, CancelReason, EventKind, NewRun, Outcome, Run, RunId, RunStatus, Runtime, ToolContext,
    runtime::Decisions, sim::Storyteller, tool, tool::AnyTool,
};
use serde_json::{Value, json};

use super::slow::Slow;
use crate::support::{
    ended, nothing_kept, opened, partial, poet, settle,
    shared::SharedStore,
    tools::{Ledger, open},
    until,
};

/// A tool that starts a child and does not wait for it. The child's handle is in `started`.
fn begins(runtime: &Runtime, agent: Agent, started: &Arc<Mutex<Option<Run>>>) -> AnyTool {
    // Taken out at the call: a tool that kept its runtime would form a cycle with it, through the paused run's agent.
    let runtime = Arc::new(Mutex::new(Some(runtime.clone())));
    let started = started.clone();
    let call = move |_: Value, context: ToolContext| {
        let (runtime, agent, started) = (runtime.clone(), agent.clone(), started.clone());
        async move {
            let runtime = runtime.lock().unwrap().take().unwrap();
            let new = NewRun::new("Go on.").child_of(&context);
            let child = runtime.start(&agent, new).await?;
            *started.lock().unwrap() = Some(child);
            Ok("begun".to_owned())
        }
    };
    tool::from_schema("begins", "Has somebody begin.", json!({}), call)
}

/// A run that is paused and has started `helper`.
async fn parent(runtime: &Runtime, helper: Agent) -> (Run, Run) {
    let started = Arc::default();
    let model = Storyteller::new("done")
        .calling("begins", json!({}))
        .calling("pay", json!({}));
    let pay = Ledger::default().tool("pay", &open()).confirm();
    let agent = Agent::builder("clerk", model)
        .tool(begins(runtime, helper, &started))
        .tool(pay)
        .build()
        .unwrap();
    let run = runtime.start(&agent, "Pay.").await.unwrap();
    until(&run, |kind| matches!(kind, EventKind::Paused(_))).await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let child = started.lock().unwrap().take();
    (run, child.unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_children_of_a_paused_run_end_with_it_also_when_nobody_has_read_it() {
    let runtime = opened(Default::default(), SharedStore::new()).await;
    let (run, child) = parent(&runtime, poet(Storyteller::endless())).await;
    let id = run.id();
    drop(run);
    settle().await;
    assert!(runtime.cancel(id).await.is_accepted());
    let run = runtime.get(id).await.unwrap().unwrap();
    let outcome = ended(&run).await;
    assert_eq!(partial(&outcome).receipt.children, [child.id()]);
    settle().await;
    assert!(child.status().is_ended(), "{:?}", child.status());
    let Outcome::Cancelled(cut) = ended(&child).await else {
        panic!("a child is cancelled with its parent");
    };
    assert_eq!(cut.receipt.reason, CancelReason::Parent(id));
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_is_dropped_lets_its_store_go_also_with_paused_kin() {
    let store = Slow::new(open(), [open(), open()]);
    let left = Arc::downgrade(&store.deleting);
    let runtime = opened(Default::default(), store).await;
    let model = Storyteller::new("done").calling("pay", json!({}));
    let pay = Ledger::default().tool("pay", &open()).confirm();
    let helper = Agent::builder("helper", model).tool(pay).build().unwrap();
    let (run, child) = parent(&runtime, helper).await;
    assert_eq!(
        (run.status(), child.status()),
        (RunStatus::Paused, RunStatus::Paused)
    );
    drop((run, child, runtime));
    settle().await;
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert!(left.upgrade().is_none(), "the store is held");
}

#[tokio::test(start_paused = true)]
async fn a_child_that_has_gone_on_beside_its_paused_parent_ends_with_it() {
    let runtime = Runtime::new();
    let model = Storyteller::new("done")
        .calling("pay", json!({}))
        .next_turn()
        .calling("pay", json!({}));
    let pay = Ledger::default().tool("pay", &open()).confirm();
    let helper = Agent::builder("helper", model).tool(pay).build().unwrap();
    let (run, child) = parent(&runtime, helper).await;
    let (id, child_id) = (run.id(), child.id());
    let decisions = Decisions::new().approve("call-1-0");
    runtime.continue_run(child_id, decisions).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(child.status(), RunStatus::Paused, "before its second call");
    drop((run, child));
    settle().await;
    assert!(runtime.cancel(id).await.is_accepted());
    let run = runtime.get(id).await.unwrap().unwrap();
    assert_eq!(partial(&ended(&run).await).receipt.children, [child_id]);
    settle().await;
    let child = runtime.get(child_id).await.unwrap().unwrap();
    assert_eq!(
        partial(&ended(&child).await).receipt.reason,
        CancelReason::Parent(id)
    );
    drop((run, child));
    nothing_kept(&runtime);
}

/// Whether anybody holds a run's log: the store is not asked for it then.
async fn is_in_memory(runtime: &Runtime, store: &SharedStore, id: RunId) -> bool {
    let before = store.reads();
    assert!(runtime.get(id).await.unwrap().is_some());
    store.reads() == before
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_leaves_memory_when_its_children_have_ended() {
    let store = SharedStore::new();
    let runtime = opened(Default::default(), store.clone()).await;
    let (run, child) = parent(&runtime, poet(Storyteller::endless())).await;
    let id = run.id();
    drop(run);
    settle().await;
    assert!(is_in_memory(&runtime, &store, id).await);
    child.cancel().await;
    ended(&child).await;
    drop(child);
    settle().await;
    assert!(!is_in_memory(&runtime, &store, id).await);
    runtime.cancel(id).await;
    settle().await;
    nothing_kept(&runtime);
}
