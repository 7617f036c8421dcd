//! How each kind of run is settled after a crash.

use std::time::Duration;

use quell_actors::{
    Agent, CancelReason, CancelRequest, EventKind, NewRun, Outcome, RunEvent, RunStatus,
    ToolContext,
    agent::OnCrash,
    cancel::{Activity, ToolEnd},
    outcome::ErrorReason,
    sim::{Gate, Storyteller},
    tool,
    tool::OnCancel,
};
use serde_json::json;

use super::{on, reopened};
use crate::support::{
    all_events, check_history, ended, nothing_kept, opened, partial, poet, settle,
    shared::SharedStore,
    tools::{Ledger, open},
    until,
};

#[tokio::test(start_paused = true)]
async fn a_run_that_was_at_work_ends_as_interrupted_with_what_it_had_said() {
    let store = SharedStore::new();
    let agent = poet(Storyteller::new("one two three").stall_at(2));
    let id = on(&store).await.start(&agent, "Sing.").await.unwrap().id();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for agents in [&[][..], &[&agent]] {
        let (runtime, recovered) = reopened(&store, agents).await;
        let run = runtime.get(id).await.unwrap().unwrap();
        let Outcome::Error(error) = ended(&run).await else {
            panic!("not an error");
        };
        assert_eq!(
            (error.reason, &*error.text),
            (ErrorReason::Interrupted, "one two ")
        );
        assert!(error.usage.output_tokens > 0);
        let first = agents.is_empty();
        assert_eq!(
            recovered.interrupted.len(),
            usize::from(first),
            "it is settled once"
        );
        nothing_kept(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_had_been_asked_to_stop_ends_cancelled_by_whoever_asked() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let model = Storyteller::new("done").calling("move", json!({}));
    let tool = ledger
        .tool("move", &Gate::new())
        .on_cancel(OnCancel::Finish);
    let agent = Agent::builder("clerk", model).tool(tool);
    let agent = agent.on_crash(OnCrash::Resume).build().unwrap();
    let run = on(&store).await.start(&agent, "Move.").await.unwrap();
    until(&run, |kind| matches!(kind, EventKind::ToolCallStarted(_))).await;
    let request = CancelRequest::new(CancelReason::Because("enough".into())).by("ann");
    run.cancel_with(request).await;
    assert_eq!(
        store.stored_head(run.id()).await.unwrap().status,
        RunStatus::Cancelling
    );

    let (runtime, recovered) = reopened(&store, &[&agent]).await;
    assert_eq!(recovered.cancelled, [run.id()]);
    let run = runtime.get(run.id()).await.unwrap().unwrap();
    let outcome = ended(&run).await;
    let receipt = &partial(&outcome).receipt;
    assert_eq!(receipt.reason, CancelReason::Because("enough".into()));
    assert_eq!(receipt.by.as_deref(), Some("ann"));
    assert_eq!(
        (receipt.cut, receipt.tools[0].end),
        (Activity::Tool, ToolEnd::Unknown)
    );
    assert!(receipt.fault.is_some());
    assert_eq!(ledger.times("call-1-0"), 1);
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_had_not_begun_begins_if_its_agent_is_known() {
    for known in [true, false] {
        let store = SharedStore::new();
        let config = quell_actors::runtime::RuntimeConfig {
            max_live_runs: 0,
            ..Default::default()
        };
        let first = opened(config, store.clone()).await;
        let agent = poet(Storyteller::new("one two"));
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.push(
                first
                    .start(&agent, NewRun::new("Sing.").session("s"))
                    .await
                    .unwrap()
                    .id(),
            );
        }
        let agents: &[&Agent] = if known { &[&agent] } else { &[] };
        let (runtime, recovered) = reopened(&store, agents).await;
        let (queued, lost) = if known {
            (&ids[..], &[][..])
        } else {
            (&[][..], &ids[..])
        };
        assert_eq!(recovered.requeued, queued);
        assert_eq!(recovered.interrupted, lost);
        let mut before = None;
        for id in &ids {
            let run = runtime.get(*id).await.unwrap().unwrap();
            let outcome = ended(&run).await;
            assert_eq!(matches!(outcome, Outcome::Completed(_)), known);
            // One after another, in the order in which they were started.
            let at = all_events(&run).await.last().map(|last| last.at);
            assert!(!known || before < at);
            before = at;
        }
        settle().await;
        nothing_kept(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn paused_runs_wait_on_and_are_not_touched() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let model = Storyteller::new("done").calling("pay", json!({}));
    let agent = Agent::builder("clerk", model).tool(ledger.tool("pay", &open()).confirm());
    let agent = agent.build().unwrap();
    let first = on(&store).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let run = first.start(&agent, "Pay.").await.unwrap();
        until(&run, |kind| matches!(kind, EventKind::Paused(_))).await;
        ids.push(run.id());
    }
    let view = store.another();
    let (_, recovered) = reopened(&view, &[&agent]).await;
    assert_eq!(recovered.paused, 3);
    for id in ids {
        let head = store.stored_head(id).await.unwrap();
        assert_eq!((head.status, head.epoch), (RunStatus::Paused, 1));
    }
}

/// An active run whose tool has started a child with this agent.
async fn family(store: &SharedStore, child: &Agent, on_crash: OnCrash) -> [RunEvent; 2] {
    let runtime = on(store).await;
    let (starts, agent) = (runtime.clone(), child.clone());
    let tool = tool::from_fn(
        "delegate",
        "Asks another.",
        move |(): (), context: ToolContext| {
            let (runtime, agent) = (starts.clone(), agent.clone());
            async move {
                let run = NewRun::new("Help.").session("s").child_of(&context);
                let child = runtime.start(&agent, run).await.unwrap();
                let _ = child.outcome().await;
                Ok("helped")
            }
        },
    );
    let model = Storyteller::new("done").calling("delegate", json!({}));
    let agent = Agent::builder("parent", model)
        .tool(tool)
        .on_crash(on_crash);
    let run = NewRun::new("Do it.").session("s");
    let parent = runtime.start(&agent.build().unwrap(), run).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let query = quell_actors::store::RunQuery::unfinished();
    let runs = runtime.runs(query).await.unwrap();
    assert_eq!(runs.len(), 2);
    let child = runs.iter().find(|run| run.run_id != parent.id()).unwrap();
    let first = |events: Vec<RunEvent>| events.into_iter().next().unwrap();
    [
        first(store.stored(parent.id()).await),
        first(store.stored(child.run_id).await),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_child_does_not_go_on_without_its_parent() {
    let ledger = Ledger::default();
    let paused = Agent::builder("child", Storyteller::new("done").calling("pay", json!({})))
        .tool(ledger.tool("pay", &open()).confirm())
        .on_crash(OnCrash::Resume)
        .build()
        .unwrap();
    let busy = Agent::builder("child", Storyteller::endless().stall_at(1));
    let busy = busy.on_crash(OnCrash::Resume).build().unwrap();
    for (child, paused) in [(paused, true), (busy, false)] {
        let store = SharedStore::new();
        let [parent, first] = family(&store, &child, OnCrash::Fail).await;
        let (runtime, recovered) = reopened(&store, &[&child]).await;
        assert_eq!(recovered.resumed, []);
        let outcome = check_history(&store.stored(first.run_id).await);
        if paused {
            let reason = CancelReason::Parent(parent.run_id);
            assert_eq!(partial(&outcome).receipt.reason, reason);
            assert_eq!(recovered.cancelled, [first.run_id]);
        } else {
            assert!(
                matches!(outcome, Outcome::Error(error) if error.reason == ErrorReason::Interrupted)
            );
        }
        assert!(matches!(
            check_history(&store.stored(parent.run_id).await),
            Outcome::Error(_)
        ));
        nothing_kept(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_had_to_be_resumed_and_finds_no_place_ends() {
    let store = SharedStore::new();
    let agent = Agent::builder("poet", Storyteller::endless().stall_at(1));
    let agent = agent.on_crash(OnCrash::Resume).build().unwrap();
    let first = on(&store).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(first.start(&agent, "Sing.").await.unwrap().id());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let config = quell_actors::runtime::RuntimeConfig {
        max_live_runs: 1,
        max_queued_runs: 1,
        ..Default::default()
    };
    let recover = quell_actors::Runtime::builder().agent(&agent);
    let (runtime, recovered) = recover.config(config).open(store.another()).await.unwrap();
    assert_eq!(recovered.resumed, ids[..2]);
    assert_eq!(recovered.interrupted, ids[2..]);
    for (_, answer) in runtime
        .cancel_all(
            quell_actors::runtime::Scope::all(),
            CancelRequest::default(),
        )
        .await
        .unwrap()
    {
        assert!(answer.is_accepted());
    }
    settle().await;
    nothing_kept(&runtime);
}
