//! Promises 1, 4 and 10 under supervision: whatever is killed, stopped or dropped, the run has its one ending at once,
//! its model's stream is closed at once, and no other run is affected.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{sync::Arc, time::Duration};

use quell_actors::{
    Agent, CancelReason, Outcome, Run, RunStatus, Runtime,
    error::StartError,
    outcome::ErrorReason,
    runtime::RuntimeConfig,
    sim::{Probe, Storyteller},
};
use ractor::{ActorCell, ActorRef, ActorStatus};
use support::{
    ForeignMsg, all_events, ended, foreign, nothing_left, once, poet, start_under, until,
};
use tokio::{sync::Semaphore, time::Instant};

/// A model that speaks a little and then hangs.
fn hanging() -> Storyteller {
    Storyteller::new("one two three").stall_at(2)
}

async fn spoken(run: &Run) {
    until(
        run,
        |kind| matches!(kind, quell_actors::EventKind::Content { text } if &**text == "two "),
    )
    .await;
}

/// Expects the ending and the closed connection now, without any time passing.
async fn over_at_once(run: &Run, probe: &Probe) -> Outcome {
    let before = Instant::now();
    let outcome = ended(run).await;
    assert_eq!(probe.open(), 0, "the model's stream is closed");
    assert_eq!(before.elapsed(), Duration::ZERO, "no time passes");
    assert_eq!(outcome.text(), "one two ", "what was said is kept");
    outcome
}

