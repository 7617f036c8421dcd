//! The runs of a runtime: which there are, which has a slot, and which waits for one.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::{Arc, Mutex, OnceLock},
};

use ractor::{ActorRef, MessagingErr};
use tokio::{
    runtime::Handle,
    sync::{Notify, broadcast},
};

use super::{
    RuntimeConfig,
    cancel::{Intent, Remembered},
    launch::{Launch, SupervisorMsg},
};
use crate::{
    clock::Clock,
    error::{EventsError, StartError},
    event::StatusChange,
    id::RunId,
    lock::locked,
    run::log::{House, Keeper, RunLog},
    store::{DynStore, ReadError, RunHead},
};

/// How many status changes a slow subscriber may be behind.
const CHANGES: usize = 4096;

/// Everything a runtime knows of its runs.
pub(super) struct Registry {
    pub(super) config: RuntimeConfig,
    pub(super) house: Arc<House>,
    pub(super) supervisor: OnceLock<ActorRef<SupervisorMsg>>,
    /// Told whenever the last run is gone.
    pub(super) idle: Notify,
    changes: broadcast::Sender<StatusChange>,
    runs: Mutex<Runs>,
}

#[derive(Default)]
struct Runs {
    known: HashMap<RunId, Known>,
    /// How many have a slot.
    live: usize,
    /// Those that wait, in the order in which they came.
    queue: BTreeMap<u64, Launch>,
    tickets: u64,
    closed: bool,
    /// No handle of the runtime is left: the supervisor goes with the last run.
    abandoned: bool,
    remembered: Remembered,
}

struct Known {
    log: Arc<RunLog>,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Live,
    Queued(u64),
    /// It has ended, and its ending is not stored yet.
    Over,
}

/// A run that was accepted.
pub(super) struct Accepted {
    pub(super) log: Arc<RunLog>,
    /// What to launch now; without it the run waits, or has ended already.
    pub(super) launch: Option<Launch>,
    /// The remembered cancel that ended it.
    pub(super) intent: Option<Intent>,
}

impl Registry {
    pub(super) fn new(config: RuntimeConfig, store: Arc<dyn DynStore>) -> Arc<Registry> {
        Arc::new(Registry {
            house: Arc::new(House {
                clock: Clock::new(),
                store,
                tokio: Handle::current(),
                store_patience: config.store_patience,
            }),
            config,
            supervisor: OnceLock::new(),
            idle: Notify::new(),
            changes: broadcast::channel(CHANGES).0,
            runs: Mutex::default(),
        })
    }

    /// Accepts a run under the lock that keeps its id unique: with a slot, or into the queue. One whose cancel is
    /// remembered takes neither.
    pub(super) fn accept(
        &self,
        id: RunId,
        make: impl FnOnce() -> (Arc<RunLog>, Launch),
    ) -> Result<Accepted, StartError> {
        let mut runs = locked(&self.runs);
        if runs.closed {
            return Err(StartError::ShuttingDown);
        }
        if runs.known.contains_key(&id) {
            return Err(StartError::DuplicateRun(id));
        }
        let remembered = runs.remembered.take(id, &self.config);
        let slot = runs.live < self.config.max_live_runs;
        if remembered.is_none() && !slot && runs.queue.len() >= self.config.max_queued_runs {
            return Err(StartError::QueueFull {
                live: runs.live,
                queued: runs.queue.len(),
            });
        }
        let (log, launch) = make();
        let mut launch = Some(launch);
        let place = if remembered.is_some() {
            Place::Over
        } else if slot {
            runs.live += 1;
            Place::Live
        } else {
            runs.tickets += 1;
            let ticket = runs.tickets;
            runs.queue
                .extend(launch.take().map(|launch| (ticket, launch)));
            Place::Queued(ticket)
        };
        let known = Known {
            log: log.clone(),
            place,
        };
        runs.known.insert(id, known);
        drop(runs);

        if let Some((_, cancel)) = &remembered {
            log.cancel(cancel);
            launch = None;
        }
        Ok(Accepted {
            log,
            launch,
            intent: remembered,
        })
    }

