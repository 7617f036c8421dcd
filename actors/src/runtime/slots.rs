//! The places that runs have in a runtime, and how they are given back.

use std::{mem, sync::Arc};

use super::{
    launch::Launch,
    registry::{Known, Registry, RunPlace, Runs, report},
    session_queue::Waiting,
    timer::Timer,
};
use crate::{
    agent::Agent,
    event::StatusChange,
    id::RunId,
    lock::locked,
    run::{
        actor::quietly_drop,
        log::{RunHost, RunLog},
    },
};

impl Registry {
    /// Takes a run's place back, and gives it to the next.
    fn leaves(&self, run: &RunLog, to: RunPlace) {
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

    /// Takes a run out if `then` has it so, and gives its session to the next.
    fn forget(&self, run: &RunLog, then: impl FnOnce(&mut Runs, &mut Known) -> bool) {
        let mut runs = locked(&self.runs);
        if !runs.knows(run) {
            return;
        }
        let run = run.id;
        let Some(mut known) = runs.known.remove(&run) else {
            return;
        };
        if !then(&mut runs, &mut known) {
            runs.known.insert(run, known);
            return;
        }
        let next = known
            .holds
            .as_ref()
            .and_then(|session| runs.release(session, run, self.config.max_live_runs));
        drop(runs);
        report(quietly_drop(known));
        self.gone.notify_waiters();
        self.go_ahead(next);
    }
}

impl Registry {
    /// Launches who has got a session, if there is a slot.
    fn go_ahead(&self, next: Option<Next>) {
        if let Some((launch, timer)) = next {
            drop(timer);
            if let Some(launch) = launch {
                self.launch(launch);
            }
        }
    }

    /// Takes a session from runs whose ending, or pause, everybody can see. That is noted a moment later in any case; but
    /// who has seen it and asks for the session is to find it as it is.
    pub(super) fn tidy(&self, session: &Arc<str>) {
        loop {
            let mut runs = locked(&self.runs);
            let holders = runs.sessions_held.holders(session).unwrap_or_default();
            let over = |run: &&RunId| {
                let known = runs.known.get(run);
                known.is_some_and(|known| !known.log.is_at_work())
            };
            let Some(over) = holders.iter().find(over).copied() else {
                return;
            };
            if let Some(known) = runs.known.get_mut(&over) {
                known.holds = None;
            }
            let next = runs.release(session, over, self.config.max_live_runs);
            drop(runs);
            self.go_ahead(next);
        }
    }
}

/// Who has got a session: what to launch, if there is a slot, and the timer of its waiting.
type Next = (Option<Launch>, Option<Timer>);

impl RunHost for Registry {
    fn ended(&self, run: &RunLog) {
        self.leaves(run, RunPlace::Over);
    }

    fn pauses(&self, run: &RunLog, agent: Agent, decide: &mut dyn FnMut() -> bool) {
        let mut runs = locked(&self.runs);
        let decided = decide();
        let mut agent = Some(agent);
        let (mut gone, mut next) = (None, None);
        if decided {
            if let Some(known) = runs.known.get_mut(&run.id) {
                mem::swap(&mut known.agent, &mut agent);
            }
            gone = runs.leave(run, RunPlace::Paused);
            next = runs.next(self.config.max_live_runs);
        }
        drop(runs);
        drop(gone);
        report(quietly_drop(agent));
        if let Some(launch) = next {
            self.launch(launch);
        }
    }

    fn pause_stored(&self, run: &RunLog) {
        self.forget(run, |runs, known| {
            // It may have gone on meanwhile, or have ended.
            let still = known.place == RunPlace::Paused && !known.log.is_at_work();
            if still {
                self.keep_paused(runs, known);
            }
            still
        });
        self.stop_if_left();
    }

    fn settled(&self, run: &RunLog) {
        // The ending may have been stored before whoever decided it came to say so.
        self.ended(run);
        self.forget(run, |_, _| true);
        self.forget_paused_ended(run);
        self.stop_if_left();
    }

    fn waits_for_store(&self) -> bool {
        let runs = locked(&self.runs);
        !runs.closed && !runs.abandoned
    }

    fn changed(&self, change: StatusChange) {
        // Nobody may be listening.
        let _ = self.changes.send(change);
    }
}

impl Runs {
    /// Whether the run of this id is still that of this log.
    fn knows(&self, log: &RunLog) -> bool {
        let known = self.known.get(&log.id);
        known.is_some_and(|known| std::ptr::eq(Arc::as_ptr(&known.log), log))
    }

    /// Takes a session from a run, and gives it to the next.
    fn release(&mut self, session: &Arc<str>, run: RunId, max_live: usize) -> Option<Next> {
        let Waiting { launch, timer } = self.sessions_held.release(session, run)?;
        if let Some(known) = self.known.get_mut(&launch.log().id) {
            known.holds = Some(session.clone());
        }
        Some((self.place(launch, max_live), timer))
    }

    /// Takes back the slot, or the place in a queue, of a run that leaves it.
    fn leave(&mut self, run: &RunLog, to: RunPlace) -> Option<Left> {
        if !self.knows(run) {
            return None;
        }
        let run = run.id;
        let known = self.known.get_mut(&run)?;
        match mem::replace(&mut known.place, to) {
            RunPlace::Live => {
                self.live -= 1;
                None
            }
            RunPlace::Queued(ticket) => self.queue.remove(&ticket).map(Left::Queued),
            RunPlace::Waiting => {
                let session = known.log.session_id.clone()?;
                self.sessions_held.leave(&session, run).map(Left::Waiting)
            }
            RunPlace::Paused | RunPlace::Over => None,
        }
    }

    /// Gives a run its session.
    pub(super) fn hold(&mut self, run: RunId, session: Option<Arc<str>>) {
        if let (Some(session), Some(known)) = (session, self.known.get_mut(&run)) {
            self.sessions_held.hold(&session, run);
            known.holds = Some(session);
        }
    }

    /// Gives a run a slot, or a place in the queue for one. Answers what to launch now. A child is not to wait: the run
    /// that waits for it has a slot.
    pub(super) fn place(&mut self, launch: Launch, max_live: usize) -> Option<Launch> {
        let id = launch.log().id;
        let slot = self.live < max_live || self.known.get(&id).is_some_and(|known| known.child);
        let (place, launch) = if slot {
            self.live += 1;
            (RunPlace::Live, Some(launch))
        } else {
            self.tickets += 1;
            self.queue.insert(self.tickets, launch);
            (RunPlace::Queued(self.tickets), None)
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
            known.place = RunPlace::Live;
            self.live += 1;
        }
        Some(launch)
    }

    /// The runs that hold a session and are not paused.
    pub(super) fn at_work_in(&self, session: &str) -> Vec<Arc<RunLog>> {
        let holders = self.sessions_held.holders(session).unwrap_or_default();
        let holders = holders.iter().filter_map(|holder| self.known.get(holder));
        holders
            .filter(|known| known.place != RunPlace::Paused)
            .map(|known| known.log.clone())
            .collect()
    }
}

/// What waited for something, and does so no longer. Kept to be dropped outside the lock.
#[allow(dead_code, reason = "it is there to be dropped")]
enum Left {
    Queued(Launch),
    Waiting(Waiting),
}
