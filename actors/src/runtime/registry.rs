//! The runs of a runtime: which there are, and how they are found.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt, mem,
    sync::{Arc, Mutex, OnceLock, Weak},
};

use ractor::ActorRef;
use tokio::{
    runtime::Handle,
    sync::{Notify, broadcast},
};

use super::{
    RuntimeConfig,
    agents::Agents,
    cancel::Remembered,
    launch::{Launch, SupervisorMsg},
    paused::PausedRun,
    reads::Reads,
    session_queue::SessionQueues,
};
use crate::{
    agent::Agent,
    clock::Clock,
    error::EventsError,
    event::StatusChange,
    id::RunId,
    lock::locked,
    run::log::{RunLog, RuntimeEnv},
    store::{DynStore, RunHead},
};

/// How many status changes a slow subscriber may be behind.
const CHANGES: usize = 4096;

/// Everything a runtime knows of its runs.
///
/// Its lock comes before that of a log, and no user code runs under either.
pub(super) struct Registry {
    pub(super) config: RuntimeConfig,
    pub(super) env: Arc<RuntimeEnv>,
    pub(super) supervisor: OnceLock<ActorRef<SupervisorMsg>>,
    /// Told whenever a run is gone.
    pub(super) gone: Notify,
    pub(super) changes: broadcast::Sender<StatusChange>,
    pub(super) runs: Mutex<Runs>,
    pub(super) agents: Agents,
    /// Itself, for what happens later.
    pub(super) me: Weak<Registry>,
}

#[derive(Default)]
pub(super) struct Runs {
    pub(super) known: HashMap<RunId, Known>,
    /// How many have a slot.
    pub(super) live: usize,
    /// Those that wait for a slot, in the order in which they came.
    pub(super) queue: BTreeMap<u64, Launch>,
    pub(super) tickets: u64,
    /// Who holds which session, and who waits for it.
    pub(super) sessions_held: SessionQueues,
    /// Sessions that are being deleted.
    pub(super) deleted: HashSet<Arc<str>>,
    /// Paused runs that are in memory, or of which something has to be.
    pub(super) paused: HashMap<RunId, PausedRun>,
    /// Paused runs that are being read.
    pub(super) reads: Reads,
    pub(super) closed: bool,
    /// No handle of the runtime is left: the supervisor goes with the last run.
    pub(super) abandoned: bool,
    pub(super) remembered: Remembered,
}

pub(super) struct Known {
    pub(super) log: Arc<RunLog>,
    /// Who works for it, once it is paused.
    pub(super) agent: Option<Agent>,
    pub(super) place: RunPlace,
    /// The session that it holds.
    pub(super) holds: Option<Arc<str>>,
    /// A run that has a slot waits for it, so that it is not to wait for one.
    pub(super) child: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RunPlace {
    /// It waits for its session.
    Waiting,
    /// It waits for a slot.
    Queued(u64),
    Live,
    /// It is paused, and that is not stored yet.
    Paused,
    /// It has ended, and its ending is not stored yet.
    Over,
}

impl Registry {
    pub(super) fn new(config: RuntimeConfig, store: Arc<dyn DynStore>) -> Arc<Registry> {
        Arc::new_cyclic(|me| Registry {
            env: Arc::new(RuntimeEnv {
                clock: Clock::new(),
                store,
                tokio: Handle::current(),
                store_patience: config.store_patience,
            }),
            config,
            supervisor: OnceLock::new(),
            gone: Notify::new(),
            changes: broadcast::channel(CHANGES).0,
            runs: Mutex::default(),
            agents: Agents::default(),
            me: me.clone(),
        })
    }

    /// The log of a run that is live, waits, or has an ending that is not stored yet; or is paused and in memory.
    pub(super) fn find(&self, id: RunId) -> Option<Arc<RunLog>> {
        locked(&self.runs).find(id)
    }

    /// The log of a known run, or else what `remember` does under the same lock.
    pub(super) fn find_or<T>(
        &self,
        id: RunId,
        otherwise: impl FnOnce(&mut Remembered) -> T,
    ) -> Result<Arc<RunLog>, T> {
        let mut runs = locked(&self.runs);
        match runs.find(id) {
            Some(log) => Ok(log),
            None => Err(otherwise(&mut runs.remembered)),
        }
    }

    /// Does something to the remembered cancels.
    pub(super) fn remembered<T>(&self, change: impl FnOnce(&mut Remembered) -> T) -> T {
        change(&mut locked(&self.runs).remembered)
    }

    /// All logs of which something is still under way, those that wait first: who cancels them in this order begins none
    /// by it.
    pub(super) fn all(&self) -> Vec<Arc<RunLog>> {
        let runs = locked(&self.runs);
        let mut all: Vec<_> = runs.known.values().collect();
        all.sort_unstable_by_key(|known| known.place);
        all.into_iter().map(|known| known.log.clone()).collect()
    }

    /// Where a stored run stands.
    pub(super) async fn head(&self, id: RunId) -> Result<Option<RunHead>, EventsError> {
        self.env
            .store
            .clone()
            .head(id)
            .await
            .map_err(EventsError::from)
    }

    pub(super) fn changes(&self) -> broadcast::Receiver<StatusChange> {
        self.changes.subscribe()
    }

    /// Accepts no more runs.
    pub(super) fn close(&self) {
        locked(&self.runs).closed = true;
    }

    /// Ends whatever waits.
    pub(super) fn empty_queue(&self) {
        let (queue, waiting) = {
            let mut runs = locked(&self.runs);
            (mem::take(&mut runs.queue), runs.sessions_held.empty())
        };
        drop(queue);
        drop(waiting);
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        locked(&self.runs).known.is_empty()
    }

    /// The last handle is gone.
    pub(super) fn abandon(&self) {
        locked(&self.runs).abandoned = true;
        self.stop_if_left();
    }

    /// Stops the supervisor when nobody can start a run and none is left.
    pub(super) fn stop_if_left(&self) {
        let left = {
            let runs = locked(&self.runs);
            runs.abandoned && runs.known.is_empty()
        };
        if !left {
            return;
        }
        self.drop_family_logs();
        if let Some(supervisor) = self.supervisor.get() {
            supervisor.stop(None);
        }
    }
}

impl Runs {
    /// The log of a run that is under way, or is paused and in memory.
    pub(super) fn find(&self, id: RunId) -> Option<Arc<RunLog>> {
        match self.known.get(&id) {
            Some(known) => Some(known.log.clone()),
            None => self.paused.get(&id)?.log(),
        }
    }
}

/// How much is kept of what: nothing of a run is, once it is over.
impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = locked(&self.runs);
        f.debug_struct("Runtime")
            .field("runs", &runs.known.len())
            .field("live", &runs.live)
            .field("queued", &runs.queue.len())
            .field("waiting", &runs.sessions_held.all_waiting())
            .field("sessions", &runs.sessions_held.len())
            .field("paused", &runs.paused.len())
            .field("reading", &runs.reads.len())
            .field("deleting", &runs.deleted.len())
            .finish_non_exhaustive()
    }
}

/// An agent is what a user wrote, and may panic when it is dropped.
pub(super) fn report(dropped: Result<(), String>) {
    if let Err(fault) = dropped {
        tracing::error!(fault, "an agent could not be dropped");
    }
}
