//! The runs of a runtime: which there are, which has a slot, and which waits for one.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
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
    lanes::{Lanes, Waiting, WhenBusy},
    launch::{Launch, SupervisorMsg},
    parked::Parked,
    timer::Timer,
};
use crate::{
    agent::Agent,
    cancel::{CancelReason, CancelRequest},
    clock::Clock,
    error::{EventsError, StartError},
    event::StatusChange,
    id::RunId,
    lock::locked,
    run::{
        actor::quietly_drop,
        log::{House, Keeper, RunLog},
    },
    store::{DynStore, RunHead},
};

/// How many status changes a slow subscriber may be behind.
const CHANGES: usize = 4096;

/// Everything a runtime knows of its runs.
pub(super) struct Registry {
    pub(super) config: RuntimeConfig,
    pub(super) house: Arc<House>,
    pub(super) supervisor: OnceLock<ActorRef<SupervisorMsg>>,
    /// Told whenever a run is gone.
    pub(super) gone: Notify,
    changes: broadcast::Sender<StatusChange>,
    pub(super) runs: Mutex<Runs>,
}

#[derive(Default)]
pub(super) struct Runs {
    pub(super) known: HashMap<RunId, Known>,
    /// How many have a slot.
    live: usize,
    /// Those that wait for a slot, in the order in which they came.
    queue: BTreeMap<u64, Launch>,
    tickets: u64,
    /// Who holds which session, and who waits for it.
    lanes: Lanes,
    /// Sessions that are being deleted.
    pub(super) deleted: HashSet<Arc<str>>,
    /// Paused runs that are in memory, or whose agent is.
    pub(super) parked: HashMap<RunId, Parked>,
    /// Agents that runs which come back may ask for.
    pub(super) agents: HashMap<Arc<str>, Agent>,
    pub(super) closed: bool,
    /// No handle of the runtime is left: the supervisor goes with the last run.
    abandoned: bool,
    remembered: Remembered,
}

pub(super) struct Known {
    pub(super) log: Arc<RunLog>,
    /// Who works for it, once it is paused.
    pub(super) agent: Option<Agent>,
    place: Place,
    /// The session that it holds.
    holds: Option<Arc<str>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Live,
    Queued(u64),
    /// It waits for its session.
    Waiting,
    /// It is paused, and that is not stored yet.
    Paused,
    /// It has ended, and its ending is not stored yet.
    Over,
}

/// What a run asks of the registry beside a slot.
pub(super) struct Asks {
    pub(super) session: Option<Arc<str>>,
    pub(super) when_busy: WhenBusy,
    /// The run that starts it: it has a slot already, and waits for this one.
    pub(super) parent: Option<RunId>,
}

