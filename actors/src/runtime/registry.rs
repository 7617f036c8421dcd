//! The runs of a runtime: which there are, and how they are found.

use std::{
    collections::HashMap,
    fmt,
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
    desk::{Bounds, Desk, Intents},
    launch::Launch,
    lookup::Lookup,
    messages::RuntimeMessage,
    paused::{PAUSED, PausedRun},
    reads::Reads,
    timer::Timer,
};
use crate::{
    agent::Agent,
    clock::Clock,
    error::EventsError,
    event::StatusChange,
    id::RunId,
    lock::locked,
    run::{
        counters::Counters,
        log::{RunLog, RuntimeEnv},
    },
    store::{DynStore, RunHead},
};

/// How many status changes a slow subscriber may be behind.
const CHANGES: usize = 4096;

/// Everything a runtime knows of its runs.
///
/// It asks the [`Desk`] under its lock, and does what that says after it. Its lock comes before that of a log, and no
/// user code runs under either.
pub(super) struct Registry {
    pub(super) config: RuntimeConfig,
    pub(super) env: Arc<RuntimeEnv>,
    pub(super) supervisor: OnceLock<ActorRef<RuntimeMessage>>,
    /// Notified whenever a run is gone.
    pub(super) gone: Notify,
    pub(super) changes: broadcast::Sender<StatusChange>,
    pub(super) runs: Mutex<Runs>,
    pub(super) agents: Agents,
    pub(super) lookup: Lookup,
    /// Itself, for what happens later.
    pub(super) me: Weak<Registry>,
}

pub(super) struct Runs {
    /// The law: which runs there are, and where each stands. What it knows by id is here.
    pub(super) desk: Desk,
    /// The runs that are not paused.
    pub(super) entries: HashMap<RunId, RunEntry>,
    /// Paused runs that are in memory, or of which something has to be.
    pub(super) paused: HashMap<RunId, PausedRun>,
    /// How many there may be before unused ones are looked for.
    pub(super) paused_before_tidying: usize,
    /// Paused runs that are being read.
    pub(super) reads: Reads,
}

/// A run that is under way: it waits, is running, or has an ending that is not stored yet.
pub(super) struct RunEntry {
    pub(super) log: Arc<RunLog>,
    /// Its agent; a paused run needs it to continue.
    pub(super) agent: Option<Agent>,
    /// What is to be launched when it has a slot.
    pub(super) launch: Option<Launch>,
    /// Ends its waiting for its session.
    pub(super) wait: Option<Timer>,
}

impl RunEntry {
    pub(super) fn of(log: Arc<RunLog>, agent: Option<Agent>, launch: Option<Launch>) -> RunEntry {
        RunEntry {
            log,
            agent,
            launch,
            wait: None,
        }
    }
}

/// What the law has to know of the settings.
fn desk(config: &RuntimeConfig) -> Desk {
    let bounds = Bounds {
        live: config.max_live_runs,
        live_per_user: config.max_live_runs_per_user,
        queued: config.max_queued_runs,
        waiting_in_session: config.max_waiting_in_session,
        child_depth: config.max_child_depth,
        children: config.max_children,
    };
    let intents = Intents::new(
        config.max_remembered_cancels,
        config.max_remembered_cancels_per_scope,
        config.remember_cancels_for,
    );
    Desk::new(bounds, intents)
}

impl Registry {
    pub(super) fn new(config: RuntimeConfig, store: Arc<dyn DynStore>) -> Arc<Registry> {
        Arc::new_cyclic(|me| Registry {
            env: Arc::new(RuntimeEnv {
                counters: Counters::default(),
                clock: Clock::new(),
                store,
                tokio: Handle::current(),
                store_patience: config.store_patience,
                together: Default::default(),
                alarm: Default::default(),
            }),
            runs: Mutex::new(Runs {
                desk: desk(&config),
                entries: HashMap::new(),
                paused: HashMap::new(),
                paused_before_tidying: PAUSED,
                reads: Reads::default(),
            }),
            config,
            supervisor: OnceLock::new(),
            gone: Notify::new(),
            changes: broadcast::channel(CHANGES).0,
            agents: Agents::default(),
            lookup: Lookup::default(),
            me: me.clone(),
        })
    }

    /// The log of a run that is live, waits, or has an ending that is not stored yet; or is paused and in memory.
    pub(super) fn find(&self, id: RunId) -> Option<Arc<RunLog>> {
        locked(&self.runs).find(id)
    }

    /// All logs of which something is still under way, those that wait first: who cancels them in this order begins
    /// none by it.
    pub(super) fn all(&self) -> Vec<Arc<RunLog>> {
        let runs = locked(&self.runs);
        let mut all: Vec<_> = runs.entries.iter().collect();
        all.sort_unstable_by_key(|(run, _)| runs.desk.phase(**run));
        all.into_iter()
            .map(|(_, entry)| entry.log.clone())
            .collect()
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

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        locked(&self.runs).desk.is_idle()
    }
}

impl Runs {
    /// The log of a run that is under way, or is paused and in memory.
    pub(super) fn find(&self, id: RunId) -> Option<Arc<RunLog>> {
        match self.entries.get(&id) {
            Some(entry) => Some(entry.log.clone()),
            None => self.paused.get(&id)?.log(),
        }
    }

    /// Whether the run of this id is still that of this log.
    pub(super) fn is_of(&self, log: &RunLog) -> bool {
        match self.entries.get(&log.id) {
            Some(entry) => std::ptr::eq(Arc::as_ptr(&entry.log), log),
            None => {
                let paused = self.paused.get(&log.id);
                paused.is_some_and(|paused| paused.is_of(log))
            }
        }
    }
}

/// How much is kept of what: nothing of a run is, once it is over.
impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = locked(&self.runs);
        let counts = runs.desk.counts();
        f.debug_struct("Runtime")
            .field("runs", &counts.under_way)
            .field("live", &counts.live)
            .field("queued", &counts.queued)
            .field("waiting", &counts.waiting)
            .field("sessions", &counts.sessions)
            .field("paused", &counts.paused)
            .field("reading", &runs.reads.len())
            .field("deleting", &counts.deleting)
            .finish_non_exhaustive()
    }
}
