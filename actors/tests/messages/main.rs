//! Runs and runtimes that are spoken to in messages: a message is one more way to the log, and decides there what the
//! methods decide.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod late;
mod run;
mod runtime;

use quell_actors::{
    Agent, CancelRequest, EventKind, Outcome, Run, Runtime,
    run::RunMessage,
    sim::{Gate, Probe, Storyteller},
};
use ractor::ActorRef;
use support::{
    foreign, poet, start_under,
    tools::{Ledger, open},
    until,
};
use tokio::time::Instant;

/// A model that speaks a little and then hangs.
fn hanging() -> Storyteller {
    Storyteller::new("one two three").stall_at(2)
}

/// An agent whose tool `pay`, which it calls at once, waits at a gate, and with `confirm` for a person before.
fn clerk(gate: &Gate, confirm: bool) -> Agent {
    let model = Storyteller::new("all done").calling("pay", serde_json::json!({}));
    let pay = Ledger::default().tool("pay", gate);
    let pay = if confirm { pay.confirm() } else { pay };
    Agent::builder("clerk", model).tool(pay).build().unwrap()
}

/// An agent whose run is paused as soon as its model is let through.
fn asks(gate: &Gate) -> Agent {
    let model = Storyteller::new("all done")
        .calling("pay", serde_json::json!({}))
        .gate(gate);
    let pay = Ledger::default().tool("pay", &open()).confirm();
    Agent::builder("clerk", model).tool(pay).build().unwrap()
}

/// Whose child a run's actor is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Under {
    Ours,
    Foreign,
}

const BOTH: [Under; 2] = [Under::Ours, Under::Foreign];

async fn start(under: Under, runtime: &Runtime, agent: &Agent) -> Run {
    match under {
        Under::Ours => runtime.start(agent, "Go.").await.unwrap(),
        Under::Foreign => start_under(&foreign(false).await, runtime, agent).await,
    }
}

/// Waits until the model has said these words.
async fn said(run: &Run, words: &str) {
    until(
        run,
        |kind| matches!(kind, EventKind::Content { text } if **text == *words),
    )
    .await;
}

/// The run's actor, as soon as it has one.
async fn actor(run: &Run) -> ActorRef<RunMessage> {
    for _ in 0..1_000 {
        if let Some(actor) = run.actor() {
            return actor;
        }
        tokio::task::yield_now().await;
    }
    panic!("the run has no actor");
}

fn cancel(actor: &ActorRef<RunMessage>) {
    let message = RunMessage::Cancel(CancelRequest::default().by("a message"));
    actor.cast(message).unwrap();
}

/// Expects the ending and the closed connection now, without any time passing.
async fn over_at_once(run: &Run, probe: &Probe) -> Outcome {
    let before = Instant::now();
    let outcome = support::ended(run).await;
    assert_eq!(probe.open(), 0, "the model's stream is closed");
    assert_eq!(
        before.elapsed(),
        std::time::Duration::ZERO,
        "no time passes"
    );
    assert!(run.actor().is_none(), "a run that has ended has no actor");
    outcome
}

/// A hanging model's agent, and what watches it.
fn hanging_agent() -> (Agent, Probe) {
    let model = hanging();
    let probe = model.probe();
    (poet(model), probe)
}