/// A run that was accepted.
pub(super) struct Accepted {
    pub(super) log: Arc<RunLog>,
    /// What to launch now; without it the run waits, or has ended already.
    pub(super) launch: Option<Launch>,
    /// Runs that have to give way to it.
    pub(super) superseded: Vec<Arc<RunLog>>,
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
            gone: Notify::new(),
            changes: broadcast::channel(CHANGES).0,
            runs: Mutex::default(),
        })
    }

    /// Accepts a run under the lock that keeps its id unique: with a slot, into the queue, or to wait for its session. One
    /// whose cancel is remembered takes none of these.
    pub(super) fn accept(
        &self,
        id: RunId,
        asks: Asks,
        make: impl FnOnce() -> (Arc<RunLog>, Launch),
    ) -> Result<Accepted, StartError> {
        let mut runs = locked(&self.runs);
        if runs.closed {
            return Err(StartError::ShuttingDown);
        }
        if runs.known.contains_key(&id) || runs.parked.contains_key(&id) {
            return Err(StartError::DuplicateRun(id));
        }
        let parent = match asks.parent {
            Some(parent) => match runs.known.get(&parent) {
                Some(known) => Some(known.log.clone()),
                None => return Err(StartError::ParentEnded(parent)),
            },
            None => None,
        };
        let remembered = runs.remembered.take(id, &self.config);
        let entry = match remembered {
            Some(_) => Entry::Over,
            None => self.entry(&runs, &asks, parent.as_deref())?,
        };
        let (log, launch) = make();
        if parent.is_some_and(|parent| !parent.adopt(&log)) {
            drop(runs);
            drop(launch);
            return Err(StartError::ParentEnded(asks.parent.unwrap_or(id)));
        }
        let superseded = match (&entry, &asks.session) {
            (Entry::Wait { first: true }, Some(session)) => {
                let holders = runs.lanes.holders(session).unwrap_or_default();
                let holders = holders.iter().filter_map(|holder| runs.known.get(holder));
                holders.map(|known| known.log.clone()).collect()
            }
            (Entry::Over | Entry::Begin | Entry::Wait { .. }, _) => Vec::new(),
        };
        let known = Known {
            log: log.clone(),
            agent: None,
            place: Place::Over,
            holds: None,
        };
        runs.known.insert(id, known);
        let launch = match entry {
            Entry::Over => None,
            Entry::Begin => {
                runs.hold(id, asks.session);
                runs.place(launch, self.config.max_live_runs, asks.parent.is_some())
            }
            Entry::Wait { first } => {
                if let Some(session) = asks.session {
                    self.wait(&mut runs, &session, launch, first);
                }
                None
            }
        };
        drop(runs);

        if let Some((_, cancel)) = &remembered {
            log.cancel(cancel);
        }
        Ok(Accepted {
            log,
            launch,
            superseded,
            intent: remembered,
        })
    }

    /// How a run comes in, or why it does not.
    fn entry(
        &self,
        runs: &Runs,
        asks: &Asks,
        parent: Option<&RunLog>,
    ) -> Result<Entry, StartError> {
        if let Some(session) = &asks.session {
            if runs.deleted.contains(session) {
                return Err(StartError::SessionDeleted(session.clone()));
            }
            // A run that waited for the session of the run that waits for it would wait for ever.
            let of_parent = parent.is_some_and(|log| log.session_id.as_ref() == Some(session));
            if runs.lanes.holders(session).is_some() && !of_parent {
                match asks.when_busy {
                    WhenBusy::Reject => return Err(StartError::SessionBusy(session.clone())),
                    WhenBusy::Queue | WhenBusy::Interrupt => {
                        self.check_queue(runs)?;
                        if runs.lanes.waiting(session) >= self.config.max_waiting_in_session {
                            return Err(StartError::SessionQueueFull(session.clone()));
                        }
                        let first = asks.when_busy == WhenBusy::Interrupt;
                        return Ok(Entry::Wait { first });
                    }
                    WhenBusy::Parallel => {}
                }
            }
        }
        if parent.is_none() && runs.live >= self.config.max_live_runs {
            self.check_queue(runs)?;
        }
        Ok(Entry::Begin)
    }

    fn check_queue(&self, runs: &Runs) -> Result<(), StartError> {
        let queued = runs.queue.len() + runs.lanes.all_waiting();
        if queued >= self.config.max_queued_runs {
            return Err(StartError::QueueFull {
                live: runs.live,
                queued,
            });
        }
        Ok(())
    }

    /// Has a run wait for its session, for as long as it may.
    fn wait(&self, runs: &mut Runs, session: &Arc<str>, launch: Launch, first: bool) {
        let id = launch.log().id;
        let timer = self.config.session_wait.map(|wait| {
            let log = Arc::downgrade(launch.log());
            Timer::new(&self.house.tokio, wait, move || {
                if let Some(log) = log.upgrade() {
                    log.cancel(&CancelRequest::new(CancelReason::SessionBusy).by("session_wait"));
                }
            })
        });
        if let Some(known) = runs.known.get_mut(&id) {
            known.place = Place::Waiting;
        }
        runs.lanes.wait(session, Waiting { launch, timer }, first);
    }

    /// Takes a paused run back, which `goes_on` decides under the lock: with a slot, into the queue, or to wait for its
    /// session.
    pub(super) fn readmit<T, E: From<StartError>>(
        &self,
        log: &Arc<RunLog>,
        goes_on: impl FnOnce() -> Result<(T, Launch), E>,
    ) -> Result<(T, Option<Launch>), E> {
        let mut runs = locked(&self.runs);
        if runs.closed {
            return Err(StartError::ShuttingDown.into());
        }
        if runs.live >= self.config.max_live_runs {
            self.check_queue(&runs)?;
        }
        if let Some(session) = &log.session_id
            && runs.deleted.contains(session)
        {
            return Err(StartError::SessionDeleted(session.clone()).into());
        }
        let (decided, launch) = goes_on()?;
        // The parked run's timer is dropped outside the lock.
        let parked = runs.parked.remove(&log.id);
        let before = runs.known.remove(&log.id);
        let holds = before.as_ref().and_then(|known| known.holds.clone());
        let free = holds.is_some();
        let known = Known {
            log: log.clone(),
            agent: None,
            place: Place::Over,
            holds,
        };
        runs.known.insert(log.id, known);
        let launch = match &log.session_id {
            Some(session) if !free && runs.lanes.holders(session).is_some() => {
                self.wait(&mut runs, session, launch, false);
                None
            }
            session => {
                if !free {
                    runs.hold(log.id, session.clone());
                }
                runs.place(launch, self.config.max_live_runs, false)
            }
        };
        drop(runs);
        report(quietly_drop((parked, before)));
        Ok((decided, launch))
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
            self.empty_queue();
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
        let parked = || runs.parked.get(&id).and_then(Parked::log);
        match runs
            .known
            .get(&id)
            .map(|known| known.log.clone())
            .or_else(parked)
        {
            Some(log) => Ok(log),
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
            (mem::take(&mut runs.queue), runs.lanes.empty())
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

impl Registry {
    /// Takes a run's place back, and gives it to the next.
    fn leaves(&self, run: RunId, to: Place) {
        let mut runs = locked(&self.runs);
        // What waited is dropped outside the lock: it is a guard, and guards come back here.
        let gone = runs.leave(run, to);
        let next = runs.next(self.config.max_live_runs);
        drop(runs);
        drop(gone);
        if let Some(launch) = next {
            self.launch(launch);
        }
    }

    /// Takes a run out, and gives its session to the next.
    fn forget(&self, run: RunId, then: impl FnOnce(&mut Runs, &mut Known)) {
        let mut runs = locked(&self.runs);
        let Some(mut known) = runs.known.remove(&run) else {
            return;
        };
        then(&mut runs, &mut known);
        let next = known.holds.as_ref().and_then(|session| {
            let Waiting { launch, timer } = runs.lanes.release(session, run)?;
            let next = launch.log().id;
            if let Some(known) = runs.known.get_mut(&next) {
                known.holds = Some(session.clone());
            }
            let launch = runs.place(launch, self.config.max_live_runs, false);
            Some((launch, timer))
        });
        drop(runs);
        report(quietly_drop(known));
        self.gone.notify_waiters();
        if let Some((Some(launch), _timer)) = next {
            self.launch(launch);
        }
    }
}

impl Keeper for Registry {
    fn ended(&self, run: RunId) {
        self.leaves(run, Place::Over);
    }

    fn paused(&self, run: RunId, agent: Agent) {
        if let Some(known) = locked(&self.runs).known.get_mut(&run) {
            known.agent = Some(agent);
        }
        self.leaves(run, Place::Paused);
    }

    fn parked(&self, run: RunId) {
        let still = {
            let runs = locked(&self.runs);
            let known = runs.known.get(&run);
            known.is_some_and(|known| known.place == Place::Paused)
        };
        // It may have gone on meanwhile.
        if still {
            self.forget(run, |runs, known| self.park(runs, known));
            self.stop_if_left();
        }
    }

    fn settled(&self, run: RunId) {
        // The ending may have been stored before whoever decided it came to say so.
        self.ended(run);
        self.forget(run, |_, _| {});
        self.unpark(run);
        self.stop_if_left();
    }

    fn changed(&self, change: StatusChange) {
        // Nobody may be listening.
        let _ = self.changes.send(change);
    }
}

/// An agent is what a user wrote, and may panic when it is dropped.
pub(super) fn report(dropped: Result<(), String>) {
    if let Err(fault) = dropped {
        tracing::error!(fault, "an agent could not be dropped");
    }
}

/// How a run comes in.
enum Entry {
    /// It has ended already.
    Over,
    /// With a slot, or into the queue for one.
    Begin,
    /// It waits for its session, `first` before all others.
    Wait { first: bool },
}

impl Runs {
    /// Takes back the slot, or the place in a queue, of a run that leaves it.
    fn leave(&mut self, run: RunId, to: Place) -> Option<Left> {
        let known = self.known.get_mut(&run)?;
        match mem::replace(&mut known.place, to) {
            Place::Live => {
                self.live -= 1;
                None
            }
            Place::Queued(ticket) => self.queue.remove(&ticket).map(Left::Queued),
            Place::Waiting => {
                let session = known.log.session_id.clone()?;
                self.lanes.leave(&session, run).map(Left::Waiting)
            }
            Place::Paused | Place::Over => None,
        }
    }

    /// Gives a run its session.
    fn hold(&mut self, run: RunId, session: Option<Arc<str>>) {
        if let (Some(session), Some(known)) = (session, self.known.get_mut(&run)) {
            self.lanes.hold(&session, run);
            known.holds = Some(session);
        }
    }

    /// Gives a run a slot, or a place in the queue for one. Answers what to launch now. A child is not to wait: the run
    /// that waits for it has a slot.
    fn place(&mut self, launch: Launch, max_live: usize, is_child: bool) -> Option<Launch> {
        let id = launch.log().id;
        let slot = is_child || self.live < max_live;
        let (place, launch) = if slot {
            self.live += 1;
            (Place::Live, Some(launch))
        } else {
            self.tickets += 1;
            self.queue.insert(self.tickets, launch);
            (Place::Queued(self.tickets), None)
        };
        if let Some(known) = self.known.get_mut(&id) {
            known.place = place;
        }
        launch
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

/// What waited for something, and does so no longer. Kept to be dropped outside the lock.
#[allow(dead_code, reason = "it is there to be dropped")]
enum Left {
    Queued(Launch),
    Waiting(Waiting),
}
