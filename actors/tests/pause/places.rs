//! A continued run takes its slot and its session as a new run does.

use quell_actors::{
    CancelOutcome, CancelReason, CancelRequest, EventKind, NewRun, Outcome, RunStatus, Runtime,
    cancel::Activity,
    error::{ContinueError, StartError},
    event::ToolFault,
    runtime::{RuntimeConfig, Scope, Shutdown},
    sim::{Gate, Storyteller},
};

use super::{CALL, approve, clerk, on, paused};
use crate::support::{
    all_events, ended, names, nothing_kept, partial, poet, settle, shared::SharedStore,
    tools::Ledger,
};

fn small(live: usize, queued: usize) -> Runtime {
    Runtime::builder()
        .config(RuntimeConfig {
            max_live_runs: live,
            max_queued_runs: queued,
            ..RuntimeConfig::default()
        })
        .in_memory()
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_holds_no_slot_and_waits_for_one_when_it_goes_on() {
    let (runtime, ledger) = (small(1, 1), Ledger::default());
    let run = paused(&runtime, &clerk(&ledger), "Pay.").await;
    let gate = Gate::new();
    let other = poet(Storyteller::new("one").gate(&gate));
    let busy = runtime.start(&other, "Sing.").await.unwrap();
    settle().await;
    assert_eq!(busy.status(), RunStatus::Running, "the slot is free");

    runtime.continue_run(run.id(), approve()).await.unwrap();
    settle().await;
    assert_eq!(run.status(), RunStatus::Pending);
    assert_eq!(runtime.list().len(), 2);
    assert!(ledger.made().is_empty());
    gate.open();
    ended(&busy).await;
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_finds_no_place_stays_paused() {
    let (runtime, ledger) = (small(1, 0), Ledger::default());
    let run = paused(&runtime, &clerk(&ledger), NewRun::new("Pay.").session("s")).await;
    let hanging = poet(Storyteller::endless().stall_at(0));
    let busy = runtime.start(&hanging, "Sing.").await.unwrap();
    let refused = runtime.continue_run(run.id(), approve()).await.unwrap_err();
    let full = StartError::QueueFull { live: 1, queued: 0 };
    assert_eq!(refused, ContinueError::NoPlace(full));
    assert_eq!(run.status(), RunStatus::Paused);
    busy.cancel().await;
    ended(&busy).await;
    runtime.continue_run(run.id(), approve()).await.unwrap();
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));

    // The limit on runs that wait for a session holds for it too.
    let runtime = Runtime::builder()
        .config(RuntimeConfig {
            max_waiting_in_session: 0,
            ..RuntimeConfig::default()
        })
        .in_memory();
    let session = || NewRun::new("Pay.").session("s");
    let run = paused(&runtime, &clerk(&ledger), session()).await;
    let busy = runtime.start(&hanging, session()).await.unwrap();
    let refused = runtime.continue_run(run.id(), approve()).await.unwrap_err();
    let full = StartError::SessionQueueFull("s".into());
    assert_eq!(refused, ContinueError::NoPlace(full));
    assert_eq!(run.status(), RunStatus::Paused);
    busy.cancel();
    run.cancel();
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_goes_on_waits_for_its_session() {
    let (runtime, ledger) = (Runtime::new(), Ledger::default());
    let session = || NewRun::new("Pay.").session("s");
    let run = paused(&runtime, &clerk(&ledger), session()).await;
    let gate = Gate::new();
    let other = poet(Storyteller::new("one").gate(&gate));
    let busy = runtime.start(&other, session()).await.unwrap();
    settle().await;
    assert_eq!(busy.status(), RunStatus::Running, "the session is free");
    runtime.continue_run(run.id(), approve()).await.unwrap();
    settle().await;
    assert_eq!(run.status(), RunStatus::Pending);
    assert!(ledger.made().is_empty());
    gate.open();
    ended(&busy).await;
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_is_cancelled_on_the_spot() {
    for in_memory in [true, false] {
        let (store, ledger) = (SharedStore::new(), Ledger::default());
        let runtime = on(&store).await;
        let run = paused(&runtime, &clerk(&ledger), "Pay.").await;
        let (id, handle) = (run.id(), in_memory.then(|| run.clone()));
        drop(run);
        let request = CancelRequest::new(CancelReason::Because("no".into())).remember();
        let answer = runtime.cancel_with(id, request).await;
        assert!(
            matches!(answer, CancelOutcome::Accepted { durable: true, .. }),
            "{answer:?}"
        );
        let run = match handle {
            Some(run) => run,
            None => runtime.get(id).await.unwrap().unwrap(),
        };
        let outcome = run.outcome().await.unwrap();
        let receipt = &partial(&outcome).receipt;
        assert_eq!((receipt.cut, receipt.tools.len()), (Activity::Paused, 1));
        let events = all_events(&run).await;
        let after = names(&events).split_off(4);
        assert_eq!(
            after,
            ["paused", "cancel_requested", "tool_call_error", "cancelled"]
        );
        let closes = events.iter().any(|event| {
            matches!(&event.kind, EventKind::ToolCallError(error)
                if *error.id == *CALL && error.kind == ToolFault::NotStarted)
        });
        assert!(closes, "{events:#?}");
        let status = RunStatus::Cancelled;
        let late = runtime.continue_run(id, approve()).await.unwrap_err();
        assert_eq!(late, ContinueError::NotPaused { status });
        assert_eq!(
            runtime.cancel(id).await,
            CancelOutcome::AlreadyEnded { status }
        );
        assert!(ledger.made().is_empty());
        drop(run);
        nothing_kept(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_of_many_finds_the_paused_ones_in_the_store() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let runtime = on(&store).await;
    let mut ids = Vec::new();
    for session in ["a", "a", "b"] {
        let run = NewRun::new("Pay.").session(session);
        ids.push(paused(&runtime, &clerk(&ledger), run).await.id());
    }
    let which = Scope::all().session("a");
    let answers = runtime.cancel_all(which, CancelRequest::default()).await;
    let answers = answers.unwrap();
    let mut cancelled: Vec<_> = answers.iter().map(|(id, _)| *id).collect();
    cancelled.sort();
    assert_eq!(cancelled, ids[..2]);
    assert!(answers.iter().all(|(_, answer)| answer.is_accepted()));
    let head = store.stored_head(ids[2]).await.unwrap();
    assert_eq!(head.status, RunStatus::Paused);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_leaves_paused_runs_paused() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let runtime = on(&store).await;
    let agent = clerk(&ledger);
    let run = paused(&runtime, &agent, "Pay.").await;
    let report = runtime.shutdown(Shutdown::default()).await;
    assert_eq!((report.cancelled, report.abandoned), (0, 0));
    assert_eq!(run.status(), RunStatus::Paused);
    let refused = runtime.continue_run(run.id(), approve()).await.unwrap_err();
    assert_eq!(refused, ContinueError::NoPlace(StartError::ShuttingDown));
    let second = on(&store.another()).await;
    second.add_agent(&agent);
    let run = second.continue_run(run.id(), approve()).await.unwrap();
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_cancel_a_pause_that_is_not_stored_yet() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let runtime = on(&store).await;
    // Started, asked, three words, answered; the pause is the sixth.
    store.freeze_after(6);
    let run = runtime.start(&clerk(&ledger), "Pay.").await.unwrap();
    store.frozen().await;
    settle().await;
    assert_eq!(run.status(), RunStatus::Paused);
    let limits = Shutdown {
        finish_within: std::time::Duration::ZERO,
        cancel_within: std::time::Duration::from_millis(10),
    };
    runtime.shutdown(limits).await;
    assert_eq!(run.status(), RunStatus::Paused);
    store.thaw();
    settle().await;
    let head = store.stored_head(run.id()).await.unwrap();
    assert_eq!(head.status, RunStatus::Paused);
}
