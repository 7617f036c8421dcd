//! Starting runs, finding them, and ending them all.

mod admission;
mod agents;
mod builder;
mod cancel;
mod changes;
mod continue_run;
mod desk;
mod effects;
mod history;
mod launch;
mod lookup;
mod messages;
mod paused;
mod reads;
mod recover;
mod registry;
mod sessions;
mod shutdown;
mod single_flight;
mod start;
mod stats;
mod supervisor;
mod timer;
mod when_busy;

use std::{fmt, sync::Arc, time::Duration};

use ractor::ActorCell;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use self::registry::Registry;
pub use self::{
    builder::RuntimeBuilder,
    cancel::Scope,
    changes::Changes,
    continue_run::Decisions,
    messages::{RuntimeMessage, Subscriber},
    recover::Recovered,
    shutdown::{Shutdown, ShutdownReport},
    start::NewRun,
    stats::{EndedCount, Health, Histogram, RuntimeStats, StoreHealth},
    when_busy::WhenBusy,
};
pub use crate::run::RunInfo;
use crate::{
    agent::Agent,
    error::{EventsError, StartError},
    id::RunId,
    run::Run,
    settings::{optional, required},
    status::RunStatus,
    view::RunView,
};

/// Starts runs, finds them by id, and ends them.
///
/// Cheap to clone; all clones stand for the same runtime. There is no global state: two runtimes in one process do not
/// know of each other. Dropping the last clone cancels nothing: its runs continue until they end.
#[derive(Clone)]
pub struct Runtime {
    owner: Arc<Owner>,
}

/// What only the clones of a runtime share.
struct Owner {
    registry: Arc<Registry>,
    /// The runtime ends with its last run when this is dropped.
    keeps: bool,
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.keeps {
            self.registry.abandon();
        }
    }
}

/// The settings of a runtime. Zero means zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeConfig {
    /// How many runs may be live at a time. Default: 10,000.
    pub max_live_runs: usize,
    /// How many more may wait, for a slot or for their sessions. Default: 10,000.
    pub max_queued_runs: usize,
    /// How many runs may wait for one session. Default: 100.
    pub max_waiting_in_session: usize,
    /// How many runs of one user ([`NewRun::user`]) may be live at a time; more of them wait. Default: no limit.
    pub max_live_runs_per_user: Option<usize>,
    /// How deep runs that runs have started may be below the first one. Default: 16.
    pub max_child_depth: usize,
    /// How many runs that have not ended there may be below a root run, on all levels. Default: 1,000.
    pub max_children: usize,
    /// How long a run waits for its session before it is cancelled with the reason `SessionBusy`. Default: 10 minutes.
    #[serde(with = "optional")]
    pub session_wait: Option<Duration>,
    /// How many cancels of unknown runs are remembered; the oldest is forgotten first. Default: 10,000.
    pub max_remembered_cancels: usize,
    /// How many of them for one scope ([`NewRun::scope`]). Default: 100.
    pub max_remembered_cancels_per_scope: usize,
    /// How long such a cancel is remembered. Default: 10 minutes.
    #[serde(with = "required")]
    pub remember_cancels_for: Duration,
    /// How long a store that does not confirm is asked again before it counts as lost. Default: 10 seconds.
    #[serde(with = "required")]
    pub store_patience: Duration,
}

impl Default for RuntimeConfig {
    fn default() -> RuntimeConfig {
        RuntimeConfig {
            max_live_runs: 10_000,
            max_queued_runs: 10_000,
            max_waiting_in_session: 100,
            max_live_runs_per_user: None,
            max_child_depth: 16,
            max_children: 1_000,
            session_wait: Some(Duration::from_secs(10 * 60)),
            max_remembered_cancels: 10_000,
            max_remembered_cancels_per_scope: 100,
            remember_cancels_for: Duration::from_secs(10 * 60),
            store_patience: Duration::from_secs(10),
        }
    }
}

impl Runtime {
    /// A runtime with default settings that keeps what runs say in memory.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[allow(
        clippy::new_without_default,
        reason = "a runtime is a thing with tasks of its own, and not a value"
    )]
    pub fn new() -> Runtime {
        Runtime::builder().in_memory()
    }

    /// A runtime with settings, agents and a store of your own.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::default()
    }

    fn registry(&self) -> &Arc<Registry> {
        &self.owner.registry
    }

    /// Starts a run. It is accepted, and its first event stored, when this returns; it may still wait for a slot then.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing of the run is left behind, unless the error says so.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped while it waits for the store, the run continues, and is found by its id and in
    /// [`list`](Runtime::list).
    pub async fn start(&self, agent: &Agent, run: impl Into<NewRun>) -> Result<Run, StartError> {
        start::start(self.registry(), agent, run.into(), None).await
    }

    /// Starts a run as a child of your own actor. It is still a run of this runtime: it counts for its limits,
    /// is found by its id, and is kept by its store.
    ///
    /// A `stop` of the run's actor ends the run `Cancelled`, a `kill` ends it `Error`, and so does the end of your
    /// actor, which kills its children. Your actor has to override `handle_supervisor_evt`, since ractor's default
    /// stops it when a child ends. It learns of the run's end by the last event, never by supervision, which overtakes
    /// events that are still in the mailbox.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing of the run is left behind, unless the error says so.
    pub async fn start_linked(
        &self,
        agent: &Agent,
        run: impl Into<NewRun>,
        supervisor: ActorCell,
    ) -> Result<Run, StartError> {
        start::start(self.registry(), agent, run.into(), Some(supervisor)).await
    }

    /// The run of this id: one that runs or waits here, one that is paused, one that has ended and is still kept, or
    /// one that is not this runtime's. Of a run that is not in memory the store is asked where it stands; its events
    /// are not read. A run that is just being started is given as soon as its start is stored.
    ///
    /// # Errors
    ///
    /// [`EventsError::Read`] when the store could not be read.
    pub async fn get(&self, id: RunId) -> Result<Option<Run>, EventsError> {
        Ok(self.registry().look_up(id).await?.run())
    }

    /// What the stored events of the run of this id come to by now ([`Run::view`]).
    ///
    /// # Errors
    ///
    /// [`EventsError`] when they could not be read.
    pub async fn view(&self, id: RunId) -> Result<Option<RunView>, EventsError> {
        match self.get(id).await? {
            Some(run) => run.view().await.map(Some),
            None => Ok(None),
        }
    }

    /// All runs that are running or wait for a slot or their session, in no order. Paused runs are not among them: ask
    /// [`runs`](Runtime::runs) for [`RunQuery::unfinished`](crate::store::RunQuery::unfinished).
    pub fn list(&self) -> Vec<RunInfo> {
        let now = Instant::now();
        self.registry()
            .all()
            .into_iter()
            .map(|log| log.info(now))
            .filter(|info| !info.status.is_ended() && info.status != RunStatus::Paused)
            .collect()
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.registry().fmt(f)
    }
}
