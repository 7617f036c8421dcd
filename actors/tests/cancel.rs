//! Promises 2, 3 and 4: a cancel takes effect at once in every state, its outcome is true, and the work really stops.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use quell_actors::{
    CancelOutcome, CancelReason, CancelRequest, EventKind, RunStatus, Runtime,
    cancel::Activity,
    model::{ModelError, ModelErrorKind, ModelUsage, Retry},
    run::{Cancel, SteerOutcome, Steering},
    runtime::RuntimeConfig,
    sim::{Gate, Storyteller},
    usage::UsageSource,
};
use support::{all_events, ended, names, nothing_left, partial, poet, until};
use tokio::time::Instant;

/// Brings a run into a state, cancels it there, and checks what is promised of every cancel: it is accepted, the
/// model's stream is dropped when the cancel returns, the run ends as cancelled with its text so far, and no time
/// passes.
async fn cut_in(state: Activity, model: Storyteller, text: &str) {
    let runtime = Runtime::new();
    let probe = model.probe();
    let run = runtime.start(&poet(model), "Sing.").await.unwrap();
    match state {
        Activity::Pending | Activity::Tool | Activity::Paused => {
            unreachable!("it has a slot, and no tools")
        }
        Activity::Starting => {}
        Activity::Connecting => probe.asked(1).await,
        Activity::FirstToken => {
            probe.asked(1).await;
            while probe.chunks() < 1 {
                tokio::task::yield_now().await;
            }
        }
        Activity::Streaming | Activity::Silent => {
            let mut said = String::new();
            let mut events = run.events();
            while said != text {
                if let EventKind::Content { text } = events.next().await.unwrap().unwrap().kind {
                    said.push_str(&text);
                }
            }
            if state == Activity::Silent {
                tokio::time::advance(Duration::from_secs(10)).await;
            }
        }
        Activity::Retrying => {
            until(&run, |kind| {
                matches!(kind, EventKind::ModelRequestCompleted(_))
            })
            .await;
        }
        other => panic!("nothing is known of {other:?}"),
    }
    let asked = Instant::now();
    let outcome = run.cancel().await;
    assert!(
        matches!(outcome, CancelOutcome::Accepted { durable: true, .. }),
        "{outcome:?}"
    );
    assert_eq!(
        probe.open(),
        0,
        "the model's stream is dropped before the cancel is answered"
    );
    assert_eq!(asked.elapsed(), Duration::ZERO, "no time passes");

    let outcome = ended(&run).await;
    let partial = partial(&outcome);
    assert_eq!(partial.receipt.cut, state);
    assert_eq!(partial.text, text);
    assert_eq!(partial.receipt.reason, CancelReason::Requested);
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_heard_before_the_model_is_asked() {
    cut_in(Activity::Starting, Storyteller::endless(), "").await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_heard_while_connecting() {
    let model = Storyteller::endless().connect_after(Duration::from_secs(30));
    cut_in(Activity::Connecting, model, "").await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_heard_before_the_first_token() {
    let model = Storyteller::endless().first_word_after(Duration::from_secs(30));
    cut_in(Activity::FirstToken, model, "").await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_heard_while_streaming() {
    let model = Storyteller::new("one two three four five six seven");
    cut_in(Activity::Streaming, model, "one two three ").await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_heard_while_the_model_is_silent() {
    let model = Storyteller::new("one two three").stall_at(2);
    cut_in(Activity::Silent, model, "one two ").await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_heard_while_asleep_before_a_retry() {
    let busy = ModelError::new(ModelErrorKind::Status(429), "busy")
        .with_retry(Retry::After(Duration::from_secs(60)));
    cut_in(Activity::Retrying, Storyteller::endless().refuse(busy), "").await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_heard_while_pending() {
    let runtime = Runtime::builder()
        .config(RuntimeConfig {
            max_live_runs: 1,
            ..RuntimeConfig::default()
        })
        .in_memory();
    let model = Storyteller::endless();
    let probe = model.probe();
    let first = runtime.start(&poet(model.clone()), "Sing.").await.unwrap();
    let second = runtime.start(&poet(model), "Sing.").await.unwrap();
    assert_eq!(second.status(), RunStatus::Pending);
    probe.asked(1).await;

    assert!(second.cancel().await.is_accepted());
    let outcome = ended(&second).await;
    assert_eq!(partial(&outcome).receipt.cut, Activity::Pending);
    assert_eq!(partial(&outcome).receipt.usage.source, UsageSource::None);
    assert_eq!(
        names(&all_events(&second).await),
        ["started", "cancel_requested", "cancelled"]
    );

    first.cancel().await;
    ended(&first).await;
    assert_eq!(
        probe.requests(),
        1,
        "the model was never asked for the pending one"
    );
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_at_every_event_of_a_run_keeps_the_history_valid() {
    let usage = ModelUsage::new(5, 2);
    // Connected, two thoughts, two words, usage, two words, finished.
    const CHUNKS: usize = 9;
    for cut in 0..=CHUNKS {
        let gate = Gate::new();
        let model = Storyteller::new("one two three four")
            .thinking("let me see")
            .usage_at(2, usage)
            .gate(&gate);
        let probe = model.probe();
        let runtime = Runtime::new();
        let run = runtime.start(&poet(model), "Count.").await.unwrap();
        gate.let_through(cut);
        let passed = if cut < 6 { cut } else { cut + 1 }; // usage does not wait at the gate
        while probe.chunks() < passed as u64 && !run.status().is_ended() {
            tokio::task::yield_now().await;
        }
        let answer = run.cancel().await;
        let outcome = ended(&run).await;
        assert_eq!(probe.open(), 0);
        if passed > CHUNKS {
            let completed = RunStatus::Completed;
            assert_eq!(answer, CancelOutcome::AlreadyEnded { status: completed });
            assert_eq!(outcome.text(), "one two three four");
        } else {
            assert!(answer.is_accepted(), "cut {cut}: {answer:?}");
            assert!(
                "one two three four".starts_with(outcome.text()),
                "cut {cut}"
            );
        }
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_cancel_is_answered_not_repeated() {
    let runtime = Runtime::new();
    let run = runtime
        .start(&poet(Storyteller::endless()), "Sing.")
        .await
        .unwrap();
    // Both are decided before the run's actor gets a turn.
    let (first, second) = (run.cancel(), runtime.cancel(run.id()));
    assert!(first.await.is_accepted());
    let status = RunStatus::Cancelled;
    let second = second.await;
    assert!(
        second == CancelOutcome::AlreadyCancelling
            || second == CancelOutcome::AlreadyEnded { status },
        "{second:?}"
    );
    ended(&run).await;

    let (first, second) = {
        let run = runtime
            .start(&poet(Storyteller::endless()), "Sing.")
            .await
            .unwrap();
        (run.cancel(), run.cancel())
    };
    assert!(first.await.is_accepted());
    assert_eq!(second.await, CancelOutcome::AlreadyCancelling);
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_holds_when_its_answer_is_not_awaited() {
    let run = Runtime::new()
        .start(&poet(Storyteller::endless()), "Sing.")
        .await
        .unwrap();
    run.cancel();
    assert_eq!(run.status(), RunStatus::Cancelling);
    assert_eq!(ended(&run).await.status(), RunStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn the_receipt_says_where_its_tokens_come_from() {
    let usage = ModelUsage::new(11, 2);
    // Connected and two words, and in the second case the report.
    for (model, chunks, expected) in [
        (
            Storyteller::new("one two three").stall_at(2),
            3,
            (2, 2, UsageSource::Estimate),
        ),
        (
            Storyteller::new("one two three")
                .usage_at(2, usage)
                .stall_at(2),
            4,
            (11, 2, UsageSource::Provider),
        ),
    ] {
        let model = model.pace(Duration::ZERO);
        let probe = model.probe();
        let run = Runtime::new()
            .start(&poet(model), "Sing it.")
            .await
            .unwrap();
        while probe.chunks() < chunks {
            tokio::task::yield_now().await;
        }
        run.cancel().await;
        let outcome = ended(&run).await;
        let usage = partial(&outcome).receipt.usage;
        assert_eq!(
            (usage.input_tokens, usage.output_tokens, usage.source),
            expected
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_is_answered_while_the_model_hangs() {
    let runtime = Runtime::new();
    let run = runtime
        .start(&poet(Storyteller::new("one two").stall_at(1)), "Sing.")
        .await
        .unwrap();
    until(&run, |kind| matches!(kind, EventKind::Content { .. })).await;
    let before = Instant::now();
    assert_eq!(run.status(), RunStatus::Running);
    assert_eq!(runtime.list().len(), 1);
    assert_eq!(
        runtime.get(run.id()).await.unwrap().unwrap().status(),
        RunStatus::Running
    );
    assert_eq!(before.elapsed(), Duration::ZERO);
    run.cancel().await;
    ended(&run).await;
}

#[tokio::test(start_paused = true)]
async fn a_guard_cancels_when_it_is_dropped_and_not_when_it_is_disarmed() {
    let runtime = Runtime::new();
    let run = runtime
        .start(&poet(Storyteller::new("one two")), "Sing.")
        .await
        .unwrap();
    run.cancel_on_drop(CancelRequest::default()).disarm();
    assert_eq!(ended(&run).await.text(), "one two");

    let run = runtime
        .start(&poet(Storyteller::endless()), "Sing.")
        .await
        .unwrap();
    drop(run.cancel_on_drop(CancelRequest::new(CancelReason::Disconnected)));
    let outcome = ended(&run).await;
    assert_eq!(partial(&outcome).receipt.reason, CancelReason::Disconnected);
    nothing_left(&runtime);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_is_heard_from_a_thread_without_tokio() {
    // On a real clock, because threads are involved.
    let runtime = Runtime::new();
    let model = Storyteller::new("one two").stall_at(1);
    let probe = model.probe();
    let run = runtime.start(&poet(model), "Sing.").await.unwrap();
    support::guarded(until(&run, |kind| {
        matches!(kind, EventKind::Content { .. })
    }))
    .await;
    let elsewhere = std::thread::spawn({
        let run = run.clone();
        move || futures::executor::block_on(run.cancel())
    });
    assert_eq!(
        support::guarded(ended(&run)).await.status(),
        RunStatus::Cancelled
    );
    assert!(elsewhere.join().unwrap().is_accepted());
    assert_eq!(probe.open(), 0);
}

/// A struct can hold one, and a statement can end with one.
#[deny(unused_must_use)]
#[tokio::test(start_paused = true)]
async fn a_cancel_or_a_steer_that_nobody_awaits_has_acted_and_says_what_was_decided() {
    struct Held {
        cancel: Cancel,
        steering: Steering,
    }
    let run = Runtime::new()
        .start(&poet(Storyteller::endless()), "Sing.")
        .await
        .unwrap();
    let steering = run.steer("In French.");
    assert_eq!(steering.refused(), None);
    run.cancel();
    assert_eq!(run.status(), RunStatus::Cancelling);
    let held = Held {
        cancel: run.cancel(),
        steering,
    };
    let again = held.cancel.decided();
    assert_eq!(again, Some(CancelOutcome::AlreadyCancelling));
    assert_eq!(Some(held.cancel.await), again);
    let status = RunStatus::Cancelling;
    assert_eq!(held.steering.await, SteerOutcome::TooLate { status });
    run.steer("In verse.");
    assert!(run.steer("In verse.").refused().is_some());
    assert_eq!(ended(&run).await.status(), RunStatus::Cancelled);
    let status = RunStatus::Cancelled;
    let over = run.cancel().decided();
    assert_eq!(over, Some(CancelOutcome::AlreadyEnded { status }));
}
