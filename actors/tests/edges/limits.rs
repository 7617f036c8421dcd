//! Limits without any output, without a pause, or with no time at all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream};
use quell_actors::{
    Agent, CancelReason, EventKind, Model, Outcome, Run, RunStatus, Runtime,
    agent::{AgentBuilder, Limits, RetryPolicy},
    model::{ModelChunk, ModelError, ModelErrorKind, ModelUsage, Retry},
    outcome::{FinishReason, Partial},
    sim::Storyteller,
};

use super::{Scripted, settle, text};
use crate::support::{all_events, ended, guarded};

const SHORT: Duration = Duration::from_secs(10);

fn first_token(limit: Duration) -> Limits {
    Limits {
        first_token: Some(limit),
        ..Limits::default()
    }
}

fn silence(limit: Duration) -> Limits {
    Limits {
        silence: Some(limit),
        ..Limits::default()
    }
}

fn limited(model: impl Model, limits: Limits) -> AgentBuilder {
    Agent::builder("poet", model).limits(limits)
}

async fn start(agent: AgentBuilder) -> Run {
    let agent = agent.build().unwrap();
    Runtime::new().start(&agent, "Sing.").await.unwrap()
}

/// The partial outcome of a run that a limit cancelled for `reason`.
async fn cut(run: &Run, reason: CancelReason) -> Arc<Partial> {
    let Outcome::Cancelled(partial) = guarded(ended(run)).await else {
        panic!("{reason} did not cancel the run");
    };
    assert_eq!(partial.receipt.reason, reason);
    partial
}

#[tokio::test(start_paused = true)]
async fn an_empty_text_is_not_a_word() {
    for (said, limits, reason) in [
        ("", first_token(SHORT), CancelReason::FirstToken),
        ("one ", silence(SHORT), CancelReason::Silence),
    ] {
        let model = Scripted(move || {
            let empty = stream::repeat(()).then(|()| async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                text("")
            });
            stream::iter([text(said)]).chain(empty)
        });
        let run = start(limited(model, limits)).await;
        assert_eq!(cut(&run, reason).await.text, said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_never_pauses_and_says_nothing_is_cut() {
    for (said, limits, reason) in [
        ("", first_token(SHORT), CancelReason::FirstToken),
        ("one ", silence(SHORT), CancelReason::Silence),
    ] {
        let model = Scripted(move || {
            let reports = stream::repeat_with(|| Ok(ModelChunk::Usage(ModelUsage::default())));
            stream::iter([text(said)]).chain(reports)
        });
        let run = start(limited(model, limits)).await;
        settle().await;
        assert_eq!(run.status(), RunStatus::Running);
        // Time does not pass while the model is busy, except for this.
        tokio::time::advance(SHORT).await;
        settle().await;
        assert_eq!(run.status(), RunStatus::Cancelled);
        assert_eq!(cut(&run, reason).await.text, said);
    }
}

#[tokio::test(start_paused = true)]
async fn no_time_for_a_first_token_asks_no_model() {
    let teller = Storyteller::new("one").pace(Duration::ZERO);
    let probe = teller.probe();
    let run = start(limited(teller, first_token(Duration::ZERO))).await;
    assert_eq!(cut(&run, CancelReason::FirstToken).await.text, "");
    assert_eq!(probe.requests(), 0);

    // Also when the whole answer is there at once.
    let taken = Arc::new(AtomicU64::new(0));
    let counted = taken.clone();
    let ready = Scripted(move || {
        let taken = counted.clone();
        let finished = Ok(ModelChunk::Finished(FinishReason::Stop));
        stream::iter([text("one"), finished]).inspect(move |_| {
            taken.fetch_add(1, Ordering::SeqCst);
        })
    });
    let run = start(limited(ready, first_token(Duration::ZERO))).await;
    assert_eq!(cut(&run, CancelReason::FirstToken).await.text, "");
    assert_eq!(taken.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn no_time_for_silence_leaves_one_word() {
    let ready = Scripted(|| stream::iter(["one ", "two ", "three "].map(text)));
    let run = start(limited(ready, silence(Duration::ZERO))).await;
    assert_eq!(cut(&run, CancelReason::Silence).await.text, "one ");
}

#[tokio::test(start_paused = true)]
async fn failed_requests_count_for_the_size_of_a_log() {
    let limits = Limits {
        max_log_bytes: 1_000,
        ..Limits::default()
    };
    let policy = RetryPolicy {
        max_retries: 10_000,
        base: Duration::ZERO,
        ..RetryPolicy::default()
    };
    // A request counts 64, its failure 64 and its fault.
    for (fault, requests) in [(2, 8), (500, 2), (1_000, 1)] {
        let model = Scripted(move || {
            let error = ModelError::new(ModelErrorKind::Connect, "!".repeat(fault));
            stream::iter([Err(error.with_retry(Retry::Backoff))])
        });
        let run = start(limited(model, limits.clone()).retry(policy.clone())).await;
        cut(&run, CancelReason::Budget).await;
        let events = all_events(&run).await;
        let asked = events
            .iter()
            .filter(|event| matches!(event.kind, EventKind::ModelRequestStarted { .. }));
        assert_eq!(asked.count(), requests, "{fault} bytes: {events:#?}");
    }
}
