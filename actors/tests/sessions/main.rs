//! Sessions: one writer at a time, a fixed order, a history that providers accept, and nothing left in memory
//! afterwards.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod busy;
mod endings;
mod family;
mod history;
mod interrupts;
mod kept;
mod kin;
mod long;
mod order;
mod owned;
mod seen;
mod turns;
mod waiting;

use quell_actors::{
    Agent, EventKind, NewRun, Run, RunStatus, Runtime,
    error::StartError,
    runtime::{RuntimeConfig, WhenBusy},
    sim::{Gate, Storyteller},
};

use crate::support::{poet, settle};

/// A run of the session `s`.
fn in_s(words: &str) -> NewRun {
    NewRun::new(words).session("s")
}

fn when(busy: WhenBusy) -> NewRun {
    in_s("Sing.").when_busy(busy)
}

/// An agent that answers when `gate` opens.
fn gated(gate: &Gate) -> Agent {
    poet(Storyteller::new("la la").gate(gate))
}

/// Starts a run of the session that is active until `gate` opens.
async fn busy(runtime: &Runtime, gate: &Gate) -> Run {
    let run = runtime.start(&gated(gate), in_s("Sing.")).await.unwrap();
    settle().await;
    assert_eq!(run.status(), RunStatus::Running);
    run
}

/// Starts a run that must wait.
async fn waits(runtime: &Runtime, agent: &Agent, run: NewRun) -> Run {
    let run = runtime.start(agent, run).await.unwrap();
    settle().await;
    assert_eq!(run.status(), RunStatus::Pending);
    run
}

fn config(change: impl FnOnce(&mut RuntimeConfig)) -> Runtime {
    let mut config = RuntimeConfig::default();
    change(&mut config);
    Runtime::builder().config(config).in_memory()
}

fn is_busy(answer: &Result<Run, StartError>) -> bool {
    matches!(answer, Err(StartError::SessionBusy(id)) if **id == *"s")
}

/// Whether a model was ever asked.
async fn asked(run: &Run) -> bool {
    let events = support::all_events(run).await;
    let mut kinds = events.iter().map(|event| &event.kind);
    kinds.any(|kind| matches!(kind, EventKind::ModelRequestStarted { .. }))
}
