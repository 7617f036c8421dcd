//! Calls by id: a cancel takes effect when it is called, its outcome is true, and an intent is kept for its run.

use std::time::Duration;

use futures::FutureExt;
use quell_actors::{
    CancelOutcome, CancelReason, CancelRequest, EventKind, NewRun, Run, RunId, RunStatus, Runtime,
    error::EventsError,
    runtime::{RuntimeConfig, Scope, Shutdown},
    sim::{Gate, Storyteller},
};

use super::{OddStore, hanging, settle};
use crate::support::{Fault, FaultyStore, ended, nothing_left, opened, poet, until};

#[tokio::test(start_paused = true)]
async fn a_cancel_by_id_takes_effect_in_the_call() {
    let calls: [fn(&Runtime, &Run); 3] = [
        |runtime, run| drop(runtime.cancel(run.id())),
        |runtime, run| {
            let request = CancelRequest::new(CancelReason::Superseded);
            drop(runtime.cancel_with(run.id(), request));
        },
        |runtime, _| drop(runtime.cancel_all(Scope::all(), CancelRequest::default())),
    ];
    for call in calls {
        let runtime = Runtime::new();
        let run = runtime.start(&hanging(), "Sing.").await.unwrap();
        settle().await;
        assert_eq!(run.status(), RunStatus::Running);
        call(&runtime, &run);
        assert_eq!(run.status(), RunStatus::Cancelling);
        assert_eq!(ended(&run).await.status(), RunStatus::Cancelled);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_is_pending_until_its_model_is_asked() {
    let run = Runtime::new().start(&hanging(), "Sing.").await.unwrap();
    let mut events = run.events();
    let first = events.next().await.unwrap().unwrap();
    // No other task has run yet, so nothing else is decided.
    assert!(events.next().now_or_never().is_none());
    assert_eq!(first.kind.status(), Some(run.status()));
    assert_eq!(run.status(), RunStatus::Pending);
    settle().await;
    assert_eq!(run.status(), RunStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_starts_while_the_store_is_asked_is_not_taken_for_a_lost_one() {
    let heads = Gate::new();
    let runtime = opened(RuntimeConfig::default(), OddStore::new(&heads, false)).await;
    let id = RunId::new();
    let cancelling = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.cancel(id).await }
    });
    let getting = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.get(id).await }
    });
    settle().await;
    let run = runtime
        .start(&hanging(), NewRun::new("Sing.").id(id))
        .await
        .unwrap();
    settle().await;
    heads.open();

    // By now the run is stored, and active here.
    let answer = cancelling.await.unwrap();
    assert!(answer.is_accepted(), "{answer:?}");
    let found = getting.await.unwrap().unwrap().unwrap();
    assert_eq!(found.status(), RunStatus::Cancelled);
    assert_eq!(ended(&found).await, ended(&run).await);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_lost_its_store_is_not_said_to_have_ended() {
    let store = FaultyStore::open();
    let config = RuntimeConfig {
        store_patience: Duration::ZERO,
        ..RuntimeConfig::default()
    };
    let runtime = opened(config, store.clone()).await;
    let run = runtime
        .start(&poet(Storyteller::endless()), "Sing.")
        .await
        .unwrap();
    until(&run, |kind| matches!(kind, EventKind::Content { .. })).await;
    store.fail([Fault::Unavailable, Fault::Unavailable]);
    let lost = |answer: &EventsError| matches!(answer, EventsError::StoreLost { .. });
    let outcome = run.outcome().await.unwrap_err();
    assert!(lost(&outcome), "{outcome:?}");
    settle().await;
    nothing_left(&runtime);

    // What is found now is what the store has, and the store is well.
    let status = RunStatus::Running;
    let not_here = CancelOutcome::NotHere { status };
    assert_eq!(runtime.cancel(run.id()).await, not_here);
    let found = runtime.get(run.id()).await.unwrap().unwrap();
    assert_eq!(found.cancel().await, not_here);
    let not_here = |answer: &EventsError| matches!(answer, EventsError::NotHere { .. });
    let outcome = found.outcome().await.unwrap_err();
    assert!(not_here(&outcome), "{outcome:?}");
    let last = found.events_from(1_000).next().await.unwrap().unwrap_err();
    assert!(not_here(&last), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_remembered_cancel_survives_a_start_that_the_store_refused() {
    let store = FaultyStore::open();
    let runtime = opened(RuntimeConfig::default(), store.clone()).await;
    let id = RunId::new();
    let remember = CancelRequest::default().remember();
    let answer = runtime.cancel_with(id, remember).await;
    assert_eq!(answer, CancelOutcome::Remembered);
    store.fail([Fault::Unavailable]);
    let agent = hanging();
    let start = || runtime.start(&agent, NewRun::new("Sing.").id(id));
    start().await.unwrap_err();
    settle().await;
    let run = start().await.unwrap();
    settle().await;
    assert_eq!(run.status(), RunStatus::Cancelled);
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn cancels_of_ended_runs_push_no_remembered_cancel_out() {
    let runtime = Runtime::builder()
        .config(RuntimeConfig {
            max_remembered_cancels: 2,
            ..RuntimeConfig::default()
        })
        .in_memory();
    let over = runtime
        .start(&poet(Storyteller::new("one")), "Sing.")
        .await
        .unwrap();
    ended(&over).await;
    settle().await;
    let id = RunId::new();
    let remember = CancelRequest::default().remember();
    let answer = runtime.cancel_with(id, remember.clone()).await;
    assert_eq!(answer, CancelOutcome::Remembered);
    for _ in 0..3 {
        // Intents differ in age.
        tokio::time::advance(Duration::from_millis(1)).await;
        let status = RunStatus::Completed;
        let answer = runtime.cancel_with(over.id(), remember.clone()).await;
        assert_eq!(answer, CancelOutcome::AlreadyEnded { status });
    }
    let run = runtime
        .start(&hanging(), NewRun::new("Sing.").id(id))
        .await
        .unwrap();
    settle().await;
    assert_eq!(run.status(), RunStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_may_wait_for_ever() {
    for finish in [false, true] {
        let runtime = Runtime::new();
        let model = Storyteller::new("one two");
        let model = if finish { model } else { model.stall_at(1) };
        let run = runtime.start(&poet(model), "Sing.").await.unwrap();
        let finish_within = if finish {
            Duration::MAX
        } else {
            Duration::ZERO
        };
        let limits = Shutdown {
            finish_within,
            cancel_within: Duration::MAX,
        };
        let report = runtime.shutdown(limits).await;
        let finished = usize::from(finish);
        assert_eq!(
            (report.finished, report.cancelled),
            (finished, 1 - finished)
        );
        assert_eq!(report.abandoned, 0);
        ended(&run).await;
        nothing_left(&runtime);
    }
}
