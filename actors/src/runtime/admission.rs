//! How runs come in: new ones, and those that go on.

use std::sync::Arc;

use ractor::MessagingErr;

use super::{
    cancel::Intent,
    launch::{Launch, SupervisorMsg},
    registry::{Known, Registry, RunPlace, Runs, report},
    session_queue::{Waiting, WhenBusy},
    timer::Timer,
};
use crate::{
    cancel::{CancelReason, CancelRequest},
    error::StartError,
    id::RunId,
    lock::locked,
    run::{actor::quietly_drop, log::RunLog},
};

/// What a run asks of the registry beside a slot.
pub(super) struct StartSpec {
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

/// How a run comes in.
enum Entry {
    /// It has ended already.
    Over,
    /// With a slot, or into the queue for one.
    Begin,
    /// It waits for its session, `first` before all others.
    Wait { first: bool },
}

impl Registry {
    /// Accepts a run under the lock that keeps its id unique: with a slot, into the queue, or to wait for its session. One
    /// whose cancel is remembered takes none of these. Nothing is left of a run that is refused.
    pub(super) fn accept(
        &self,
        id: RunId,
        asks: StartSpec,
        log: impl FnOnce() -> Arc<RunLog>,
        launch: impl FnOnce(&Arc<RunLog>) -> Launch,
    ) -> Result<Accepted, StartError> {
        let mut runs = locked(&self.runs);
        if runs.closed {
            return Err(StartError::ShuttingDown);
        }
        if runs.known.contains_key(&id) || runs.paused.contains_key(&id) {
            return Err(StartError::DuplicateRun(id));
        }
        let parent = match asks.parent {
            Some(parent) => match runs.known.get(&parent) {
                Some(known) => Some((parent, known.log.clone())),
                None => return Err(StartError::ParentEnded(parent)),
            },
            None => None,
        };
        let remembered = runs.remembered.take(id, &self.config);
        let entry = match remembered {
            Some(_) => Entry::Over,
            None => self.entry(&runs, &asks, parent.as_ref().map(|(_, log)| &**log))?,
        };
        let log = log();
        if let Some((parent, parent_log)) = &parent
            && !parent_log.adopt(&log)
        {
            if let Some(intent) = remembered {
                runs.remembered.put_back(id, intent, &self.config);
            }
            return Err(StartError::ParentEnded(*parent));
        }
        // From here on there is no way back: the guard in it ends its run.
        let launch = launch(&log);
        let superseded = match (&entry, &asks.session) {
            (Entry::Wait { first: true }, Some(session)) => runs.at_work_in(session),
            (Entry::Over | Entry::Begin | Entry::Wait { .. }, _) => Vec::new(),
        };
        let known = Known {
            log: log.clone(),
            agent: None,
            place: RunPlace::Over,
            holds: None,
            child: parent.is_some(),
        };
        runs.known.insert(id, known);
        // A launch that is not taken is dropped outside the lock.
        let (launch, gone) = match (entry, asks.session) {
            (Entry::Over, _) => (None, Some(launch)),
            (Entry::Wait { first }, Some(session)) => {
                self.wait(&mut runs, &session, launch, first);
                (None, None)
            }
            (Entry::Begin | Entry::Wait { .. }, session) => {
                runs.hold(id, session);
                (runs.place(launch, self.config.max_live_runs), None)
            }
        };
        drop(runs);

        if let Some((_, cancel)) = &remembered {
            log.cancel(cancel);
        }
        drop(gone);
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
        asks: &StartSpec,
        parent: Option<&RunLog>,
    ) -> Result<Entry, StartError> {
        if let Some(session) = &asks.session {
            if runs.deleted.contains(session) {
                return Err(StartError::SessionDeleted(session.clone()));
            }
            // A run that waited for the session of the run that waits for it would wait for ever.
            let of_parent = parent.is_some_and(|log| log.session_id.as_ref() == Some(session));
            if runs.sessions_held.holders(session).is_some() && !of_parent {
                match asks.when_busy {
                    WhenBusy::Parallel => {}
                    WhenBusy::Reject => {
                        return Err(StartError::SessionBusy(session.clone()));
                    }
                    WhenBusy::Queue => {
                        self.check_lane(runs, session)?;
                        return Ok(Entry::Wait { first: false });
                    }
                    WhenBusy::Interrupt => {
                        self.check_lane(runs, session)?;
                        return Ok(Entry::Wait { first: true });
                    }
                }
            }
        }
        if parent.is_none() {
            self.check_slots(runs)?;
        }
        Ok(Entry::Begin)
    }

