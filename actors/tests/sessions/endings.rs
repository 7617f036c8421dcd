//! The end of a runtime, of its supervisor, or of the starting task, while runs wait for a session.

use std::{sync::Arc, task::Context, time::Duration};

use futures::{
    FutureExt,
    task::{ArcWake, waker},
};
use quell_actors::{
    CancelReason, Outcome, RunStatus, Runtime,
    error::StartError,
    runtime::Shutdown,
    sim::{Gate, Storyteller},
};

use super::{busy, in_s, waits};
use crate::support::{
    ended, foreign, nothing_kept, opened, partial, poet, settle, shared::SharedStore,
};

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_those_that_wait_have_their_turn_and_then_cancels_them() {
    for finishes in [true, false] {
        let (runtime, gate) = (Runtime::new(), Gate::new());
        let first = busy(&runtime, &gate).await;
        let agent = poet(Storyteller::new("la"));
        let second = waits(&runtime, &agent, in_s("Sing.")).await;
        let third = waits(&runtime, &agent, in_s("Sing.")).await;
        let shutdown = tokio::spawn({
            let runtime = runtime.clone();
            async move { runtime.shutdown(Shutdown::default()).await }
        });
        settle().await;
        let late = runtime.start(&agent, in_s("Sing.")).await.unwrap_err();
        assert_eq!(late, StartError::ShuttingDown);
        if finishes {
            gate.open();
        }
        let report = shutdown.await.unwrap();
        assert_eq!(report.abandoned, 0);
        for run in [&first, &second, &third] {
            let outcome = ended(run).await;
            assert_eq!(matches!(outcome, Outcome::Completed(_)), finishes);
            if !finishes {
                assert_eq!(partial(&outcome).receipt.reason, CancelReason::Shutdown);
            }
        }
        assert_eq!(report.finished, if finishes { 3 } else { 0 });
        nothing_kept(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn runs_that_wait_end_with_the_supervisor_that_would_have_started_them() {
    let supervisor = foreign(false).await;
    let store = SharedStore::new();
    let cell = supervisor.get_cell();
    let runtime = Runtime::builder()
        .under(cell)
        .open(store.clone())
        .await
        .unwrap()
        .0;
    let gate = Gate::new();
    let first = busy(&runtime, &gate).await;
    let agent = poet(Storyteller::new("la"));
    let waiting = [
        waits(&runtime, &agent, in_s("Sing.")).await,
        waits(&runtime, &agent, in_s("Sing.")).await,
    ];
    supervisor.kill();
    settle().await;
    for run in waiting.iter().chain([&first]) {
        assert!(matches!(
            ended(run).await,
            Outcome::Error(_) | Outcome::Cancelled(_)
        ));
    }
    let late = runtime.start(&agent, in_s("Sing.")).await.unwrap_err();
    assert_eq!(late, StartError::ShuttingDown);
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_nobody_waits_for_has_its_turn_all_the_same() {
    let store = SharedStore::new();
    let (runtime, gate) = (opened(Default::default(), store.clone()).await, Gate::new());
    let first = busy(&runtime, &gate).await;
    store.freeze_after(0);
    let agent = poet(Storyteller::new("la"));
    let id = quell_actors::RunId::new();
    let start = async { runtime.start(&agent, in_s("Sing.").id(id)).await };
    assert!(Box::pin(start).as_mut().now_or_never().is_none());
    store.thaw();
    settle().await;
    let second = runtime.get(id).await.unwrap().unwrap();
    assert_eq!(second.status(), RunStatus::Pending);
    gate.open();
    ended(&first).await;
    assert!(matches!(ended(&second).await, Outcome::Completed(_)));
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn the_runs_of_a_runtime_that_was_dropped_have_their_turns() {
    let (runtime, gate) = (Runtime::new(), Gate::new());
    let first = busy(&runtime, &gate).await;
    let second = waits(&runtime, &poet(Storyteller::new("la")), in_s("Sing.")).await;
    drop(runtime);
    gate.open();
    ended(&first).await;
    assert!(matches!(ended(&second).await, Outcome::Completed(_)));
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// A waker that panics.
struct Panics;

impl ArcWake for Panics {
    fn wake_by_ref(_: &Arc<Panics>) {
        panic!("woken");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_whose_waker_panics_takes_nobodys_turn() {
    let (runtime, gate) = (Runtime::new(), Gate::new());
    let first = busy(&runtime, &gate).await;
    let second = waits(&runtime, &poet(Storyteller::new("la")), in_s("Sing.")).await;
    let patient = Shutdown {
        finish_within: Duration::from_secs(60),
        ..Shutdown::default()
    };
    let mut shutdown = Box::pin(runtime.shutdown(patient));
    let panics = waker(Arc::new(Panics));
    let waits = shutdown.poll_unpin(&mut Context::from_waker(&panics));
    assert!(waits.is_pending());
    gate.open();
    for run in [&first, &second] {
        assert!(matches!(ended(run).await, Outcome::Completed(_)));
    }
}
