//! Steering an active run: where messages take effect, and that the model gets them.

use std::time::Duration;

use quell_actors::{
    EventKind, Run, RunEvent, RunStatus, Runtime,
    agent::RetryPolicy,
    message::Message,
    model::{ModelError, ModelErrorKind, Retry},
    run::SteerOutcome,
    runtime::RuntimeConfig,
    sim::{Gate, Storyteller},
    tool::OnCancel,
};

use super::{
    Alive, BOTH, How, clerk, echo, ended, eventually,
    scripted::{Scripted, call, stop, text, wants_tools},
    settle, start,
    support::{FaultyStore, all_events, nothing_left, opened, until},
    waits,
};

const HI: &str = r#"{"text":"hi"}"#;

/// The messages that were applied, with their positions.
pub(super) fn steered(events: &[RunEvent]) -> Vec<(u64, String)> {
    let steered = events.iter().filter_map(|event| match &event.kind {
        EventKind::Steered { message } => Some((event.seq, message.text().to_owned())),
        _ => None,
    });
    steered.collect()
}

/// Expects that a message was applied, and that the model is asked directly after it.
pub(super) async fn applied(run: &Run, answer: SteerOutcome, words: &str) {
    let SteerOutcome::Applied { seq } = answer else {
        panic!("{words}: {answer:?}");
    };
    let events = all_events(run).await;
    assert!(
        steered(&events).contains(&(seq, words.to_owned())),
        "{words} at {seq}: {events:#?}"
    );
    let next = events[usize::try_from(seq).unwrap()..]
        .iter()
        .find(|event| !matches!(event.kind, EventKind::Steered { .. }));
    assert!(
        matches!(next.unwrap().kind, EventKind::ModelRequestStarted { .. }),
        "the model is asked with them: {events:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn words_come_after_the_results_of_the_tools_at_work() {
    for how in BOTH {
        let (runtime, alive, gate) = (Runtime::new(), Alive::default(), Gate::new());
        let model = Scripted::new().answer([
            call(0, "a", "waits", HI),
            call(1, "b", "echo", HI),
            wants_tools(),
        ]);
        let agent = clerk(model.clone())
            .tool(waits("waits", &gate, &alive, OnCancel::Drop))
            .tool(echo())
            .build()
            .unwrap();
        let run = start(how, &runtime, &agent).await;
        eventually(|| alive.count() == 1).await;
        let (first, second) = (run.steer("In French."), run.steer("And short."));
        settle().await;
        assert_eq!(model.requests().len(), 1, "the tool is not interrupted");
        gate.open();
        assert_eq!(ended(&run).await.text(), "end");
        applied(&run, first.await, "In French.").await;
        applied(&run, second.await, "And short.").await;
        assert_eq!(
            model.last_texts(),
            ["Sing.", "", "done", "hi", "In French.", "And short."]
        );
        assert!(matches!(
            model.requests()[1].last(),
            Some(Message::User { .. })
        ));
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn words_come_instead_of_the_end() {
    for how in BOTH {
        let gate = Gate::new();
        let model = Scripted::new().answer([text("one"), stop()]).gate(&gate);
        let runtime = Runtime::new();
        let run = start(how, &runtime, &clerk(model.clone()).build().unwrap()).await;
        gate.let_through(1);
        until(&run, |kind| matches!(kind, EventKind::Content { .. })).await;
        let steer = run.steer("Another.");
        gate.open();
        assert_eq!(ended(&run).await.text(), "oneend");
        applied(&run, steer.await, "Another.").await;
        assert_eq!(model.last_texts(), ["Sing.", "one", "Another."]);
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn words_reach_a_run_that_waits_for_a_slot() {
    let config = RuntimeConfig {
        max_live_runs: 1,
        ..RuntimeConfig::default()
    };
    let runtime = Runtime::builder().config(config).in_memory();
    let first = start(
        How::Own,
        &runtime,
        &clerk(Storyteller::endless()).build().unwrap(),
    )
    .await;
    let model = Scripted::new();
    let run = start(How::Own, &runtime, &clerk(model.clone()).build().unwrap()).await;
    assert_eq!(run.status(), RunStatus::Pending);
    let steer = run.steer("In French.");
    first.cancel().await;
    ended(&run).await;
    applied(&run, steer.await, "In French.").await;
    assert_eq!(model.last_texts(), ["Sing.", "In French."]);
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn words_for_a_model_that_has_not_answered_come_in_the_next_turn() {
    for model in [
        Storyteller::new("one").connect_after(Duration::from_secs(1)),
        Storyteller::new("one").first_word_after(Duration::from_secs(1)),
        Storyteller::new("one").refuse(
            ModelError::new(ModelErrorKind::Status(429), "busy")
                .with_retry(Retry::After(Duration::from_secs(9))),
        ),
    ] {
        let probe = model.probe();
        let runtime = Runtime::new();
        let agent = clerk(model).retry(RetryPolicy::default()).build().unwrap();
        let run = start(How::Own, &runtime, &agent).await;
        probe.asked(1).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let steer = run.steer("And now?");
        assert_eq!(ended(&run).await.text(), "oneone");
        applied(&run, steer.await, "And now?").await;
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn words_hold_when_their_answer_is_not_awaited() {
    let gate = Gate::new();
    let model = Scripted::new().answer([text("one"), stop()]).gate(&gate);
    let run = start(
        How::Own,
        &Runtime::new(),
        &clerk(model.clone()).build().unwrap(),
    )
    .await;
    drop(run.steer("Another."));
    gate.open();
    ended(&run).await;
    assert!(model.last_texts().contains(&"Another.".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn words_are_answered_when_they_are_stored() {
    let store = FaultyStore::held();
    let runtime = opened(RuntimeConfig::default(), store.clone()).await;
    store.let_through(1);
    let model = Scripted::new();
    let run = runtime
        .start(&clerk(model).build().unwrap(), "Sing.")
        .await
        .unwrap();
    let steer = tokio::spawn(run.steer("In French."));
    settle().await;
    assert!(
        !steer.is_finished(),
        "that the model is asked is not stored"
    );
    store.release();
    ended(&run).await;
    applied(&run, steer.await.unwrap(), "In French.").await;
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn as_many_words_wait_as_may() {
    let (alive, gate) = (Alive::default(), Gate::new());
    let agent = clerk(super::calls(&["waits"])).tool(waits("waits", &gate, &alive, OnCancel::Drop));
    let run = start(How::Own, &Runtime::new(), &agent.build().unwrap()).await;
    eventually(|| alive.count() == 1).await;
    let taken: Vec<_> = (0..64).map(|at| run.steer(&at.to_string())).collect();
    assert_eq!(run.steer("one more").await, SteerOutcome::Full);
    gate.open();
    ended(&run).await;
    let mut last = 0;
    for answer in taken {
        let SteerOutcome::Applied { seq } = answer.await else {
            panic!("it is applied");
        };
        assert!(seq > last, "in their order");
        last = seq;
    }
}
