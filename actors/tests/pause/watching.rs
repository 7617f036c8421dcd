//! A reader from before a pause keeps reading after it.

use quell_actors::{EventKind, Outcome, RunStatus, Runtime, run::SteerOutcome, sim::Gate};

use super::{approve, clerk, paused, with_pay};
use crate::support::{all_events, check_history, ended, settle, tools::Ledger, watcher::watcher};

#[tokio::test(start_paused = true)]
async fn the_same_stream_goes_on_across_a_pause() {
    let (runtime, ledger) = (Runtime::new(), Ledger::default());
    let run = runtime.start(&clerk(&ledger), "Pay.").await.unwrap();
    let mut stream = run.events();
    let mut seen = Vec::new();
    while let Some(event) = stream.next().await {
        let event = event.unwrap();
        if matches!(event.kind, EventKind::Paused(_)) {
            // At once: the actor that has paused the run may not have ended yet.
            runtime.continue_run(run.id(), approve()).await.unwrap();
        }
        seen.push(event);
    }
    assert!(matches!(check_history(&seen), Outcome::Completed(_)));
    assert_eq!(seen, all_events(&run).await);
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_of_the_runtime_sees_the_pause_and_its_end() {
    let (runtime, ledger) = (Runtime::new(), Ledger::default());
    let gate = Gate::new();
    gate.open();
    let mut changes = watcher(&runtime, &gate).await;
    let run = paused(&runtime, &clerk(&ledger), "Pay.").await;
    runtime.continue_run(run.id(), approve()).await.unwrap();
    ended(&run).await;
    settle().await;
    let mut seen = Vec::new();
    while let Ok(change) = changes.try_recv() {
        seen.push(change.unwrap().status);
    }
    assert_eq!(
        seen,
        [
            RunStatus::Pending,
            RunStatus::Running,
            RunStatus::Paused,
            RunStatus::Pending,
            RunStatus::Running,
            RunStatus::Completed
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn words_for_a_paused_run_come_too_late() {
    let (runtime, ledger) = (Runtime::new(), Ledger::default());
    let gate = Gate::new();
    let model = super::payer().gate(&gate);
    let run = runtime
        .start(&with_pay(model, &ledger).build().unwrap(), "Pay.")
        .await
        .unwrap();
    settle().await;
    // Steered while the model speaks, before the run is paused.
    let early = run.steer("Wait.");
    gate.open();
    let status = RunStatus::Paused;
    assert_eq!(early.await, SteerOutcome::TooLate { status });
    settle().await;
    assert_eq!(run.steer("Wait.").await, SteerOutcome::TooLate { status });
    run.cancel();
}
