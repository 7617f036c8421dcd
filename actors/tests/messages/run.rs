//! A run's actor takes messages between two chunks, and at once while nothing comes.

use std::time::Duration;

use quell_actors::{
    CancelOutcome, EventKind, Outcome, RunStatus, Runtime,
    cancel::CancelReason,
    outcome::ErrorReason,
    run::{RunMessage, SteerOutcome},
    sim::{Gate, Storyteller},
};
use ractor::call;

use super::{
    BOTH, actor, cancel, clerk, hanging_agent, over_at_once, said, start,
    support::{all_events, check_history, ended, nothing_left, partial, poet, settle, until},
};

#[tokio::test(start_paused = true)]
async fn a_cast_cancels_a_run_at_once_while_its_model_is_silent() {
    for under in BOTH {
        for early in [false, true] {
            let (agent, probe) = hanging_agent();
            let runtime = Runtime::new();
            let run = start(under, &runtime, &agent).await;
            // Taken before the model has spoken, or when the handler has long been waiting for it.
            let before = match early {
                true => Some(actor(&run).await),
                false => None,
            };
            said(&run, "two ").await;
            settle().await;
            cancel(&before.unwrap_or_else(|| run.actor().unwrap()));
            let outcome = over_at_once(&run, &probe).await;
            assert_eq!(outcome.text(), "one two ");
            assert_eq!(partial(&outcome).receipt.by.as_deref(), Some("a message"));
            nothing_left(&runtime);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cast_cancels_a_run_in_the_middle_of_its_stream() {
    for under in BOTH {
        let model = Storyteller::endless().pace(Duration::ZERO);
        let probe = model.probe();
        let runtime = Runtime::new();
        let run = start(under, &runtime, &poet(model)).await;
        until(&run, |kind| matches!(kind, EventKind::Content { .. })).await;
        cancel(&run.actor().unwrap());
        let before = probe.chunks();
        over_at_once(&run, &probe).await;
        assert!(
            probe.chunks() - before <= 64,
            "it goes on for a burst at most"
        );
        check_history(&all_events(&run).await);
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cast_cancels_a_run_while_its_tool_is_running() {
    for under in BOTH {
        let runtime = Runtime::new();
        let run = start(under, &runtime, &clerk(&Gate::new(), false)).await;
        until(&run, |kind| {
            matches!(kind, EventKind::ToolCallStarted { .. })
        })
        .await;
        settle().await;
        cancel(&run.actor().unwrap());
        let outcome = ended(&run).await;
        assert_eq!(partial(&outcome).receipt.tools.len(), 1);
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_replies_to_a_cancel_and_to_words() {
    for under in BOTH {
        let gate = Gate::new();
        let model = Storyteller::new("one").next_turn().gate(&gate);
        let runtime = Runtime::new();
        let run = start(under, &runtime, &poet(model)).await;
        let actor = actor(&run).await;
        let words = tokio::spawn({
            let actor = actor.clone();
            async move { call!(actor, RunMessage::Steer, "and two".into()).unwrap() }
        });
        settle().await;
        gate.open();
        let applied = words.await.unwrap();
        assert!(
            matches!(applied, SteerOutcome::Applied { .. }),
            "{applied:?}"
        );
        ended(&run).await;

        let (agent, _) = hanging_agent();
        let run = start(under, &runtime, &agent).await;
        said(&run, "two ").await;
        let actor = run.actor().unwrap();
        let outcome = call!(actor, RunMessage::CancelAndReply, Default::default()).unwrap();
        assert!(
            matches!(outcome, CancelOutcome::Accepted { durable: true, .. }),
            "{outcome:?}"
        );
        ended(&run).await;
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_native_stop_or_kill_of_a_runs_actor_ends_the_run_at_once() {
    for under in BOTH {
        for stop in [false, true] {
            let (agent, probe) = hanging_agent();
            let runtime = Runtime::new();
            let run = start(under, &runtime, &agent).await;
            said(&run, "two ").await;
            settle().await;
            let actor = run.actor().unwrap();
            settle().await;
            if stop {
                actor.stop(None);
            } else {
                actor.kill();
            }
            match over_at_once(&run, &probe).await {
                Outcome::Cancelled(partial) if stop => {
                    let stopped = CancelReason::Because("its actor was stopped".into());
                    assert_eq!(partial.receipt.reason, stopped);
                }
                Outcome::Error(error) if !stop => assert_eq!(error.reason, ErrorReason::Killed),
                other => panic!("{other:?}"),
            }
            nothing_left(&runtime);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_speaks_the_same_words_when_somebody_holds_its_actor() {
    for under in BOTH {
        let runtime = Runtime::new();
        let told = "one two three ".repeat(100);
        let run = start(under, &runtime, &poet(Storyteller::new(&told))).await;
        said(&run, "two ").await;
        let _held = run.actor().unwrap();
        let outcome = ended(&run).await;
        assert_eq!(outcome.status(), RunStatus::Completed);
        assert_eq!(outcome.text().trim_end(), told.trim_end());
        nothing_left(&runtime);
    }
}
