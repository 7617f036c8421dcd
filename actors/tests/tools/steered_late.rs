//! Messages that come too late for a run: the caller gets `TooLate`.

use std::time::Duration;

use quell_actors::{
    CancelReason, RunStatus, Runtime,
    agent::Limits,
    error::EventsError,
    run::SteerOutcome,
    runtime::RuntimeConfig,
    sim::{Gate, Storyteller},
    tool::OnCancel,
};

use super::{
    Alive, BOTH, How, clerk, ended, eventually, results,
    scripted::{Scripted, stop, text},
    settle, start,
    steer::{applied, steered},
    support::{Fault, FaultyStore, all_events, nothing_left, opened, partial},
    waits,
};

const fn too_late(status: RunStatus) -> SteerOutcome {
    SteerOutcome::TooLate { status }
}

#[tokio::test(start_paused = true)]
async fn words_for_a_run_that_is_cancelled_are_too_late() {
    for how in BOTH {
        let (runtime, alive, gate) = (Runtime::new(), Alive::default(), Gate::new());
        let agent = clerk(super::calls(&["waits"]));
        let agent = agent
            .tool(waits("waits", &gate, &alive, OnCancel::Finish))
            .build()
            .unwrap();
        let run = start(how, &runtime, &agent).await;
        eventually(|| alive.count() == 1).await;
        let waiting = run.steer("In French.");
        run.cancel();
        assert_eq!(waiting.await, too_late(RunStatus::Cancelling));
        assert_eq!(run.steer("Now?").await, too_late(RunStatus::Cancelling));
        gate.open();
        ended(&run).await;
        assert_eq!(run.steer("Now?").await, too_late(RunStatus::Cancelled));
        assert_eq!(steered(&all_events(&run).await), []);
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn words_for_a_run_that_has_ended_are_too_late() {
    let run = start(
        How::Own,
        &Runtime::new(),
        &clerk(Storyteller::new("so")).build().unwrap(),
    )
    .await;
    ended(&run).await;
    assert_eq!(run.steer("Now?").await, too_late(RunStatus::Completed));

    let agent = clerk(Storyteller::new("so").cut_off_at(1)).build().unwrap();
    let run = start(How::Own, &Runtime::new(), &agent).await;
    let waiting = run.steer("Now?");
    ended(&run).await;
    let answer = waiting.await;
    // It was applied to the first request, or came after it and waited for the next one.
    if answer != too_late(RunStatus::Error) {
        applied(&run, answer, "Now?").await;
    }
}

#[tokio::test(start_paused = true)]
async fn words_for_a_run_that_pauses_are_too_late() {
    let (runtime, alive, gate) = (Runtime::new(), Alive::default(), Gate::new());
    let agent = clerk(super::calls(&["waits", "asks"]))
        .tool(waits("waits", &gate, &alive, OnCancel::Drop))
        .tool(waits("asks", &gate, &alive, OnCancel::Drop).confirm())
        .build()
        .unwrap();
    let run = start(How::Own, &runtime, &agent).await;
    eventually(|| alive.count() == 1).await;
    let waiting = run.steer("In French.");
    gate.open();
    assert_eq!(waiting.await, too_late(RunStatus::Paused));
    assert_eq!(run.steer("Now?").await, too_late(RunStatus::Paused));
    run.cancel().await;
    ended(&run).await;
    assert_eq!(results(&run).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn words_that_a_limit_keeps_from_the_model_are_too_late() {
    for how in BOTH {
        let (runtime, alive, gate) = (Runtime::new(), Alive::default(), Gate::new());
        let limits = Limits {
            max_turns: Some(1),
            ..Limits::default()
        };
        let agent = clerk(super::calls(&["waits"]));
        let agent = agent
            .tool(waits("waits", &gate, &alive, OnCancel::Drop))
            .limits(limits);
        let run = start(how, &runtime, &agent.build().unwrap()).await;
        eventually(|| alive.count() == 1).await;
        let steer = run.steer("In French.");
        gate.open();
        let outcome = ended(&run).await;
        assert_eq!(partial(&outcome).receipt.reason, CancelReason::Budget);
        assert_eq!(steer.await, too_late(RunStatus::Cancelling));
        assert_eq!(
            steered(&all_events(&run).await),
            [],
            "the model never heard them"
        );
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn words_that_cost_too_much_are_too_late() {
    let (alive, gate) = (Alive::default(), Gate::new());
    let limits = Limits {
        max_tokens: Some(500),
        ..Limits::default()
    };
    let agent = clerk(super::calls(&["waits"]));
    let agent = agent
        .tool(waits("waits", &gate, &alive, OnCancel::Drop))
        .limits(limits);
    let run = start(How::Own, &Runtime::new(), &agent.build().unwrap()).await;
    eventually(|| alive.count() == 1).await;
    let steer = run.steer(&"x".repeat(4_000));
    gate.open();
    let outcome = ended(&run).await;
    assert_eq!(partial(&outcome).receipt.by.as_deref(), Some("max_tokens"));
    assert_eq!(steer.await, too_late(RunStatus::Cancelling));
}

#[tokio::test(start_paused = true)]
async fn words_cut_no_answer_that_was_the_last_one_allowed() {
    let gate = Gate::new();
    let model = Scripted::new().answer([text("one"), stop()]).gate(&gate);
    let limits = Limits {
        max_turns: Some(1),
        ..Limits::default()
    };
    let run = start(
        How::Own,
        &Runtime::new(),
        &clerk(model).limits(limits).build().unwrap(),
    )
    .await;
    gate.let_through(1);
    super::support::until(&run, |kind| {
        matches!(kind, quell_actors::EventKind::Content { .. })
    })
    .await;
    let steer = run.steer("Another.");
    gate.open();
    assert_eq!(ended(&run).await.status(), RunStatus::Completed);
    assert_eq!(steer.await, too_late(RunStatus::Completed));
}

#[tokio::test(start_paused = true)]
async fn words_for_a_run_whose_store_is_lost_are_too_late() {
    let store = FaultyStore::held();
    let runtime = opened(RuntimeConfig::default(), store.clone()).await;
    store.let_through(1);
    let run = runtime
        .start(&clerk(Storyteller::endless()).build().unwrap(), "Sing.")
        .await
        .unwrap();
    let steer = run.steer("In French.");
    settle().await;
    store.fail(std::iter::repeat_n(Fault::Unavailable, 100));
    store.release();
    let lost = run.outcome().await.unwrap_err();
    assert!(matches!(lost, EventsError::StoreLost { .. }), "{lost:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(steer.await, too_late(RunStatus::Error));
    assert_eq!(run.steer("Now?").await, too_late(RunStatus::Error));
    nothing_left(&runtime);
}
