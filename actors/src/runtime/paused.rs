//! Paused runs: nobody works for them, and they may leave memory.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{
    lookup::Found,
    registry::{Known, Registry, Runs, report},
    timer::Timer,
};
use crate::{
    agent::Agent,
    cancel::{CancelReason, CancelRequest},
    id::{RunId, Timestamp},
    lock::locked,
    run::{actor::quietly_drop, log::RunLog},
    store::RunHead,
};

/// How long after a failure the store is asked again for a run that has expired.
const ASKED_AGAIN: Duration = Duration::from_secs(10);

/// What is kept of a paused run.
pub(super) struct PausedRun {
    /// Its log, for as long as somebody reads it.
    log: Weak<RunLog>,
    /// Keeps the log of a child, so that its parent can cancel it, and that of a parent, which alone knows its children.
    family: Option<Arc<RunLog>>,
    pub(super) session: Option<Arc<str>>,
    /// Its agent, when it was paused in this process.
    pub(super) agent: Option<Agent>,
    /// Cancels it when nobody decides.
    pub(super) expiry: Option<Timer>,
}

impl PausedRun {
    /// The run's log, when it is in memory.
    pub(super) fn log(&self) -> Option<Arc<RunLog>> {
        self.log.upgrade()
    }

    /// Whether there is anything in it that the store does not have.
    fn is_needed(&self) -> bool {
        self.agent.is_some() || self.expiry.is_some() || self.log.strong_count() > 0
    }
}

impl Registry {
    /// Keeps what is needed of a run that was paused here.
    pub(super) fn keep_paused(&self, runs: &mut Runs, known: &mut Known) {
        let log = &known.log;
        let paused = PausedRun {
            log: Arc::downgrade(log),
            family: (known.child || log.has_children()).then(|| log.clone()),
            session: log.session_id.clone(),
            agent: known.agent.take(),
            expiry: self.expiry(log.id, log.expires_at()),
        };
        runs.paused.insert(log.id, paused);
    }

    /// Keeps the time of a run that is paused in the store.
    pub(super) fn keep_paused_stored(&self, head: &RunHead, expires_at: Option<Timestamp>) {
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
        let before = locked(&self.runs).paused.insert(head.run_id, paused);
        report(quietly_drop(before));
    }

    /// The timer of a paused run that expires. It keeps nothing of the run in memory.
    fn expiry(&self, run: RunId, at: Option<Timestamp>) -> Option<Timer> {
        let now = self.env.clock.at(tokio::time::Instant::now());
        let left = at?.as_millis().saturating_sub(now.as_millis());
        let left = Duration::from_millis(left);
        let me = self.me.clone();
        Some(Timer::new(&self.env.tokio, left, async move {
            while let Some(registry) = me.upgrade() {
                match registry.find_or_restore(run).await {
                    Ok(Found::Log(log)) => {
                        return log.cancel_paused(
                            &CancelRequest::new(CancelReason::PauseExpired).by("pause_expiry"),
                        );
                    }
                    Ok(Found::Stored(_) | Found::Nothing) => return,
                    Err(error) => {
                        tracing::warn!(run_id = %run, %error, "a run that has expired could not be read");
                    }
                }
                drop(registry);
                tokio::time::sleep(ASKED_AGAIN).await;
            }
        }))
    }

    /// A paused run has ended.
    pub(super) fn forget_paused_ended(&self, run: &RunLog) {
        let is_ours = {
            let runs = locked(&self.runs);
            let paused = runs.paused.get(&run.id);
            paused.is_none_or(|paused| std::ptr::eq(paused.log.as_ptr(), run))
        };
        if is_ours {
            self.forget_paused(run.id);
        }
    }

    /// A paused run has ended, or was deleted.
    pub(super) fn forget_paused(&self, run: RunId) {
        let gone = {
            let mut runs = locked(&self.runs);
            runs.reads.invalidate(run);
            runs.paused.remove(&run)
        };
        report(quietly_drop(gone));
    }

    /// The runs of a session that was deleted are paused no longer. Answers the logs of those that are in memory: somebody
    /// may have found them while they were being deleted.
    pub(super) fn forget_paused_session(&self, session: &str) -> Vec<Arc<RunLog>> {
        let gone: Vec<_> = {
            let mut runs = locked(&self.runs);
            runs.reads.invalidate_all();
            let of_it =
                |_: &RunId, paused: &mut PausedRun| paused.session.as_deref() == Some(session);
            runs.paused.extract_if(of_it).collect()
        };
        let logs = gone.iter().filter_map(|(_, paused)| paused.log()).collect();
        report(quietly_drop(gone));
        logs
    }

    /// Nobody can have paused runs go on any more: what is kept of them for their family's sake is let go, since a log keeps
    /// the registry that keeps it.
    pub(super) fn drop_family_logs(&self) {
        let family: Vec<_> = {
            let mut runs = locked(&self.runs);
            let paused = runs.paused.values_mut();
            paused.filter_map(|paused| paused.family.take()).collect()
        };
        drop(family);
    }

    /// Paused runs do not expire any more: they are left to whoever opens the store next.
    pub(super) fn stop_expiries(&self) {
        let timers: Vec<_> = {
            let mut runs = locked(&self.runs);
            let paused = runs.paused.values_mut();
            paused.filter_map(|paused| paused.expiry.take()).collect()
        };
        drop(timers);
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
            // What nobody reads any more, and another process may have ended.
            runs.paused.retain(|_, paused| paused.is_needed());
            let paused = PausedRun {
                log: Arc::downgrade(log),
                family: None,
                session: log.session_id.clone(),
                agent: None,
                expiry: self.expiry(log.id, log.expires_at()),
            };
            runs.paused.insert(log.id, paused);
        }
    }
}