    /// Hands a run to the supervisor.
    pub(super) fn launch(&self, launch: Launch) {
        launch.log().admit();
        let message = SupervisorMsg::Launch(Box::new(launch));
        let refused = match self.supervisor.get() {
            Some(supervisor) => supervisor.cast(message).err(),
            None => Some(MessagingErr::SendErr(message)),
        };
        if refused.is_some() {
            // Nobody can launch a run any more. The queue is taken whole before a guard in it is dropped: a guard frees a
            // slot, and would otherwise launch the next run, whose guard would do the same, one inside the other.
            self.close();
            drop(self.empty_queue());
        }
        drop(refused);
    }

    /// The log of a run that is live, waits, or has an ending that is not stored yet.
    pub(super) fn find(&self, id: RunId) -> Option<Arc<RunLog>> {
        locked(&self.runs)
            .known
            .get(&id)
            .map(|known| known.log.clone())
    }

    /// The log of a known run, or else what `remember` does under the same lock.
    pub(super) fn find_or<T>(
        &self,
        id: RunId,
        otherwise: impl FnOnce(&mut Remembered) -> T,
    ) -> Result<Arc<RunLog>, T> {
        let mut runs = locked(&self.runs);
        match runs.known.get(&id) {
            Some(known) => Ok(known.log.clone()),
            None => Err(otherwise(&mut runs.remembered)),
        }
    }

    /// Does something to the remembered cancels.
    pub(super) fn remembered<T>(&self, change: impl FnOnce(&mut Remembered) -> T) -> T {
        change(&mut locked(&self.runs).remembered)
    }

    /// All logs of which something is still under way.
    pub(super) fn all(&self) -> Vec<Arc<RunLog>> {
        let runs = locked(&self.runs);
        runs.known.values().map(|known| known.log.clone()).collect()
    }

    /// Where a stored run stands.
    pub(super) async fn head(&self, id: RunId) -> Result<Option<RunHead>, EventsError> {
        self.house
            .store
            .clone()
            .head(id)
            .await
            .map_err(|error| match error {
                ReadError::Expired { first } => EventsError::Expired { first },
                ReadError::Failed(message) => EventsError::Read { message },
            })
    }

    pub(super) fn changes(&self) -> broadcast::Receiver<StatusChange> {
        self.changes.subscribe()
    }

    /// Accepts no more runs.
    pub(super) fn close(&self) {
        locked(&self.runs).closed = true;
    }

    /// Takes out whatever waits. Dropping it ends those runs.
    pub(super) fn empty_queue(&self) -> BTreeMap<u64, Launch> {
        mem::take(&mut locked(&self.runs).queue)
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
    fn stop_if_left(&self) {
        let left = {
            let runs = locked(&self.runs);
            runs.abandoned && runs.known.is_empty()
        };
        if left && let Some(supervisor) = self.supervisor.get() {
            supervisor.stop(None);
        }
    }
}

impl Keeper for Registry {
    fn ended(&self, run: RunId) {
        let mut runs = locked(&self.runs);
        // What waited is dropped outside the lock: it is a guard, and guards come back here.
        let gone = runs.leave(run);
        let next = runs.next(self.config.max_live_runs);
        drop(runs);
        drop(gone);
        if let Some(launch) = next {
            self.launch(launch);
        }
    }

    fn settled(&self, run: RunId) {
        // The ending may have been stored before whoever decided it came to say so.
        self.ended(run);
        let (gone, idle) = {
            let mut runs = locked(&self.runs);
            (runs.known.remove(&run), runs.known.is_empty())
        };
        drop(gone);
        if idle {
            self.idle.notify_waiters();
        }
        self.stop_if_left();
    }

    fn changed(&self, change: StatusChange) {
        // Nobody may be listening.
        let _ = self.changes.send(change);
    }
}

impl Runs {
    /// Takes back the slot, or the place in the queue, of a run that has ended.
    fn leave(&mut self, run: RunId) -> Option<Launch> {
        let known = self.known.get_mut(&run)?;
        match mem::replace(&mut known.place, Place::Over) {
            Place::Live => {
                self.live -= 1;
                None
            }
            Place::Queued(ticket) => self.queue.remove(&ticket),
            Place::Over => None,
        }
    }

    /// The next run to launch, when there is a slot for it.
    fn next(&mut self, max_live: usize) -> Option<Launch> {
        if self.live >= max_live {
            return None;
        }
        let (_, launch) = self.queue.pop_first()?;
        if let Some(known) = self.known.get_mut(&launch.log().id) {
            known.place = Place::Live;
            self.live += 1;
        }
        Some(launch)
    }
}
