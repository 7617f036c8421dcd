//! Child runs, in their parent's session and in others.

use std::{sync::Arc, time::Duration};

use quell_actors::{
    Agent, CancelReason, EventKind, NewRun, Outcome, Run, RunStatus, Runtime, ToolContext,
    error::StartError,
    runtime::Decisions,
    sim::{Gate, Storyteller},
    tool,
    tool::AnyTool,
};
use serde_json::json;
use tokio::sync::mpsc;

use super::{config, gated, in_s};
use crate::support::{
    ended, nothing_kept, partial, poet, settle,
    tools::{Ledger, open},
    until,
};

/// A tool that starts a run of `agent` in `session`, waits for it if `waits`, and sends its handle.
fn delegate(
    runtime: &Runtime,
    agent: &Agent,
    session: &'static str,
    waits: bool,
) -> (AnyTool, mpsc::UnboundedReceiver<Run>) {
    let (told, heard) = mpsc::unbounded_channel();
    let shared = Arc::new((runtime.clone(), agent.clone(), told));
    let tool = tool::from_fn("delegate", "Asks.", move |(): (), context: ToolContext| {
        let shared = shared.clone();
        async move {
            let (runtime, agent, told) = &*shared;
            let run = NewRun::new("Help.").session(session).child_of(&context);
            let run = runtime.start(agent, run).await?;
            let _ = told.send(run.clone());
            if waits {
                run.outcome().await?;
            } else {
                drop(run);
                std::future::pending::<()>().await;
            }
            Ok::<_, quell_actors::tool::ToolError>("helped")
        }
    });
    (tool, heard)
}

fn parent(tool: AnyTool) -> Agent {
    let model = Storyteller::new("done").calling("delegate", json!({}));
    Agent::builder("parent", model).tool(tool).build().unwrap()
}

