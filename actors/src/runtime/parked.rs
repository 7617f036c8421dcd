//! Paused runs: nobody works for them, and they may leave memory.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{
    registry::{Known, Registry, Runs, report},
    timer::Timer,
};
use crate::{
    agent::Agent,
    cancel::{CancelReason, CancelRequest},
    error::EventsError,
    event::RunEvent,
    id::RunId,
    lock::locked,
    run::{actor::quietly_drop, log::RunLog},
    status::RunStatus,
    store::RunHead,
};

/// What is kept of a paused run.
pub(super) struct Parked {
    /// Its log, for as long as somebody reads it.
    log: Weak<RunLog>,
    /// Its agent, when it was paused in this process.
    pub(super) agent: Option<Agent>,
    /// Cancels it when nobody decides.
    _expiry: Option<Timer>,
}

impl Parked {
    /// The run's log, when it is in memory.
    pub(super) fn log(&self) -> Option<Arc<RunLog>> {
        self.log.upgrade()
    }
}

impl Registry {
    /// Keeps what is needed of a run that was paused here.
    pub(super) fn park(&self, runs: &mut Runs, known: &mut Known) {
        let parked = Parked {
            log: Arc::downgrade(&known.log),
            agent: known.agent.take(),
            _expiry: self.expiry(&known.log),
        };
        runs.parked.insert(known.log.id, parked);
    }

    /// The timer of a paused run that expires. It keeps the log in memory.
    fn expiry(&self, log: &Arc<RunLog>) -> Option<Timer> {
        let at = log.expires_at()?;
        let now = self.house.clock.at(tokio::time::Instant::now());
        let left = at.as_millis().saturating_sub(now.as_millis());
        let log = log.clone();
        let expire = move || {
            log.cancel(&CancelRequest::new(CancelReason::PauseExpired).by("pause_expiry"));
        };
        Some(Timer::new(
            &self.house.tokio,
            Duration::from_millis(left),
            expire,
        ))
    }

    /// A paused run has ended.
    pub(super) fn unpark(&self, run: RunId) {
        let gone = locked(&self.runs).parked.remove(&run);
        report(quietly_drop(gone));
    }

    /// The log of a paused run, when it is in memory.
    pub(super) fn find_parked(&self, id: RunId) -> Option<Arc<RunLog>> {
        locked(&self.runs).parked.get(&id)?.log.upgrade()
    }

    /// The logs of a session's paused runs, as far as they are in memory.
    pub(super) fn parked_of(&self, session: &str) -> Vec<Arc<RunLog>> {
        let runs = locked(&self.runs);
        let logs = runs
            .parked
            .values()
            .filter_map(|parked| parked.log.upgrade());
        logs.filter(|log| log.session_id.as_deref() == Some(session))
            .collect()
    }

    /// The log of a run that is paused in the store, brought back into memory. There is at most one for each run.
    pub(super) async fn restore(
        self: &Arc<Self>,
        head: &RunHead,
    ) -> Result<Arc<RunLog>, EventsError> {
        let events = self.events_of(head).await?;
        let mut runs = locked(&self.runs);
        if let Some(known) = runs.known.get(&head.run_id) {
            return Ok(known.log.clone());
        }
        let agent = match runs.parked.get(&head.run_id) {
            Some(parked) => match parked.log.upgrade() {
                Some(log) => return Ok(log),
                None => parked.agent.clone(),
            },
            None => None,
        };
        let agent = agent.or_else(|| runs.agents.get(&head.agent).cloned());
        let log = RunLog::restored(
            head,
            &events,
            agent.as_ref(),
            self.house.clone(),
            self.clone(),
        );
        let parked = Parked {
            log: Arc::downgrade(&log),
            agent,
            _expiry: self.expiry(&log),
        };
        let before = runs.parked.insert(head.run_id, parked);
        drop(runs);
        report(quietly_drop(before));
        Ok(log)
    }

    /// All stored events of a run.
    pub(super) async fn events_of(&self, head: &RunHead) -> Result<Vec<RunEvent>, EventsError> {
        const PAGE: usize = 256;
        let mut events: Vec<RunEvent> = Vec::new();
        while (events.len() as u64) < head.last {
            let store = self.house.store.clone();
            let after = events.len() as u64;
            let page = store.read(head.run_id, after, PAGE).await;
            let page = page?;
            if page.is_empty() {
                return Err(EventsError::Expired { first: after + 1 });
            }
            events.extend(page);
        }
        Ok(events)
    }

    /// The log of a run that is at work here, or paused.
    pub(super) async fn find_or_restore(self: &Arc<Self>, id: RunId) -> Result<Found, EventsError> {
        if let Some(log) = self.find(id).or_else(|| self.find_parked(id)) {
            return Ok(Found::Log(log));
        }
        let head = self.head(id).await?;
        // It may have started, or gone on, while the store was asked.
        if let Some(log) = self.find(id).or_else(|| self.find_parked(id)) {
            return Ok(Found::Log(log));
        }
        match head {
            Some(head) if head.status == RunStatus::Paused => {
                Ok(Found::Log(self.restore(&head).await?))
            }
            Some(head) => Ok(Found::Stored(head)),
            None => Ok(Found::Nothing),
        }
    }
}

/// What there is of a run.
pub(super) enum Found {
    /// Somebody works for it, or it is paused.
    Log(Arc<RunLog>),
    /// It is in the store only: it has ended, or it is nobody's.
    Stored(RunHead),
    Nothing,
}
