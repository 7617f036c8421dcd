//! Finding a run: in memory, or in the store.

use std::sync::Arc;

use super::{reads::Reading, registry::Registry};
use crate::{
    error::EventsError, event::RunEvent, id::RunId, lock::locked, run::log::RunLog,
    status::RunStatus, store::RunHead,
};

/// What there is of a run.
pub(super) enum Found {
    /// Somebody works for it, or it is paused.
    Log(Arc<RunLog>),
    /// It is in the store only: it has ended, or it is nobody's.
    Stored(RunHead),
    Nothing,
}

impl Registry {
    /// All stored events of a run.
    pub(super) async fn events_of(&self, head: &RunHead) -> Result<Vec<RunEvent>, EventsError> {
        const PAGE: usize = 256;
        let mut events: Vec<RunEvent> = Vec::new();
        while (events.len() as u64) < head.last {
            let store = self.env.store.clone();
            let after = events.len() as u64;
            let page = store.read(head.run_id, after, PAGE).await?;
            if page.first().is_none_or(|first| first.seq != after + 1) {
                return Err(EventsError::Expired { first: after + 1 });
            }
            events.extend(page.into_iter().take_while(|event| event.seq <= head.last));
        }
        Ok(events)
    }

    /// The log of a run that is at work here, or paused. There is at most one for each run: one that is paused in the
    /// store only is brought back into memory.
    pub(super) async fn find_or_restore(self: &Arc<Self>, id: RunId) -> Result<Found, EventsError> {
        loop {
            let reading = Reading::begin(self, id);
            if let Some(log) = self.find(id) {
                return Ok(Found::Log(log));
            }
            let head = self.head(id).await?;
            // It may have started, or gone on, while the store was asked.
            if let Some(log) = self.find(id) {
                return Ok(Found::Log(log));
            }
            let head = match head {
                Some(head) if head.status == RunStatus::Paused => head,
                // It was at work here when the store was asked, and may have ended since.
                Some(head) if !head.status.is_ended() && self.is_stale(&reading) => continue,
                Some(head) => return Ok(Found::Stored(head)),
                None => return Ok(Found::Nothing),
            };
            let events = match self.events_of(&head).await {
                // It was deleted while it was read.
                Err(EventsError::Expired { .. }) if self.is_stale(&reading) => continue,
                events => events?,
            };
            let (env, host) = (self.env.clone(), self.clone());
            let log = RunLog::restored(&head, &events, None, env, host);
            if let Some(log) = self.keep(&reading, log) {
                return Ok(Found::Log(log));
            }
        }
    }

    fn is_stale(&self, reading: &Reading) -> bool {
        locked(&self.runs).reads.is_stale(reading)
    }

    /// Keeps a log that was read, unless there is another, which is then the answer. `None`: it may be out of date.
    fn keep(&self, reading: &Reading, log: Arc<RunLog>) -> Option<Arc<RunLog>> {
        let agent = self.agents.get(&log.agent);
        let mut runs = locked(&self.runs);
        if runs.reads.is_stale(reading) {
            return None;
        }
        if let Some(other) = runs.find(log.id) {
            return Some(other);
        }
        self.keep_restored(&mut runs, &log);
        if let Some(agent) = &agent {
            log.limit(agent);
        }
        Some(log)
    }
}
