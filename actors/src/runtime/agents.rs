//! The catalogue of agents by name.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use super::{Runtime, effects::report};
use crate::{agent::Agent, lock::locked, run::actor::quietly_drop};

/// The agents that a runtime knows. Its lock is a leaf: nothing else is locked under it.
#[derive(Default)]
pub(super) struct Agents(Mutex<BTreeMap<Arc<str>, Agent>>);

impl Agents {
    pub(super) fn get(&self, name: &str) -> Option<Agent> {
        locked(&self.0).get(name).cloned()
    }
}

impl Runtime {
    /// Makes an agent known: it is found by its name, and runs of it that are paused can be continued in this process,
    /// wherever they were started. An agent of the same name is replaced.
    ///
    /// Starting a run does not need it.
    pub fn add_agent(&self, agent: &Agent) {
        let agents = &self.registry().agents.0;
        let before = locked(agents).insert(agent.shared_name(), agent.clone());
        report(quietly_drop(before));
    }

    /// The known agent of this name.
    pub fn agent(&self, name: &str) -> Option<Agent> {
        self.registry().agents.get(name)
    }

    /// The agents that were made known, by [`add_agent`](Runtime::add_agent) or
    /// [`RuntimeBuilder::agent`](super::RuntimeBuilder::agent), ordered by name.
    pub fn agents(&self) -> Vec<Agent> {
        locked(&self.registry().agents.0)
            .values()
            .cloned()
            .collect()
    }
}