fn payer() -> Agent {
    let model = Storyteller::new("paid").calling("pay", json!({}));
    let tool = Ledger::default().tool("pay", &open()).confirm();
    Agent::builder("child", model)
        .history_runs(0)
        .tool(tool)
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_child_in_its_parents_session_runs_beside_it_without_a_slot_of_its_own() {
    let runtime = config(|config| config.max_live_runs = 1);
    let (tool, _heard) = delegate(&runtime, &poet(Storyteller::new("la")), "s", true);
    let run = runtime.start(&parent(tool), in_s("Do it.")).await.unwrap();
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_waited_for_another_session_does_not_wait_for_a_slot_too() {
    let runtime = config(|config| config.max_live_runs = 2);
    let gate = Gate::new();
    let other = NewRun::new("Sing.").session("t");
    let other = runtime.start(&gated(&gate), other).await.unwrap();
    let (tool, mut heard) = delegate(&runtime, &poet(Storyteller::new("la")), "t", true);
    let run = runtime.start(&parent(tool), in_s("Do it.")).await.unwrap();
    let child = heard.recv().await.unwrap();
    assert_eq!(child.status(), RunStatus::Pending);
    // Another run takes the slot that becomes free.
    let taker = runtime
        .start(&poet(Storyteller::endless().stall_at(0)), "Sing.")
        .await
        .unwrap();
    gate.open();
    ended(&other).await;
    settle().await;
    assert!(matches!(ended(&child).await, Outcome::Completed(_)));
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    assert_eq!(taker.status(), RunStatus::Running);
    taker.cancel().await;
    ended(&taker).await;
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_was_paused_goes_on_beside_its_parent_and_without_a_slot() {
    let runtime = config(|config| config.max_live_runs = 1);
    let (tool, mut heard) = delegate(&runtime, &payer(), "s", true);
    let run = runtime.start(&parent(tool), in_s("Do it.")).await.unwrap();
    let child = heard.recv().await.unwrap();
    until(&child, |kind| matches!(kind, EventKind::Paused(_))).await;
    settle().await;
    assert_eq!(run.status(), RunStatus::Running, "it waits for its child");
    let decisions = Decisions::new().approve("call-1-0");
    runtime.continue_run(child.id(), decisions).await.unwrap();
    assert!(matches!(ended(&child).await, Outcome::Completed(_)));
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    drop(child);
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_paused_child_that_nobody_holds_is_cancelled_with_its_parent() {
    let runtime = Runtime::new();
    let (tool, mut heard) = delegate(&runtime, &payer(), "s", false);
    let run = runtime.start(&parent(tool), in_s("Do it.")).await.unwrap();
    let child = heard.recv().await.unwrap();
    let id = child.id();
    until(&child, |kind| matches!(kind, EventKind::Paused(_))).await;
    drop(child);
    tokio::time::sleep(Duration::from_secs(60)).await;
    run.cancel().await;
    let outcome = ended(&run).await;
    assert_eq!(partial(&outcome).receipt.children, [id]);
    settle().await;
    let child = runtime.get(id).await.unwrap().unwrap();
    let outcome = child.outcome().await.unwrap();
    assert_eq!(
        partial(&outcome).receipt.reason,
        CancelReason::Parent(run.id())
    );
    drop(child);
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_child_of_a_run_that_has_ended_is_refused_and_leaves_nothing() {
    let runtime = Runtime::new();
    let (kept, mut contexts) = mpsc::unbounded_channel();
    let leak = tool::from_fn("delegate", "Leaks.", move |(): (), context: ToolContext| {
        let _ = kept.send(context);
        std::future::pending::<Result<&str, _>>()
    });
    let run = runtime.start(&parent(leak), in_s("Do it.")).await.unwrap();
    let context = contexts.recv().await.unwrap();
    // Its cancel is decided, but it has not ended: it cannot start child runs any more.
    run.cancel();
    let agent = poet(Storyteller::new("la"));
    let id = quell_actors::RunId::new();
    let child = || in_s("Help.").id(id).child_of(&context);
    let refused = runtime.start(&agent, child()).await.unwrap_err();
    assert_eq!(refused, StartError::ParentEnded(run.id()));
    assert!(
        runtime.get(id).await.unwrap().is_none(),
        "nothing is stored of it"
    );
    ended(&run).await;
    settle().await;
    let refused = runtime.start(&agent, child()).await.unwrap_err();
    assert_eq!(refused, StartError::ParentEnded(run.id()));
    settle().await;
    assert_eq!(runtime.session("s").await.unwrap().unwrap().runs, 1);
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_child_does_not_run_beside_whoever_its_parent_waits_for() {
    let runtime = Runtime::new();
    // The parent starts a child that is paused, and is paused itself.
    let (told, mut heard) = mpsc::unbounded_channel();
    let shared = Arc::new((runtime.clone(), payer(), told));
    let begins = tool::from_fn("begins", "Begins.", move |(): (), context: ToolContext| {
        let shared = shared.clone();
        async move {
            let (runtime, agent, told) = &*shared;
            let run = in_s("Help.").child_of(&context);
            let _ = told.send(runtime.start(agent, run).await?);
            Ok::<_, tool::ToolError>("begun")
        }
    });
    let model = Storyteller::new("done")
        .calling("begins", json!({}))
        .calling("pay", json!({}));
    let pay = Ledger::default().tool("pay", &open()).confirm();
    let agent = Agent::builder("parent", model).tool(begins).tool(pay);
    let agent = agent.history_runs(0).build().unwrap();
    let parent = runtime.start(&agent, in_s("Do it.")).await.unwrap();
    let child = heard.recv().await.unwrap();
    for run in [&parent, &child] {
        until(run, |kind| matches!(kind, EventKind::Paused(_))).await;
    }
    settle().await;

    let gate = Gate::new();
    let holder = runtime.start(&gated(&gate), in_s("Sing.")).await.unwrap();
    let decide = |call: &str| Decisions::new().approve(call);
    runtime
        .continue_run(parent.id(), decide("call-1-1"))
        .await
        .unwrap();
    runtime
        .continue_run(child.id(), decide("call-1-0"))
        .await
        .unwrap();
    settle().await;
    let pending = (RunStatus::Pending, RunStatus::Pending);
    assert_eq!((parent.status(), child.status()), pending);
    gate.open();
    for run in [&holder, &parent, &child] {
        assert!(matches!(ended(run).await, Outcome::Completed(_)));
    }
    drop((parent, child));
    settle().await;
    nothing_kept(&runtime);
}
