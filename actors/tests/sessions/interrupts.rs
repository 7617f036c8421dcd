//! A run that interrupts: cancel, wait, start.

use quell_actors::{
    Agent, CancelReason, EventKind, Outcome, RunStatus, Runtime,
    runtime::WhenBusy,
    sim::{Gate, Storyteller},
    tool::OnCancel,
};
use serde_json::json;

use super::{busy, config, gated, in_s, waits, when};
use crate::support::{
    all_events, ended, nothing_kept, partial, poet, settle,
    tools::{Ledger, Recorder},
    until,
};

#[tokio::test(start_paused = true)]
async fn an_interrupt_cancels_what_is_at_work_and_begins_when_that_has_ended() {
    let (runtime, gate) = (Runtime::new(), Gate::new());
    let first = busy(&runtime, &gate).await;
    gate.let_through(2);
    settle().await;
    let model = Recorder::new(Storyteller::new("lo"));
    let agent = Agent::new("poet", model.clone());
    let second = runtime
        .start(&agent, when(WhenBusy::Interrupt))
        .await
        .unwrap();
    let outcome = ended(&first).await;
    assert_eq!(partial(&outcome).receipt.reason, CancelReason::Superseded);
    assert!(matches!(ended(&second).await, Outcome::Completed(_)));
    let end = all_events(&first).await.last().unwrap().at;
    let begin = until(&second, |kind| {
        matches!(kind, EventKind::ModelRequestStarted { .. })
    })
    .await;
    assert!(end <= begin.at);
    let cut = "assistant: la \n\n[This answer was interrupted.]";
    assert_eq!(model.last(), ["user: Sing.", cut, "user: Sing."]);
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_waits_for_a_tool_that_must_finish() {
    let (runtime, ledger, finish) = (Runtime::new(), Ledger::default(), Gate::new());
    let model = Storyteller::new("done").calling("move", json!({}));
    let tool = ledger.tool("move", &finish).on_cancel(OnCancel::Finish);
    let agent = Agent::builder("clerk", model).tool(tool).build().unwrap();
    let first = runtime.start(&agent, in_s("Move.")).await.unwrap();
    until(&first, |kind| matches!(kind, EventKind::ToolCallStarted(_))).await;
    settle().await;
    let second = waits(
        &runtime,
        &poet(Storyteller::new("lo")),
        when(WhenBusy::Interrupt),
    )
    .await;
    assert_eq!(first.status(), RunStatus::Cancelling);
    finish.open();
    assert!(matches!(ended(&first).await, Outcome::Cancelled(_)));
    assert!(matches!(ended(&second).await, Outcome::Completed(_)));
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_goes_before_those_that_wait_and_leaves_them_their_turn() {
    let (runtime, gate) = (Runtime::new(), Gate::new());
    let first = busy(&runtime, &gate).await;
    let gates = [Gate::new(), Gate::new()];
    let queued = waits(&runtime, &gated(&gates[0]), in_s("Sing.")).await;
    let other = runtime
        .start(&gated(&gates[1]), when(WhenBusy::Interrupt))
        .await
        .unwrap();
    ended(&first).await;
    settle().await;
    assert_eq!(
        (other.status(), queued.status()),
        (RunStatus::Running, RunStatus::Pending)
    );
    gates[1].open();
    assert!(matches!(ended(&other).await, Outcome::Completed(_)));
    gates[0].open();
    assert!(matches!(ended(&queued).await, Outcome::Completed(_)));
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn the_last_of_several_interrupts_comes_first_and_the_others_keep_their_turns() {
    let (runtime, gate) = (Runtime::new(), Gate::new());
    let first = busy(&runtime, &gate).await;
    let agent = poet(Storyteller::new("lo"));
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(
            runtime
                .start(&agent, when(WhenBusy::Interrupt))
                .await
                .unwrap(),
        );
    }
    assert!(matches!(ended(&first).await, Outcome::Cancelled(_)));
    let mut ends = Vec::new();
    for run in &runs {
        assert!(matches!(ended(run).await, Outcome::Completed(_)));
        ends.push(all_events(run).await.last().unwrap().at);
    }
    ends.reverse();
    assert!(ends.is_sorted(), "{ends:?}");
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_cancels_all_that_are_side_by_side_and_one_that_has_no_slot() {
    let (runtime, gate) = (Runtime::new(), Gate::new());
    let mut beside = vec![busy(&runtime, &gate).await];
    for _ in 0..2 {
        beside.push(
            runtime
                .start(&gated(&gate), when(WhenBusy::Parallel))
                .await
                .unwrap(),
        );
    }
    settle().await;
    let agent = poet(Storyteller::new("lo"));
    let last = runtime
        .start(&agent, when(WhenBusy::Interrupt))
        .await
        .unwrap();
    for run in &beside {
        assert!(matches!(ended(run).await, Outcome::Cancelled(_)));
    }
    assert!(matches!(ended(&last).await, Outcome::Completed(_)));
    settle().await;
    nothing_kept(&runtime);

    let runtime = config(|config| config.max_live_runs = 1);
    let hanging = poet(Storyteller::endless().stall_at(0));
    let elsewhere = runtime.start(&hanging, "Sing.").await.unwrap();
    let queued = waits(&runtime, &agent, in_s("Sing.")).await;
    let last = waits(&runtime, &agent, when(WhenBusy::Interrupt)).await;
    assert_eq!(queued.status(), RunStatus::Cancelled);
    elsewhere.cancel().await;
    assert!(matches!(ended(&last).await, Outcome::Completed(_)));
    settle().await;
    nothing_kept(&runtime);
}
