//! Paused runs: they have no actor, and may leave memory.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{
    registry::{Registry, RunEntry, Runs},
    timer::Timer,
};
use crate::{
    agent::Agent,
    id::{RunId, Timestamp},
    lock::locked,
    run::log::RunLog,
    store::RunHead,
};

/// How long after a failure the store is asked again for a run that has expired.
const ASKED_AGAIN: Duration = Duration::from_secs(10);

/// How many paused runs are kept before unused ones are looked for.
pub(super) const PAUSED: usize = 64;

/// What is kept of a paused run.
pub(super) struct PausedRun {
    /// Its log, for as long as it has a reader.
    log: Weak<RunLog>,
    /// Keeps the log of a child, so that its parent can cancel it, and that of a parent, which alone knows its
    /// children.
    pub(super) family: Option<Arc<RunLog>>,
    pub(super) session: Option<Arc<str>>,
    /// Its agent, when it was paused in this process.
    pub(super) agent: Option<Agent>,
    /// Cancels it when no decision comes.
    pub(super) expiry: Option<Timer>,
}

impl PausedRun {
    /// The run's log, when it is in memory.
    pub(super) fn log(&self) -> Option<Arc<RunLog>> {
        self.log.upgrade()
    }

    /// Whether this is the run's log.
    pub(super) fn is_of(&self, log: &RunLog) -> bool {
        std::ptr::eq(self.log.as_ptr(), log)
    }

    /// Whether there is anything in it that the store does not have.
    fn is_needed(&self) -> bool {
        self.agent.is_some() || self.expiry.is_some() || self.log.strong_count() > 0
    }
}

impl Registry {
    /// What is kept of a run that was paused here: its log too when it has `family`, and its time if that is to run.
    pub(super) fn paused_here(&self, entry: &RunEntry, family: bool, expires: bool) -> PausedRun {
        let log = &entry.log;
        let expires_at = log.expires_at().filter(|_| expires);
        PausedRun {
            log: Arc::downgrade(log),
            family: family.then(|| log.clone()),
            session: log.session_id.clone(),
            agent: entry.agent.clone(),
            expiry: self.expiry(log.id, expires_at),
        }
    }

    /// Keeps the time of a run that is paused in the store.
    pub(super) fn keep_paused_stored(
        &self,
        runs: &mut Runs,
        head: &RunHead,
        expires_at: Option<Timestamp>,
    ) {
        if !runs.desk.may_expire() || runs.paused.contains_key(&head.run_id) {
            return;
        }
        let Some(expiry) = self.expiry(head.run_id, expires_at) else {
            return;
        };
        let paused = PausedRun {
            log: Weak::new(),
            family: None,
            session: head.session_id.clone(),
            agent: None,
            expiry: Some(expiry),
        };
        runs.desk.admit_paused(head.run_id, head.session_id.clone());
        runs.paused.insert(head.run_id, paused);
    }

    /// The timer of a paused run that expires. It keeps nothing of the run in memory.
    fn expiry(&self, run: RunId, at: Option<Timestamp>) -> Option<Timer> {
        let now = self.env.clock.at(tokio::time::Instant::now());
        let left = at?.as_millis().saturating_sub(now.as_millis());
        let left = Duration::from_millis(left);
        let me = self.me.clone();
        Some(Timer::new(&self.env.tokio, left, async move {
            while let Some(registry) = me.upgrade() {
                match registry.expire(run).await {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::warn!(run_id = %run, %error, "a run that has expired could not be read");
                    }
                }
                drop(registry);
                tokio::time::sleep(ASKED_AGAIN).await;
            }
        }))
    }

    /// The runs of a session that was deleted are paused no longer. Returns the logs of those that are in memory:
    /// a caller may have found them while they were being deleted.
    pub(super) fn forget_paused_session(&self, session: &str) -> Vec<Arc<RunLog>> {
        let mut runs = locked(&self.runs);
        runs.reads.invalidate_all();
        let paused = runs.paused.iter();
        let of_it = paused.filter(|(_, paused)| paused.session.as_deref() == Some(session));
        let (ids, logs): (Vec<_>, Vec<_>) = of_it.map(|(run, paused)| (*run, paused.log())).unzip();
        let effects = ids.into_iter().flat_map(|run| runs.desk.settled(run));
        let effects = effects.collect();
        let todo = self.prepare(&mut runs, effects);
        drop(runs);
        self.perform(todo);
        logs.into_iter().flatten().collect()
    }

    /// The logs of a session's paused runs, as far as they are in memory.
    pub(super) fn paused_of(&self, session: &str) -> Vec<Arc<RunLog>> {
        let runs = locked(&self.runs);
        let paused = runs.paused.values();
        let of_it = paused.filter(|paused| paused.session.as_deref() == Some(session));
        of_it.filter_map(PausedRun::log).collect()
    }

    /// Keeps the log of a paused run that was read from the store.
    pub(super) fn keep_restored(&self, runs: &mut Runs, log: &Arc<RunLog>) {
        if let Some(paused) = runs.paused.get_mut(&log.id) {
            paused.log = Arc::downgrade(log);
            if let Some(agent) = &paused.agent {
                log.limit(agent);
            }
        } else {
            runs.tidy_paused();
            let expires_at = log.expires_at().filter(|_| runs.desk.may_expire());
            let paused = PausedRun {
                log: Arc::downgrade(log),
                family: None,
                session: log.session_id.clone(),
                agent: None,
                expiry: self.expiry(log.id, expires_at),
            };
            runs.desk.admit_paused(log.id, log.session_id.clone());
            runs.paused.insert(log.id, paused);
        }
    }
}

impl Runs {
    /// Forgets paused runs that have no reader any more, and that another process may have ended: when there are twice
    /// as many as were left the last time.
    fn tidy_paused(&mut self) {
        if self.paused.len() < self.paused_before_tidying {
            return;
        }
        let Runs { paused, desk, .. } = self;
        paused.retain(|run, paused| {
            let is_needed = paused.is_needed();
            if !is_needed {
                // It holds nothing, so nothing follows.
                let _ = desk.settled(*run);
            }
            is_needed
        });
        self.paused_before_tidying = PAUSED.max(2 * self.paused.len());
    }
}