    fn check_slots(&self, runs: &Runs) -> Result<(), StartError> {
        if runs.live < self.config.max_live_runs {
            return Ok(());
        }
        self.check_queue(runs)
    }

    fn check_queue(&self, runs: &Runs) -> Result<(), StartError> {
        let queued = runs.queue.len() + runs.sessions_held.all_waiting();
        if queued >= self.config.max_queued_runs {
            return Err(StartError::QueueFull {
                live: runs.live,
                queued,
            });
        }
        Ok(())
    }

    fn check_lane(&self, runs: &Runs, session: &Arc<str>) -> Result<(), StartError> {
        self.check_queue(runs)?;
        if runs.sessions_held.waiting(session) >= self.config.max_waiting_in_session {
            return Err(StartError::SessionQueueFull(session.clone()));
        }
        Ok(())
    }

    /// Has a run wait for its session, for as long as it may.
    fn wait(&self, runs: &mut Runs, session: &Arc<str>, launch: Launch, first: bool) {
        let id = launch.log().id;
        let timer = self.config.session_wait.map(|wait| {
            let log = Arc::downgrade(launch.log());
            Timer::new(&self.env.tokio, wait, async move {
                if let Some(log) = log.upgrade() {
                    log.cancel(&CancelRequest::new(CancelReason::SessionBusy).by("session_wait"));
                }
            })
        });
        if let Some(known) = runs.known.get_mut(&id) {
            known.place = RunPlace::Waiting;
        }
        runs.sessions_held
            .wait(session, Waiting { launch, timer }, first);
    }

    /// Takes a run back that nobody works for, which `goes_on` decides under the lock: with a slot, into the queue, or to
    /// wait for its session.
    pub(super) fn readmit<T, E: From<StartError>>(
        &self,
        log: &Arc<RunLog>,
        goes_on: impl FnOnce() -> Result<(T, Launch), E>,
    ) -> Result<(T, Option<Launch>), E> {
        let mut runs = locked(&self.runs);
        if runs.closed {
            return Err(StartError::ShuttingDown.into());
        }
        let session = log.session_id.as_ref();
        if let Some(session) = session
            && runs.deleted.contains(session)
        {
            return Err(StartError::SessionDeleted(session.clone()).into());
        }
        let before = runs.known.get(&log.id);
        let holds = before.and_then(|known| known.holds.clone());
        let parent = log.parent().and_then(|parent| runs.known.get(&parent));
        let child = parent.is_some();
        let beside = parent.is_some_and(|parent| parent.log.session_id.as_ref() == session);
        let held = session.filter(|session| runs.sessions_held.holders(session).is_some());
        match held.filter(|_| holds.is_none() && !beside) {
            Some(session) => self.check_lane(&runs, session)?,
            None if child => {}
            None => self.check_slots(&runs)?,
        }
        let waits = held.filter(|_| holds.is_none() && !beside).cloned();
        let (decided, launch) = goes_on()?;
        let paused = runs.paused.remove(&log.id);
        runs.reads.invalidate(log.id);
        let free = holds.is_none();
        let known = Known {
            log: log.clone(),
            agent: None,
            place: RunPlace::Over,
            holds,
            child,
        };
        let before = runs.known.insert(log.id, known);
        let launch = match waits {
            Some(session) => {
                self.wait(&mut runs, &session, launch, false);
                None
            }
            None => {
                if free {
                    runs.hold(log.id, session.cloned());
                }
                runs.place(launch, self.config.max_live_runs)
            }
        };
        drop(runs);
        report(quietly_drop((paused, before)));
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
}
