//! What the law has decided is done here, when the registry's lock is free.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use ractor::MessagingErr;

use super::{
    desk::{Desk, Effect},
    launch::{Launch, SupervisorMsg},
    messages::RuntimeMessage,
    paused::PausedRun,
    registry::{Registry, RunEntry, Runs},
    timer::Timer,
};
use crate::{
    cancel::{CancelReason, CancelRequest},
    event::StatusChange,
    id::RunId,
    lock::locked,
    run::{
        actor::quietly_drop,
        log::{RunHost, RunLog},
    },
    status::RunStatus,
};

/// What is to be done, with all that it takes.
#[derive(Default)]
#[must_use]
pub(super) struct Todo {
    /// Runs to launch, and the timers of their waiting.
    launches: Vec<(Launch, Option<Timer>)>,
    /// Runs that give way to a newer one.
    superseded: Vec<Arc<RunLog>>,
    gone: Vec<Gone>,
    /// Nothing of a run is under way any more.
    settled: bool,
    /// No owner is left to start runs, and no run is left.
    left: bool,
}

/// What is not needed any more. It may be a user's, and guards come back here: it is dropped without the lock.
#[allow(dead_code, reason = "it is there to be dropped")]
pub(super) enum Gone {
    Entry(RunEntry),
    Paused(PausedRun),
    Launch(Launch),
    Timer(Timer),
    Log(Arc<RunLog>),
}

impl Todo {
    pub(super) fn drop_later(&mut self, gone: Option<Gone>) {
        self.gone.extend(gone);
    }
}

impl Registry {
    /// Takes out what `effects` need.
    pub(super) fn prepare(&self, runs: &mut Runs, effects: Vec<Effect>) -> Todo {
        let mut todo = Todo::default();
        for effect in effects {
            match effect {
                Effect::Launch(run) => {
                    if let Some(entry) = runs.entries.get_mut(&run)
                        && let Some(launch) = entry.launch.take()
                    {
                        todo.launches.push((launch, entry.wait.take()));
                    }
                }
                Effect::Wait(run) => {
                    if let Some(entry) = runs.entries.get_mut(&run) {
                        entry.wait = self.session_wait(&entry.log);
                    }
                }
                Effect::Turn(run) => {
                    let wait = runs
                        .entries
                        .get_mut(&run)
                        .and_then(|entry| entry.wait.take());
                    todo.gone.extend(wait.map(Gone::Timer));
                }
                Effect::Drop(run) => {
                    if let Some(entry) = runs.entries.get_mut(&run) {
                        todo.gone.extend(entry.wait.take().map(Gone::Timer));
                        todo.gone.extend(entry.launch.take().map(Gone::Launch));
                    }
                }
                Effect::Supersede(run) => {
                    let entry = runs.entries.get(&run);
                    todo.superseded.extend(entry.map(|entry| entry.log.clone()));
                }
                Effect::Pause { run, expires } => {
                    // Its head may be being read as that of a live run.
                    runs.reads.invalidate(run);
                    if let Some(entry) = runs.entries.remove(&run) {
                        let family = runs.desk.has_family(run);
                        runs.paused
                            .insert(run, self.paused_here(&entry, family, expires));
                        todo.gone.push(Gone::Entry(entry));
                        todo.settled = true;
                    }
                }
                Effect::Rouse(run) => {
                    if let Some(paused) = runs.paused.remove(&run) {
                        let log = paused.log();
                        let entry = log.map(|log| (run, RunEntry::of(log, None, None)));
                        runs.entries.extend(entry);
                        todo.gone.push(Gone::Paused(paused));
                    }
                }
                Effect::Forget(run) => {
                    runs.reads.invalidate(run);
                    todo.gone.extend(runs.entries.remove(&run).map(Gone::Entry));
                    todo.gone.extend(runs.paused.remove(&run).map(Gone::Paused));
                    todo.settled = true;
                }
                Effect::Childless(run) => {
                    let paused = runs.paused.get_mut(&run);
                    let family = paused.and_then(|paused| paused.family.take());
                    todo.gone.extend(family.map(Gone::Log));
                }
                Effect::StopExpiries => {
                    let paused = runs.paused.values_mut();
                    let expiries = paused.filter_map(|paused| paused.expiry.take());
                    todo.gone.extend(expiries.map(Gone::Timer));
                }
                Effect::Left => {
                    // No paused run can be continued any more, and a log keeps the registry that keeps it.
                    let paused = runs.paused.values_mut();
                    let logs = paused.filter_map(|paused| paused.family.take());
                    todo.gone.extend(logs.map(Gone::Log));
                    todo.left = true;
                }
            }
        }
        todo
    }

