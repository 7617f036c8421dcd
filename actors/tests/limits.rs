//! Limits end a run as a cancel does, each with its own reason. Zero means zero, `None` means no limit. And retries.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use quell_actors::{
    Agent, CancelReason, EventKind, Outcome, RunStatus, Runtime,
    agent::{Limits, RetryPolicy},
    model::{ModelError, ModelErrorKind, ModelUsage, Retry},
    sim::{Gate, Storyteller},
    usage::Usage,
};
use support::{all_events, ended, names, once};
use tokio::time::Instant;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// No limits at all.
fn unlimited() -> Limits {
    Limits {
        deadline: None,
        first_token: None,
        silence: None,
        ..Limits::default()
    }
}

fn limited(limits: Limits, model: Storyteller) -> Agent {
    once(model).limits(limits).build().unwrap()
}

/// Runs `model` under `limits`, and expects a cancel for `reason` at `after`, with `text`.
async fn check(
    limits: Limits,
    model: Storyteller,
    reason: CancelReason,
    after: Duration,
    text: &str,
) {
    let probe = model.probe();
    let start = Instant::now();
    let run = Runtime::new()
        .start(&limited(limits, model), "Sing.")
        .await
        .unwrap();
    let Outcome::Cancelled(partial) = ended(&run).await else {
        panic!("{reason} did not cancel the run");
    };
    assert_eq!(partial.receipt.reason, reason);
    assert_eq!(partial.receipt.by.as_deref(), Some("limits"));
    assert_eq!(partial.text, text);
    // Timers have a granularity of a millisecond.
    let took = start.elapsed();
    assert!(
        took >= after && took <= after + Duration::from_millis(10),
        "{reason}: {took:?}"
    );
    assert_eq!(probe.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_run_wherever_it_is() {
    let limits = || Limits {
        deadline: Some(secs(5)),
        ..unlimited()
    };
    let slow = |model: Storyteller| model.pace(secs(2));
    for (model, text) in [
        (slow(Storyteller::new("one two three four")), "one two "),
        (Storyteller::new("one two").stall_at(1), "one "),
        (Storyteller::endless().connect_after(secs(60)), ""),
        (Storyteller::endless().first_word_after(secs(60)), ""),
    ] {
        check(limits(), model, CancelReason::Deadline, secs(5), text).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_kept_by_a_model_that_never_pauses() {
    // Time does not pass while this model speaks: only the test's own sleep reaches the deadline.
    let gate = Gate::new();
    let limits = Limits {
        deadline: Some(secs(5)),
        ..unlimited()
    };
    let model = Storyteller::endless().gate(&gate);
    let run = Runtime::new()
        .start(&limited(limits, model), "Sing.")
        .await
        .unwrap();
    tokio::task::yield_now().await;
    tokio::time::advance(secs(5)).await;
    gate.open();
    assert_eq!(ended(&run).await.status(), RunStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_does_not_count_the_time_in_the_queue() {
    let runtime = Runtime::builder()
        .config(quell_actors::runtime::RuntimeConfig {
            max_live_runs: 1,
            ..quell_actors::runtime::RuntimeConfig::default()
        })
        .in_memory();
    let first = limited(unlimited(), Storyteller::new("one two").pace(secs(10)));
    let second = limited(
        Limits {
            deadline: Some(secs(5)),
            ..unlimited()
        },
        Storyteller::new("three"),
    );
    let first = runtime.start(&first, "Count.").await.unwrap();
    let second = runtime.start(&second, "Count.").await.unwrap();
    assert_eq!(ended(&first).await.text(), "one two");
    assert_eq!(ended(&second).await.text(), "three");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_says_nothing_in_time_is_cut() {
    let limits = Limits {
        first_token: Some(secs(3)),
        ..unlimited()
    };
    for model in [
        Storyteller::endless().connect_after(secs(60)),
        Storyteller::endless()
            .connect_after(secs(2))
            .first_word_after(secs(60)),
        Storyteller::endless().stall_at(0),
        // A usage report is not output.
        Storyteller::endless()
            .usage_at(0, ModelUsage::default())
            .stall_at(0),
    ] {
        check(limits.clone(), model, CancelReason::FirstToken, secs(3), "").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_falls_silent_is_cut() {
    let limits = Limits {
        silence: Some(secs(3)),
        ..unlimited()
    };
    let model = Storyteller::new("one two three").pace(secs(2)).stall_at(2);
    check(
        limits.clone(),
        model,
        CancelReason::Silence,
        secs(7),
        "one two ",
    )
    .await;

    // Reasoning is not silence, and the first token has its own limit.
    let model = Storyteller::new("one")
        .first_word_after(secs(2))
        .thinking("hm hm hm")
        .pace(secs(2));
    let run = Runtime::new()
        .start(&limited(limits, model), "Sing.")
        .await
        .unwrap();
    assert_eq!(ended(&run).await.text(), "one");
}

#[tokio::test(start_paused = true)]
async fn zero_means_zero() {
    for (limits, reason) in [
        (
            Limits {
                deadline: Some(Duration::ZERO),
                ..unlimited()
            },
            CancelReason::Deadline,
        ),
        (
            Limits {
                first_token: Some(Duration::ZERO),
                ..unlimited()
            },
            CancelReason::FirstToken,
        ),
    ] {
        check(limits, Storyteller::endless(), reason, Duration::ZERO, "").await;
    }
    let model = Storyteller::endless();
    let probe = model.probe();
    let limits = Limits {
        deadline: Some(Duration::ZERO),
        ..unlimited()
    };
    let run = Runtime::new()
        .start(&limited(limits, model), "Sing.")
        .await
        .unwrap();
    ended(&run).await;
    assert_eq!(probe.requests(), 0, "a deadline of zero asks no model");
}

#[tokio::test(start_paused = true)]
async fn absent_means_none() {
    let day = secs(24 * 60 * 60);
    let model = Storyteller::new("one two").connect_after(day).pace(day);
    let run = Runtime::new()
        .start(&limited(unlimited(), model), "Sing.")
        .await
        .unwrap();
    assert_eq!(ended(&run).await.text(), "one two");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_would_grow_too_large_is_cut() {
    // The request counts 64, and a word of 10 bytes 74.
    let limits = |max_log_bytes| Limits {
        max_log_bytes,
        ..unlimited()
    };
    let words = "123456789 ".repeat(100);
    for (bytes, kept) in [(0, 0), (137, 0), (138, 1), (804, 10), (1_000_000, 100)] {
        let model = Storyteller::new(&words).pace(Duration::ZERO);
        let run = Runtime::new()
            .start(&limited(limits(bytes), model), "Go.")
            .await
            .unwrap();
        let outcome = ended(&run).await;
        assert_eq!(outcome.text(), &words[..kept * 10]);
        match outcome {
            Outcome::Cancelled(partial) => assert_eq!(partial.receipt.reason, CancelReason::Budget),
            Outcome::Completed(_) => assert_eq!(kept, 100),
            Outcome::Error(error) => panic!("{error}"),
        }
    }
}

fn busy(retry: Retry) -> ModelError {
    ModelError::new(ModelErrorKind::Status(503), "busy").with_retry(retry)
}

#[tokio::test(start_paused = true)]
async fn a_request_that_failed_before_it_said_anything_is_repeated() {
    let model = Storyteller::new("at last")
        .refuse(busy(Retry::After(secs(7))))
        .refuse(busy(Retry::Backoff));
    let probe = model.probe();
    let start = Instant::now();
    let run = Runtime::new()
        .start(&Agent::new("poet", model), "Sing.")
        .await
        .unwrap();
    assert_eq!(ended(&run).await.text(), "at last");
    assert_eq!(probe.requests(), 3);
    let took = start.elapsed();
    assert!(took >= secs(7) + Duration::from_millis(750), "{took:?}");
    assert!(took <= secs(9), "{took:?}");

    let events = all_events(&run).await;
    assert_eq!(
        names(&events),
        [
            "started",
            "model_request_started",
            "model_request_completed",
            "model_request_started",
            "model_request_completed",
            "model_request_started",
            "content",
            "model_request_completed",
            "completed"
        ]
    );
    let attempts: Vec<u32> = events
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::ModelRequestStarted { attempt, .. } => Some(attempt),
            _ => None,
        })
        .collect();
    assert_eq!(attempts, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn retries_end() {
    for (policy, retry, requests) in [
        (RetryPolicy::default(), Retry::Backoff, 3),
        (RetryPolicy::default(), Retry::Never, 1),
        (RetryPolicy::default(), Retry::After(secs(121)), 1),
        (RetryPolicy::none(), Retry::Backoff, 1),
    ] {
        let model = (0..9).fold(Storyteller::endless(), |model, _| model.refuse(busy(retry)));
        let probe = model.probe();
        let agent = Agent::builder("poet", model).retry(policy).build().unwrap();
        let run = Runtime::new().start(&agent, "Sing.").await.unwrap();
        let Outcome::Error(error) = ended(&run).await else {
            panic!("the run did not fail");
        };
        assert_eq!(error.message, "busy");
        assert_eq!(
            error.usage,
            Usage::default(),
            "a request that is not answered uses nothing"
        );
        assert_eq!(probe.requests(), requests);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_repeated_after_the_first_word() {
    let model = Storyteller::new("one two").fail_at(1, busy(Retry::Backoff));
    let probe = model.probe();
    let run = Runtime::new()
        .start(&Agent::new("poet", model), "Sing.")
        .await
        .unwrap();
    let outcome = ended(&run).await;
    assert_eq!(
        (outcome.status(), outcome.text()),
        (RunStatus::Error, "one ")
    );
    assert_eq!(probe.requests(), 1);
}
