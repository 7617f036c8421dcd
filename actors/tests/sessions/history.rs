//! The history of a session that the model gets.

use std::time::Duration;

use quell_actors::{
    Agent, EventKind, Outcome, Run, RunStatus, Runtime,
    agent::InterruptedAnswers,
    model::{ModelError, ModelErrorKind},
    outcome::ErrorReason,
    runtime::{Decisions, WhenBusy},
    sim::{Gate, Storyteller, check_chat},
};
use serde_json::json;

use super::{gated, in_s, when};
use crate::support::{
    ended, nothing_kept, opened, poet, settle,
    shared::SharedStore,
    tools::{Ledger, Recorder, open},
    until,
};

fn recorder() -> (Recorder, Agent) {
    let model = Recorder::new(Storyteller::new("lo"));
    (model.clone(), Agent::new("poet", model))
}

async fn done(runtime: &Runtime, agent: &Agent, words: &str) -> Run {
    let run = runtime.start(agent, in_s(words)).await.unwrap();
    ended(&run).await;
    settle().await;
    run
}

#[tokio::test(start_paused = true)]
async fn the_model_is_shown_the_last_runs_in_their_order() {
    let runtime = Runtime::new();
    for words in ["one", "two", "three", "four"] {
        done(
            &runtime,
            &poet(Storyteller::new(&format!("re {words}"))),
            words,
        )
        .await;
    }
    for (runs, shown) in [(0, 0), (1, 2), (3, 6), (10, 8)] {
        let model = Recorder::new(Storyteller::new("lo"));
        let agent = Agent::builder("poet", model.clone()).instructions("Be kind.");
        let agent = agent.history_runs(runs).build().unwrap();
        let run = runtime
            .start(&agent, when(WhenBusy::Parallel))
            .await
            .unwrap();
        until(&run, |kind| {
            matches!(kind, EventKind::ModelRequestStarted { .. })
        })
        .await;
        settle().await;
        let all = [
            "user: one",
            "assistant: re one",
            "user: two",
            "assistant: re two",
            "user: three",
            "assistant: re three",
            "user: four",
            "assistant: re four",
        ];
        let mut expected = vec!["system: Be kind."];
        expected.extend(&all[8 - shown..]);
        expected.push("user: Sing.");
        assert_eq!(model.last(), expected);
        ended(&run).await;
        assert!(runtime.delete_run(run.id()).await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_cut_is_marked_or_left_out_as_the_agent_says() {
    let (runtime, gate) = (Runtime::new(), Gate::new());
    let cut = runtime.start(&gated(&gate), in_s("one")).await.unwrap();
    gate.let_through(2);
    settle().await;
    cut.cancel().await;
    ended(&cut).await;
    let error = ModelError::new(ModelErrorKind::Connect, "gone");
    let failing = poet(Storyteller::new("re re re").fail_at(1, error));
    done(&runtime, &failing, "two").await;
    for (interrupted, expected) in [
        (
            InterruptedAnswers::Marked,
            vec![
                "user: one",
                "assistant: la \n\n[This answer was interrupted.]",
                "user: two",
                "assistant: re \n\n[This answer was interrupted.]",
                "user: three",
            ],
        ),
        (
            InterruptedAnswers::Omitted,
            vec!["user: one", "user: two", "user: three"],
        ),
    ] {
        let model = Recorder::new(Storyteller::new("lo"));
        let agent = Agent::builder("poet", model.clone()).interrupted(interrupted);
        let run = done(&runtime, &agent.build().unwrap(), "three").await;
        assert_eq!(model.last(), expected);
        runtime.delete_run(run.id()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_runs_calls_await_approval_in_the_request_and_stay_open_in_the_store() {
    let store = SharedStore::new();
    let (runtime, ledger) = (
        opened(Default::default(), store.clone()).await,
        Ledger::default(),
    );
    let clerk = Storyteller::new("paid")
        .saying_first("I pay")
        .calling("look", json!({}))
        .calling("pay", json!({}));
    let clerk = Agent::builder("clerk", clerk)
        .tool(ledger.tool("look", &open()))
        .tool(ledger.tool("pay", &open()).confirm())
        .build()
        .unwrap();
    let paused = runtime.start(&clerk, in_s("Pay.")).await.unwrap();
    until(&paused, |kind| matches!(kind, EventKind::Paused(_))).await;
    settle().await;
    let stored = store.stored(paused.id()).await;

    let (model, agent) = recorder();
    done(&runtime, &agent, "And now?").await;
    let open_call = [
        "user: Pay.",
        "assistant: I pay look(call-1-0) pay(call-1-1)",
        "tool call-1-0: look",
        "tool call-1-1: awaiting approval",
    ];
    assert_eq!(model.last()[..4], open_call);
    assert_eq!(model.last().last().unwrap(), "user: And now?");
    assert_eq!(check_chat(&model.asked()[0]), Ok(()));
    assert_eq!(
        store.stored(paused.id()).await,
        stored,
        "nothing of it is stored"
    );

    runtime
        .continue_run(paused.id(), Decisions::new().approve("call-1-1"))
        .await
        .unwrap();
    assert!(matches!(ended(&paused).await, Outcome::Completed(_)));
    settle().await;
    done(&runtime, &agent, "And then?").await;
    let shown = model.last();
    assert_eq!(shown[3..5], ["tool call-1-1: pay", "assistant: paid"]);
    assert_eq!(
        shown[5..],
        ["user: And now?", "assistant: lo", "user: And then?"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_goes_on_remembers_what_was_before_it_and_not_what_came_since() {
    let (runtime, ledger) = (Runtime::new(), Ledger::default());
    done(&runtime, &poet(Storyteller::new("re")), "one").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let model = Recorder::new(Storyteller::new("paid").calling("pay", json!({})));
    let clerk = Agent::builder("clerk", model.clone()).tool(ledger.tool("pay", &open()).confirm());
    let run = runtime
        .start(&clerk.build().unwrap(), in_s("two"))
        .await
        .unwrap();
    until(&run, |kind| matches!(kind, EventKind::Paused(_))).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    done(&runtime, &poet(Storyteller::new("re")), "three").await;
    runtime
        .continue_run(run.id(), Decisions::new().approve("call-1-0"))
        .await
        .unwrap();
    ended(&run).await;
    let expected = [
        "user: one",
        "assistant: re",
        "user: two",
        "assistant:  pay(call-1-0)",
        "tool call-1-0: pay",
    ];
    assert_eq!(model.last(), expected);
}

#[tokio::test(start_paused = true)]
async fn big_sessions_and_big_runs_are_read_whole_where_they_are_asked_for() {
    let runtime = Runtime::new();
    let words = "la ".repeat(600);
    let agent = poet(Storyteller::new(&words).pace(Duration::ZERO));
    done(&runtime, &agent, "long").await;
    let quick = Agent::builder("poet", Storyteller::new("re").pace(Duration::ZERO));
    let quick = quick.history_runs(0).build().unwrap();
    // Runs of the same millisecond are ordered by their ids, which sort by time.
    for n in 0..600 {
        done(&runtime, &quick, &format!("{n}")).await;
    }
    let model = Recorder::new(Storyteller::new("lo"));
    let agent = Agent::builder("poet", model.clone()).history_runs(601);
    done(&runtime, &agent.build().unwrap(), "last").await;
    let shown = model.last();
    assert_eq!(shown.len(), 2 * 601 + 1);
    assert_eq!(shown[0], "user: long");
    assert_eq!(shown[1].len(), "assistant: ".len() + words.len());
    for n in 0..600 {
        assert_eq!(shown[2 + 2 * n], format!("user: {n}"));
    }
    let told = runtime.messages("s", 3).await.unwrap();
    assert_eq!(told.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_run_is_forgotten() {
    let runtime = Runtime::new();
    let agent = poet(Storyteller::new("re"));
    let runs = [
        done(&runtime, &agent, "one").await,
        done(&runtime, &agent, "two").await,
    ];
    assert!(runtime.delete_run(runs[0].id()).await.unwrap());
    let (model, agent) = recorder();
    done(&runtime, &agent, "three").await;
    assert_eq!(model.last(), ["user: two", "assistant: re", "user: three"]);
}

#[tokio::test(start_paused = true)]
async fn a_history_that_cannot_be_read_fails_the_run_and_asks_no_model() {
    let store = SharedStore::new();
    let runtime = opened(Default::default(), store.clone()).await;
    done(&runtime, &poet(Storyteller::new("re")), "one").await;
    store.unreadable(true);
    let (model, agent) = recorder();
    let run = runtime.start(&agent, in_s("two")).await.unwrap();
    let Ok(Outcome::Error(error)) = run.outcome().await else {
        panic!("{run:?}");
    };
    assert_eq!(error.reason, ErrorReason::History);
    assert!(model.asked().is_empty());
    assert_eq!(run.status(), RunStatus::Error);
    settle().await;
    nothing_kept(&runtime);
}
