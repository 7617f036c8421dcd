//! A resumed run learns how its calls ended, and which may be repeated.

use std::sync::{Arc, Mutex};

use quell_actors::{
    Agent, EventKind, Outcome, Runtime, ToolContext,
    agent::{Limits, OnCrash},
    sim::{Gate, Storyteller},
    tool::{self, Process, ToolError},
};
use serde_json::json;

use super::{on, reopened};
use crate::support::{
    ended, nothing_kept, settle,
    shared::SharedStore,
    tools::{Ledger, Recorder, open},
    until,
};

#[tokio::test(start_paused = true)]
async fn a_model_is_told_of_unknown_outcomes_and_repeated_calls_keep_their_ids() {
    let (store, ledger, never) = (SharedStore::new(), Ledger::default(), Gate::new());
    let model = Recorder::new(
        Storyteller::new("all is done")
            .calling("send", json!({}))
            .calling("look", json!({})),
    );
    let agent = |gate: &Gate| {
        Agent::builder("clerk", model.clone())
            .tool(ledger.tool("send", gate))
            .tool(ledger.tool("look", gate).repeatable())
            .on_crash(OnCrash::Resume)
            .build()
            .unwrap()
    };
    let run = on(&store).await.start(&agent(&never), "Do.").await.unwrap();
    until(&run, |kind| matches!(kind, EventKind::ToolCallStarted(_))).await;
    settle().await;
    assert_eq!(ledger.made(), ["call-1-0".into(), "call-1-1".into()]);

    let (runtime, recovered) = reopened(&store, &[&agent(&open())]).await;
    assert_eq!(recovered.resumed, [run.id()]);
    let run = runtime.get(run.id()).await.unwrap().unwrap();
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    assert_eq!((ledger.times("call-1-0"), ledger.times("call-1-1")), (1, 2));
    assert_eq!(
        model.last(),
        [
            "user: Do.",
            "assistant:  send(call-1-0) look(call-1-1)",
            "tool call-1-0: It is not known whether the call was done: the process ended while it was at work.",
            "tool call-1-1: look"
        ]
    );
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_cut_answer_is_asked_for_again_and_what_it_cost_is_counted() {
    let store = SharedStore::new();
    let words = "one two three four five six seven eight";
    let agent = |model| {
        let agent = Agent::builder("poet", model).on_crash(OnCrash::Resume);
        agent.build().unwrap()
    };
    let cut = agent(Storyteller::new(words).stall_at(7));
    let id = on(&store).await.start(&cut, "Sing.").await.unwrap().id();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let whole = Recorder::new(Storyteller::new(words));
    let (runtime, _) = reopened(&store, &[&agent(Storyteller::new(words))]).await;
    let run = runtime.get(id).await.unwrap().unwrap();
    let outcome = ended(&run).await;
    assert!(matches!(outcome, Outcome::Completed(_)));
    // Two answers, one of them cut: 34 and 39 bytes.
    assert!(outcome.usage().output_tokens >= 18, "{:?}", outcome.usage());
    let turns: Vec<_> = store
        .stored(id)
        .await
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::ModelRequestStarted { turn, .. } => Some(turn),
            _ => None,
        })
        .collect();
    assert_eq!(turns, [1, 1], "a turn that was cut is not behind the run");
    drop(whole);
}

#[tokio::test(start_paused = true)]
async fn limits_count_what_was_before_the_crash() {
    let store = SharedStore::new();
    let agent = |model| {
        let limits = Limits {
            max_tokens: Some(20),
            ..Limits::default()
        };
        let agent = Agent::builder("poet", model).limits(limits);
        agent.on_crash(OnCrash::Resume).build().unwrap()
    };
    let words = "one two three four five six seven eight nine";
    let first = agent(Storyteller::new(words).stall_at(8));
    let id = on(&store).await.start(&first, "Sing.").await.unwrap().id();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let (runtime, _) = reopened(&store, &[&agent(Storyteller::new(words))]).await;
    let run = runtime.get(id).await.unwrap().unwrap();
    let outcome = ended(&run).await;
    assert!(matches!(outcome, Outcome::Cancelled(_)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn programs_are_ended_that_open_calls_had_at_work_and_no_others() {
    let store = SharedStore::new();
    let process = |name: &'static str, hangs: bool| {
        tool::from_fn(
            name,
            "Runs a program.",
            move |(): (), context: ToolContext| async move {
                let group = if hangs { 2 } else { 1 };
                let process = Process {
                    group,
                    started: 7,
                    boot: "boot".into(),
                    mark: None,
                };
                context.process(process).await?;
                if hangs {
                    std::future::pending::<()>().await;
                }
                Ok::<_, ToolError>("ran")
            },
        )
    };
    let model = Storyteller::new("done")
        .calling("short", json!({}))
        .calling("long", json!({}));
    let agent = Agent::builder("clerk", model)
        .tool(process("short", false))
        .tool(process("long", true))
        .build()
        .unwrap();
    let run = on(&store).await.start(&agent, "Run.").await.unwrap();
    until(&run, |kind| matches!(kind, EventKind::ToolCallCompleted(_))).await;
    settle().await;
    let ended = Arc::new(Mutex::new(Vec::new()));
    let noted = ended.clone();
    let status = {
        let store = store.clone();
        move || {
            futures::executor::block_on(store.stored_head(run.id()))
                .unwrap()
                .status
        }
    };
    let recover = Runtime::builder().end_processes(move |process| {
        // Before its run is settled.
        noted.lock().unwrap().push((process.group, status()));
    });
    let (_, recovered) = recover.open(store.another()).await.unwrap();
    assert_eq!(
        *ended.lock().unwrap(),
        [(2, quell_actors::RunStatus::Running)]
    );
    let groups: Vec<_> = recovered
        .processes
        .iter()
        .map(|process| process.group)
        .collect();
    assert_eq!(groups, [2]);
}
