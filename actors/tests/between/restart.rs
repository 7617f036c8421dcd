//! Several runs of one session after a crash, and the end of their tools' programs.

use std::{sync::Arc, thread};

use quell_actors::{
    Agent, EventKind, NewRun, Outcome, RunStatus, Runtime, ToolContext,
    agent::OnCrash,
    runtime::{Decisions, WhenBusy},
    sim::Storyteller,
    tool::{self, Process},
};
use serde_json::{Value, json};

use crate::support::{
    all_events, ended, nothing_kept, opened, settle,
    shared::SharedStore,
    tools::{Ledger, open},
    until,
};

async fn on(store: &SharedStore) -> Runtime {
    opened(Default::default(), store.clone()).await
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_at_work_goes_on_before_those_that_waited_for_its_session() {
    let store = SharedStore::new();
    let model = Storyteller::new("done").calling("pay", json!({}));
    let pay = Ledger::default().tool("pay", &open()).confirm();
    let clerk = Agent::builder("clerk", model)
        .tool(pay)
        .on_crash(OnCrash::Resume)
        .build()
        .unwrap();
    let poet = |model| {
        let poet = Agent::builder("poet", model).on_crash(OnCrash::Resume);
        poet.build().unwrap()
    };
    let new = |words: &str| NewRun::new(words).session("s");
    let runtime = on(&store).await;
    // The older run is continued while the younger is active, so it waits.
    let older = runtime.start(&clerk, new("Pay.")).await.unwrap();
    until(&older, |kind| matches!(kind, EventKind::Paused(_))).await;
    settle().await;
    let hangs = poet(Storyteller::endless().stall_at(0));
    let younger = runtime.start(&hangs, new("Sing.")).await.unwrap();
    until(&younger, |kind| {
        matches!(kind, EventKind::ModelRequestStarted { .. })
    })
    .await;
    let call = Decisions::new().approve("call-1-0");
    runtime.continue_run(older.id(), call).await.unwrap();
    assert_eq!(older.status(), RunStatus::Pending);
    let last = runtime
        .start(&hangs, new("Sing more.").when_busy(WhenBusy::Queue))
        .await
        .unwrap();
    let ids = [younger.id(), older.id(), last.id()];

    let recover = Runtime::builder()
        .agent(&clerk)
        .agent(&poet(Storyteller::new("la")));
    let (runtime, recovered) = recover.open(store.another()).await.unwrap();
    assert_eq!(recovered.resumed, [younger.id()]);
    assert_eq!(recovered.requeued, [older.id(), last.id()]);
    let mut ends = Vec::new();
    for id in ids {
        let run = runtime.get(id).await.unwrap().unwrap();
        assert!(matches!(ended(&run).await, Outcome::Completed(_)));
        let events = all_events(&run).await;
        let continued = events.iter().rposition(|event| {
            matches!(event.kind, EventKind::Continued(_) | EventKind::Started(_))
        });
        let begun = &events[continued.unwrap() + 1];
        ends.push((begun.at, events.last().unwrap().at));
    }
    assert!(
        ends.is_sorted() && ends.windows(2).all(|two| two[0].1 <= two[1].0),
        "one after the other: {ends:?}"
    );
    settle().await;
    nothing_kept(&runtime);
}

/// Starts a run whose tool has noted a program.
async fn with_a_program(runtime: &Runtime) -> quell_actors::RunId {
    let call = |_: Value, context: ToolContext| async move {
        let (group, started, boot) = (7, 8, "boot".into());
        context
            .process(Process {
                group,
                started,
                boot,
                mark: None,
            })
            .await?;
        std::future::pending::<()>().await;
        Ok(String::new())
    };
    let program = tool::from_schema("program", "Runs.", json!({}), call);
    let model = Storyteller::new("done").calling("program", json!({}));
    let agent = Agent::builder("clerk", model).tool(program);
    let run = runtime.start(&agent.build().unwrap(), "Go.").await.unwrap();
    until(&run, |kind| matches!(kind, EventKind::ToolCallProcess(_))).await;
    run.id()
}

#[tokio::test(start_paused = true)]
async fn programs_are_ended_on_a_thread_that_may_block() {
    let store = SharedStore::new();
    let id = with_a_program(&on(&store).await).await;
    let here = thread::current().id();
    let other = Arc::new(std::sync::Mutex::new(None));
    let recover = Runtime::builder().end_processes({
        let other = other.clone();
        move |_| *other.lock().unwrap() = Some(thread::current().id())
    });
    let (_runtime, recovered) = recover.open(store.another()).await.unwrap();
    assert_eq!(recovered.interrupted, [id]);
    let other = other.lock().unwrap().unwrap();
    assert_ne!(other, here, "whatever else is at work here would wait");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_who_ends_programs_hinders_no_run_from_being_settled() {
    let store = SharedStore::new();
    let first = on(&store).await;
    let ids = [with_a_program(&first).await, with_a_program(&first).await];
    let recover = Runtime::builder().end_processes(|_| panic!("told to"));
    let (_runtime, recovered) = recover.open(store.another()).await.unwrap();
    assert_eq!(recovered.interrupted, ids);
    assert_eq!(recovered.processes.len(), 2);
}
