//! Pause and continue: a run that waits for a person does no work, leaves memory, and is continued exactly once.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod after;
mod answers;
mod decisions;
mod expiry;
mod found;
mod memory;
mod nosy;
mod places;
mod races;
mod watching;

use quell_actors::{
    Agent, EventKind, NewRun, Run, RunStatus, Runtime, agent::AgentBuilder, runtime::Decisions,
    sim::Storyteller,
};

use crate::support::{
    opened,
    shared::SharedStore,
    tools::{Ledger, open},
    until,
};

/// A model that calls `pay`, and then says that it is done.
fn payer() -> Storyteller {
    Storyteller::new("all done")
        .saying_first("let me see")
        .calling("pay", serde_json::json!({ "euros": 5 }))
}

/// An agent whose tool `pay` needs approval.
fn clerk(ledger: &Ledger) -> Agent {
    with_pay(payer(), ledger).build().unwrap()
}

fn with_pay(model: Storyteller, ledger: &Ledger) -> AgentBuilder {
    Agent::builder("clerk", model).tool(ledger.tool("pay", &open()).confirm())
}

/// The only call of [`payer`].
const CALL: &str = "call-1-0";

fn approve() -> Decisions {
    Decisions::new().approve(CALL)
}

/// Starts a run and waits until its pause is stored.
async fn paused(runtime: &Runtime, agent: &Agent, run: impl Into<NewRun>) -> Run {
    let run = runtime.start(agent, run).await.unwrap();
    until(&run, |kind| matches!(kind, EventKind::Paused(_))).await;
    support::settle().await;
    assert_eq!(run.status(), RunStatus::Paused);
    run
}

async fn on(store: &SharedStore) -> Runtime {
    opened(Default::default(), store.clone()).await
}
