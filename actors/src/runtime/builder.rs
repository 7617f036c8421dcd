//! The door of a runtime: its settings, its agents, and the one way to open a store.

use std::{fmt, sync::Arc};

use ractor::ActorCell;

use super::{
    Owner, Runtime, RuntimeConfig,
    recover::{EndProcess, Recovered},
    registry::Registry,
    supervisor,
};
use crate::{
    agent::Agent,
    error::OpenError,
    event::ToolCallProcess,
    store::{DynStore, InTokio, MemoryStore, Store},
};

/// Makes a [`Runtime`]; see [`Runtime::builder`].
#[derive(Clone, Default)]
pub struct RuntimeBuilder {
    config: RuntimeConfig,
    agents: Vec<Agent>,
    end_process: Option<EndProcess>,
    parent: Option<ActorCell>,
}

impl RuntimeBuilder {
    /// Sets the settings.
    pub fn config(mut self, config: RuntimeConfig) -> RuntimeBuilder {
        self.config = config;
        self
    }

    /// Makes an agent known, as [`Runtime::add_agent`] does. Runs of it that an earlier process left behind then
    /// continue: those that had not begun are queued again, those that were running are resumed if the agent says so
    /// ([`OnCrash::Resume`](crate::agent::OnCrash::Resume)), and those that are paused can be continued.
    pub fn agent(mut self, agent: &Agent) -> RuntimeBuilder {
        self.agents.push(agent.clone());
        self
    }

    /// Makes several agents known.
    pub fn agents<'a>(mut self, agents: impl IntoIterator<Item = &'a Agent>) -> RuntimeBuilder {
        self.agents.extend(agents.into_iter().cloned());
        self
    }

    /// Says how to end a program that a tool of an earlier process left running. `end` is called for each of them
    /// before its run is settled, on a thread that may block. If it panics, that is logged, and the run is settled all
    /// the same.
    pub fn end_processes(
        mut self,
        end: impl Fn(&ToolCallProcess) + Send + Sync + 'static,
    ) -> RuntimeBuilder {
        self.end_process = Some(Arc::new(end));
        self
    }

    /// Makes the runtime's supervisor a child of your own actor. It stops with that actor, and running runs then end.
    /// Under an actor that has stopped already every start returns
    /// [`StartError::ShuttingDown`](crate::error::StartError::ShuttingDown).
    pub fn under(mut self, actor: ActorCell) -> RuntimeBuilder {
        self.parent = Some(actor);
        self
    }

    /// A runtime that keeps what runs say in memory.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn in_memory(self) -> Runtime {
        self.make(InTokio::here(MemoryStore::default()))
    }

    /// A runtime that keeps what runs say in `store`.
    ///
    /// What an earlier process left unfinished there is settled before this returns. Such a run ends `Cancelled` if it
    /// had been asked to stop, it is queued again if it had not begun, it stays as it is if it waits for a person, and
    /// otherwise it ends `Error`, or is resumed if its agent says so. Runs of agents that are not known here end.
    ///
    /// The store must not be in use by another runtime: the unfinished runs of that one would be taken away from it.
    ///
    /// ```
    /// use quell_actors::{Agent, Runtime, runtime::RuntimeConfig, sim::Storyteller, store::MemoryStore};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = MemoryStore::default();
    /// let poet = Agent::new("poet", Storyteller::endless());
    /// let (runtime, recovered) = Runtime::builder()
    ///     .config(RuntimeConfig { max_live_runs: 100, ..RuntimeConfig::default() })
    ///     .agent(&poet)
    ///     .open(store)
    ///     .await?;
    /// assert!(recovered.failed.is_empty());
    /// # drop(runtime);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the unfinished runs could not be listed. A single run that cannot be settled is no error: see
    /// [`Recovered::failed`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, some runs are settled and the others are as they were: open the store again.
    pub async fn open(self, store: impl Store) -> Result<(Runtime, Recovered), OpenError> {
        let end_process = self.end_process.clone();
        let runtime = self.make(InTokio::here(store));
        let recovered = runtime.recover(end_process.as_ref()).await;
        Ok((runtime, recovered.map_err(OpenError::List)?))
    }

    fn make(self, store: Arc<dyn DynStore>) -> Runtime {
        let registry = Registry::new(self.config, store);
        supervisor::spawn(&registry, self.parent);
        let runtime = Runtime {
            owner: Arc::new(Owner {
                registry,
                keeps: true,
            }),
        };
        for agent in &self.agents {
            runtime.add_agent(agent);
        }
        runtime
    }
}

impl fmt::Debug for RuntimeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeBuilder")
            .field("config", &self.config)
            .field("agents", &self.agents)
            .finish_non_exhaustive()
    }
}
