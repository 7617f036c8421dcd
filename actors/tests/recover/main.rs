//! Recovery: whenever a process dies, each of its runs is settled once, and no call is repeated that must not be.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod before;
mod crash;
mod cuts;
mod faults;
mod fences;
mod many;
mod poison;
mod same;
mod settled;
mod told;

use quell_actors::{Agent, Runtime, runtime::Recovered, sim::Storyteller};

use crate::support::{opened, shared::SharedStore};

async fn on(store: &SharedStore) -> Runtime {
    opened(Default::default(), store.clone()).await
}

/// Opens the store as the next process does.
async fn reopened(store: &SharedStore, agents: &[&Agent]) -> (Runtime, Recovered) {
    let recover = agents
        .iter()
        .fold(Runtime::builder(), |recover, agent| recover.agent(agent));
    recover.open(store.another()).await.unwrap()
}

/// An agent whose model connects and then produces nothing.
fn hanging() -> Agent {
    support::poet(Storyteller::endless().stall_at(0))
}