    /// Does what is to be done. Without the registry's lock.
    pub(super) fn perform(&self, todo: Todo) {
        for gone in todo.gone {
            report(quietly_drop(gone));
        }
        for (launch, wait) in todo.launches {
            drop(wait);
            self.launch(launch);
        }
        for log in todo.superseded {
            log.cancel(&CancelRequest::new(CancelReason::Superseded));
        }
        if todo.settled {
            // Last, and guarded: it wakes what users have written.
            let woken = catch_unwind(AssertUnwindSafe(|| self.gone.notify_waiters()));
            if woken.is_err() {
                tracing::error!("a waker panicked");
            }
        }
        if todo.left
            && let Some(supervisor) = self.supervisor.get()
        {
            supervisor.stop(None);
        }
    }

    /// Records in the law what happened to a run, and applies the effects. Ignores a log that is no longer the run's.
    fn happened(&self, log: &RunLog, event: impl FnOnce(&mut Desk, RunId) -> Vec<Effect>) {
        let mut runs = locked(&self.runs);
        if !runs.is_of(log) {
            return;
        }
        let effects = event(&mut runs.desk, log.id);
        let todo = self.prepare(&mut runs, effects);
        drop(runs);
        self.perform(todo);
    }

    /// Accepts no more runs.
    pub(super) fn close(&self) {
        let mut runs = locked(&self.runs);
        let effects = runs.desk.close();
        let todo = self.prepare(&mut runs, effects);
        drop(runs);
        self.perform(todo);
    }

    /// The last handle is gone.
    pub(super) fn abandon(&self) {
        let mut runs = locked(&self.runs);
        let effects = runs.desk.abandon();
        let todo = self.prepare(&mut runs, effects);
        drop(runs);
        self.perform(todo);
    }

    /// Ends all runs that wait.
    pub(super) fn empty_queue(&self) {
        let mut runs = locked(&self.runs);
        let entries = runs.entries.values_mut();
        let waiting = entries.map(|entry| (entry.launch.take(), entry.wait.take()));
        let waiting: Vec<_> = waiting.collect();
        drop(runs);
        drop(waiting);
    }

    /// Hands a run to the supervisor.
    fn launch(&self, launch: Launch) {
        launch.log().admit();
        let message = RuntimeMessage::own(SupervisorMsg::Launch(Box::new(launch)));
        let refused = match self.supervisor.get() {
            Some(supervisor) => supervisor.cast(message).err(),
            None => Some(MessagingErr::SendErr(message)),
        };
        if refused.is_some() {
            // No run can be launched any more. The queue is taken whole before a guard in it is dropped: a guard frees
            // a slot, and would otherwise launch the next run, whose guard would do the same, one inside the other.
            self.close();
            self.empty_queue();
        }
        drop(refused);
    }
}

impl RunHost for Registry {
    fn ended(&self, run: &RunLog) {
        self.happened(run, Desk::ended);
    }

    fn paused(&self, run: &RunLog) {
        self.happened(run, |desk, id| {
            // The pause may be stored by now, and the run have gone on.
            if run.status() == RunStatus::Paused {
                desk.paused(id)
            } else {
                Vec::new()
            }
        });
    }

    fn pause_stored(&self, run: &RunLog) {
        self.happened(run, Desk::pause_stored);
    }

    fn settled(&self, run: &RunLog) {
        self.happened(run, Desk::settled);
    }

    fn waits_for_store(&self) -> bool {
        locked(&self.runs).desk.may_expire()
    }

    fn changed(&self, change: StatusChange) {
        self.env.counters.changed(&change);
        if change.seq == 1 {
            let mut runs = locked(&self.runs);
            let effects = runs.desk.start_stored(change.run_id);
            let todo = self.prepare(&mut runs, effects);
            drop(runs);
            self.perform(todo);
        }
        // There may be no listener.
        let _ = self.changes.send(change);
    }
}

/// An agent is what a user wrote, and may panic when it is dropped.
pub(super) fn report(dropped: Result<(), String>) {
    if let Err(fault) = dropped {
        tracing::error!(fault, "an agent could not be dropped");
    }
}