fn error_reason(outcome: &Outcome) -> ErrorReason {
    match outcome {
        Outcome::Error(error) => error.reason,
        other => panic!("not failed: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn one_runs_fault_is_one_runs_fault() {
    let runtime = Runtime::new();
    let fine = runtime
        .start(&poet(Storyteller::new("one two three four five")), "Go.")
        .await
        .unwrap();
    let hangs = runtime.start(&poet(hanging()), "Go.").await.unwrap();
    let panics = once(Storyteller::new("one two three").panic_at(2))
        .build()
        .unwrap();
    let panics = runtime.start(&panics, "Go.").await.unwrap();
    assert_eq!(error_reason(&ended(&panics).await), ErrorReason::Panicked);
    assert_eq!(ended(&fine).await.text(), "one two three four five");
    assert_eq!(hangs.status(), RunStatus::Running);
    hangs.cancel().await;
    ended(&hangs).await;
    nothing_left(&runtime);
}

/// A runtime whose supervisor is a child of `parent`, and that supervisor.
fn linked_runtime(parent: ActorCell) -> Runtime {
    Runtime::builder().under(parent).in_memory()
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_is_killed_ends_its_runs() {
    for stop in [false, true] {
        let root = foreign(false).await;
        let runtime = linked_runtime(root.get_cell());
        let model = hanging();
        let probe = model.probe();
        let run = runtime.start(&poet(model.clone()), "Go.").await.unwrap();
        spoken(&run).await;
        let supervisor = root.get_cell().get_children().remove(0);
        if stop {
            supervisor.stop(None);
        } else {
            supervisor.kill();
        }
        let outcome = over_at_once(&run, &probe).await;
        match outcome {
            Outcome::Cancelled(partial) if stop => {
                assert_eq!(partial.receipt.reason, CancelReason::Shutdown);
            }
            other => assert_eq!(error_reason(&other), ErrorReason::Killed),
        }
        supervisor.wait(None).await.unwrap();
        let refused = runtime.start(&poet(model), "Go.").await.unwrap_err();
        assert_eq!(refused, StartError::ShuttingDown);
        nothing_left(&runtime);
        root.stop(None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_is_killed_ends_what_waits_too() {
    let root = foreign(false).await;
    let config = RuntimeConfig {
        max_live_runs: 1,
        ..RuntimeConfig::default()
    };
    let runtime = Runtime::builder()
        .config(config)
        .under(root.get_cell())
        .in_memory();
    let live = runtime.start(&poet(hanging()), "Go.").await.unwrap();
    let waiting = runtime.start(&poet(hanging()), "Go.").await.unwrap();
    spoken(&live).await;
    root.kill();
    assert_eq!(error_reason(&ended(&live).await), ErrorReason::Killed);
    assert_eq!(error_reason(&ended(&waiting).await), ErrorReason::Killed);
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_killed_run_actor_ends_its_run_alone() {
    let root = foreign(false).await;
    let runtime = linked_runtime(root.get_cell());
    let (model, other) = (hanging(), hanging());
    let probe = model.probe();
    let run = runtime.start(&poet(model), "Go.").await.unwrap();
    spoken(&run).await;
    let supervisor = root.get_cell().get_children().remove(0);
    let actor = supervisor.get_children().remove(0);
    let beside = runtime.start(&poet(other), "Go.").await.unwrap();
    spoken(&beside).await;
    actor.kill();
    assert_eq!(
        error_reason(&over_at_once(&run, &probe).await),
        ErrorReason::Killed
    );
    assert_eq!(beside.status(), RunStatus::Running);
    assert_eq!(supervisor.get_status(), ActorStatus::Running);
    beside.cancel().await;
    ended(&beside).await;
    nothing_left(&runtime);
}

/// How a linked run is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Panic,
    Kill,
    Stop,
    StopChildren,
    SupervisorKill,
    SupervisorStop,
    Cancel,
}

/// Ends a linked run under a foreign supervisor, which keeps every supervision event or is busy, and expects its ending
/// and its closed connection at once.
async fn end_linked(by: By, keeps: bool, busy: bool) {
    let supervisor = foreign(keeps).await;
    let runtime = Runtime::new();
    let model = match by {
        By::Panic => Storyteller::new("one two three").panic_at(2),
        By::Kill
        | By::Stop
        | By::StopChildren
        | By::SupervisorKill
        | By::SupervisorStop
        | By::Cancel => hanging(),
    };
    let probe = model.probe();
    let agent: Agent = once(model).build().unwrap();
    let run = start_under(&supervisor, &runtime, &agent).await;
    spoken(&run).await;
    let gate = Arc::new(Semaphore::new(0));
    if busy {
        supervisor.cast(ForeignMsg::Busy(gate.clone())).unwrap();
        tokio::task::yield_now().await;
    }
    let children = supervisor.get_cell().get_children();
    let stopping = end_by(by, &supervisor, children.first(), &run);
    let outcome = over_at_once(&run, &probe).await;
    match by {
        By::Panic => assert_eq!(error_reason(&outcome), ErrorReason::Panicked),
        By::Kill | By::SupervisorKill | By::SupervisorStop => {
            assert_eq!(error_reason(&outcome), ErrorReason::Killed);
        }
        By::Stop | By::StopChildren | By::Cancel => {
            assert_eq!(outcome.status(), RunStatus::Cancelled);
        }
    }
    gate.close();
    if let Some(stopping) = stopping {
        stopping.await.unwrap();
    }
    nothing_left(&runtime);
    supervisor.stop(None);
}

fn end_by(
    by: By,
    supervisor: &ActorRef<ForeignMsg>,
    child: Option<&ActorCell>,
    run: &Run,
) -> Option<tokio::task::JoinHandle<()>> {
    let child = || child.expect("the run is the supervisor's child");
    match by {
        By::Panic => {}
        By::Kill => child().kill(),
        By::Stop => child().stop(None),
        By::SupervisorKill => supervisor.kill(),
        By::SupervisorStop => supervisor.stop(None),
        By::Cancel => drop(run.cancel()),
        By::StopChildren => {
            let supervisor = supervisor.clone();
            return Some(tokio::spawn(async move {
                let cell = supervisor.get_cell();
                cell.stop_children_and_wait(None, None).await;
            }));
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn a_linked_run_ends_at_once_under_a_supervisor_that_keeps_every_event() {
    for by in [
        By::Panic,
        By::Kill,
        By::Stop,
        By::StopChildren,
        By::SupervisorKill,
        By::SupervisorStop,
        By::Cancel,
    ] {
        end_linked(by, true, false).await;
        end_linked(by, false, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_linked_run_ends_at_once_under_a_busy_supervisor() {
    // A busy supervisor does not process its own stop. That is ractor's doing, not the run's.
    for by in [
        By::Panic,
        By::Kill,
        By::Stop,
        By::StopChildren,
        By::SupervisorKill,
        By::Cancel,
    ] {
        end_linked(by, true, true).await;
        end_linked(by, false, true).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_linked_run_is_a_run_of_its_runtime_all_the_same() {
    let supervisor = foreign(false).await;
    let config = RuntimeConfig {
        max_live_runs: 1,
        max_queued_runs: 1,
        ..RuntimeConfig::default()
    };
    let runtime = Runtime::builder().config(config).in_memory();
    let first = start_under(&supervisor, &runtime, &poet(hanging())).await;
    let second = start_under(&supervisor, &runtime, &poet(Storyteller::new("two"))).await;
    assert_eq!(
        second.status(),
        RunStatus::Pending,
        "it counts for the limits"
    );
    assert!(
        runtime.get(first.id()).await.unwrap().is_some(),
        "it is found by its id"
    );
    spoken(&first).await;
    assert!(
        runtime.cancel(first.id()).await.is_accepted(),
        "and cancelled by it"
    );
    assert_eq!(ended(&second).await.text(), "two");
    assert_eq!(all_events(&first).await.len(), 6);
    nothing_left(&runtime);
    supervisor.call(ForeignMsg::Ping, None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_supervisor_is_gone_has_its_ending() {
    let supervisor = foreign(false).await;
    let runtime = Runtime::new();
    let cell = supervisor.get_cell();
    supervisor.stop(None);
    supervisor.wait(None).await.unwrap();
    let model = hanging();
    let probe = model.probe();
    let started = runtime.start_linked(&poet(model), "Go.", cell).await;
    assert_eq!(started.unwrap_err(), StartError::SupervisorGone);
    assert_eq!(probe.requests(), 0);
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_stops_before_its_run_has_a_slot_ends_it_then() {
    let supervisor = foreign(false).await;
    let runtime = Runtime::builder()
        .config(RuntimeConfig {
            max_live_runs: 1,
            ..RuntimeConfig::default()
        })
        .in_memory();
    let first = runtime.start(&poet(hanging()), "Go.").await.unwrap();
    let second = start_under(&supervisor, &runtime, &poet(hanging())).await;
    supervisor.stop(None);
    supervisor.wait(None).await.unwrap();
    spoken(&first).await;
    first.cancel().await;
    assert_eq!(error_reason(&ended(&second).await), ErrorReason::Killed);
    nothing_left(&runtime);
}

#[tokio::test]
async fn a_tokio_runtime_that_is_dropped_drops_the_connections_too() {
    let model = hanging();
    let probe = model.probe();
    let agent = poet(model);
    std::thread::spawn(move || {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        tokio.block_on(async {
            let run = Runtime::new().start(&agent, "Go.").await.unwrap();
            support::guarded(spoken(&run)).await;
        });
    })
    .join()
    .unwrap();
    assert_eq!(probe.open(), 0);
}
