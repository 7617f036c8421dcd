//! Promises 1, 5 and 9: one ending; replayed and live events are one list; a run does not depend on its handles.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use quell_actors::{
    EventKind, Outcome, RunStatus, Runtime,
    error::EventsError,
    model::{ModelError, ModelErrorKind},
    outcome::ErrorReason,
    runtime::RuntimeConfig,
    sim::{Gate, Storyteller},
    store::MemoryStore,
};
use support::{all_events, ended, guarded, nothing_left, once, opened, poet, until};

#[tokio::test(start_paused = true)]
async fn a_run_that_finishes_says_its_whole_answer() {
    let model = Storyteller::new("one two three").thinking("let me count");
    let run = Runtime::new().start(&poet(model), "Count.").await.unwrap();
    let Outcome::Completed(reply) = ended(&run).await else {
        panic!("the run did not complete");
    };
    assert_eq!(reply.text, "one two three");
    assert_eq!(reply.reasoning, "let me count");
}

#[tokio::test(start_paused = true)]
async fn every_way_to_fail_is_one_ending_with_what_was_said() {
    let broken = || ModelError::new(ModelErrorKind::Connection, "the line went dead");
    for (model, reason, message) in [
        (
            Storyteller::new("one two three").fail_at(2, broken()),
            ErrorReason::Model,
            "the line went dead",
        ),
        (
            Storyteller::new("one two three").cut_off_at(2),
            ErrorReason::Truncated,
            "the model's stream ended in the middle of its answer",
        ),
        (
            Storyteller::new("one two three").panic_at(2),
            ErrorReason::Panicked,
            "the model panicked: the storyteller was told to panic at word 2",
        ),
    ] {
        let probe = model.probe();
        let runtime = Runtime::new();
        let run = runtime
            .start(&once(model).build().unwrap(), "Count.")
            .await
            .unwrap();
        let Outcome::Error(error) = ended(&run).await else {
            panic!("the run did not fail");
        };
        assert_eq!((error.reason, &*error.message), (reason, message));
        assert_eq!(error.text, "one two ");
        assert_eq!(probe.open(), 0);
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn replay_and_live_are_one_list_from_every_position() {
    let gate = Gate::new();
    let model = Storyteller::new("one two three four five").gate(&gate);
    let probe = model.probe();
    let run = Runtime::new().start(&poet(model), "Count.").await.unwrap();
    let live = tokio::spawn({
        let run = run.clone();
        async move { all_events(&run).await }
    });
    gate.let_through(4);
    while probe.chunks() < 4 {
        tokio::task::yield_now().await;
    }
    // These start in the middle: past events are replayed, the rest is live.
    let joined: Vec<_> = (0..=12)
        .map(|seq| {
            let mut stream = run.events_from(seq);
            let read = async move {
                let mut events = Vec::new();
                while let Some(event) = stream.next().await {
                    events.push(event.unwrap());
                }
                events
            };
            (seq, tokio::spawn(read))
        })
        .collect();
    tokio::task::yield_now().await;
    gate.open();
    let live = live.await.unwrap();
    assert_eq!(live.len(), 9);
    for (seq, events) in joined {
        let from = usize::try_from(seq.max(1) - 1).unwrap().min(live.len());
        assert_eq!(events.await.unwrap(), live[from..], "from {seq}");
    }
    assert_eq!(all_events(&run).await, live, "and again when it is over");
}

#[tokio::test(start_paused = true)]
async fn an_ended_run_is_found_again_and_replayed() {
    let runtime = Runtime::new();
    let run = runtime
        .start(&poet(Storyteller::new("one two")), "Count.")
        .await
        .unwrap();
    let id = run.id();
    let live = all_events(&run).await;
    drop(run);
    let again = runtime.get(id).await.unwrap().expect("it is kept");
    assert_eq!(again.status(), RunStatus::Completed);
    assert_eq!(again.agent_name(), "poet");
    assert_eq!(all_events(&again).await, live);
    assert_eq!(again.outcome().await.unwrap().text(), "one two");
    let mut tail = again.events_from(4);
    assert_eq!(tail.next().await.unwrap().unwrap(), live[3]);
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_is_replayed_from_the_store_in_pages() {
    let runtime = Runtime::new();
    let text = "word ".repeat(1000);
    let model = Storyteller::new(&text).pace(Duration::ZERO);
    let run = runtime.start(&poet(model), "Go.").await.unwrap();
    let live = all_events(&run).await;
    let again = runtime.get(run.id()).await.unwrap().unwrap();
    assert_eq!(all_events(&again).await, live);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_kept_is_said_to_be_so() {
    let runtime = opened(RuntimeConfig::default(), MemoryStore::keeping(1)).await;
    let agent = poet(Storyteller::new("one"));
    let first = runtime.start(&agent, "Count.").await.unwrap();
    all_events(&first).await;
    let stored = runtime.get(first.id()).await.unwrap().unwrap();
    let second = runtime.start(&agent, "Count.").await.unwrap();
    all_events(&second).await;

    assert!(runtime.get(first.id()).await.unwrap().is_none());
    let gone = stored.events().next().await.unwrap();
    assert_eq!(gone, Err(EventsError::Expired { first: 1 }));
    assert!(runtime.get(second.id()).await.unwrap().is_some());
    // A handle from before still works.
    assert_eq!(first.outcome().await.unwrap().text(), "one");
}

#[tokio::test(start_paused = true)]
async fn dropping_a_handle_cancels_nothing() {
    let gate = Gate::new();
    let model = Storyteller::new("one two three").gate(&gate);
    let probe = model.probe();
    let runtime = Runtime::new();
    let id = {
        let run = runtime.start(&poet(model), "Count.").await.unwrap();
        let mut events = run.events();
        events.next().await;
        drop(run.outcome());
        run.id()
    };
    gate.let_through(2);
    let run = runtime.get(id).await.unwrap().unwrap();
    // The same holds for the last handle of the runtime.
    drop(runtime);
    until(&run, |kind| matches!(kind, EventKind::Content { .. })).await;
    assert_eq!(probe.open(), 1);
    gate.open();
    assert_eq!(ended(&run).await.text(), "one two three");
}

#[tokio::test(start_paused = true)]
async fn a_megabyte_in_one_token_passes_whole() {
    let text = "x".repeat(1 << 20);
    let run = Runtime::new()
        .start(&poet(Storyteller::new(&text)), "Go.")
        .await
        .unwrap();
    assert_eq!(ended(&run).await.text(), text);
}

#[tokio::test]
async fn a_stream_that_is_read_elsewhere_ends_there_too() {
    // On a real clock and on threads: the reader is in another tokio runtime than the run.
    let model = Storyteller::new(&"word ".repeat(200)).pace(Duration::ZERO);
    let run = Runtime::new().start(&poet(model), "Go.").await.unwrap();
    let reader = std::thread::spawn({
        let run = run.clone();
        move || futures::executor::block_on(async move { all_events(&run).await })
    });
    let here = guarded(all_events(&run)).await;
    assert_eq!(reader.join().unwrap(), here);
}
