//! Finding a run: in memory, or in the store.
//!
//! A run that is in memory is given from there, once its start is stored: until then its id may be that of another run.
//! Of any other run the head is read, and of a paused one also its last event, which says when it expires. All of its
//! events are read, and its log comes back into memory, only for those who continue it, cancel it, or follow it.

use std::{pin::pin, sync::Arc};

use tokio::sync::Semaphore;

use super::{reads::Reading, registry::Registry, single_flight::SingleFlight};
use crate::{
    cancel::{CancelReason, CancelRequest},
    error::EventsError,
    event::{EventKind, RunEvent},
    id::RunId,
    lock::locked,
    run::{
        Run,
        log::RunLog,
        stored::{Comeback, StoredRun},
    },
    status::RunStatus,
    store::RunHead,
};

/// How many paused runs whose time is up are in memory at a time.
const EXPIRING: usize = 64;

/// What looking for runs needs beside the registry.
pub(super) struct Lookup {
    heads: SingleFlight<Found>,
    logs: SingleFlight<Found>,
    expiring: Semaphore,
}

impl Default for Lookup {
    fn default() -> Lookup {
        Lookup {
            heads: SingleFlight::default(),
            logs: SingleFlight::default(),
            expiring: Semaphore::new(EXPIRING),
        }
    }
}

/// What there is of a run.
#[derive(Clone)]
pub(super) enum Found {
    /// It runs or waits here, or is paused, and is in memory.
    Log(Arc<RunLog>),
    /// It is in the store only: it has ended, it is paused, or it is not ours.
    Stored(Arc<StoredRun>),
    Nothing,
}

impl Found {
    pub(super) fn run(self) -> Option<Run> {
        match self {
            Found::Log(log) => Some(Run::new(log)),
            Found::Stored(run) => Some(Run::stored(run)),
            Found::Nothing => None,
        }
    }
}

/// How much of a paused run is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Head,
    Log,
}

impl Registry {
    /// The run of this id. One that is paused in the store stays there.
    pub(super) async fn look_up(self: &Arc<Self>, id: RunId) -> Result<Found, EventsError> {
        let heads = &self.lookup.heads;
        heads.share(id, || self.read(id, Depth::Head)).await
    }

    /// The run of this id. The log of one that is paused comes back into memory; there is at most one for each run.
    pub(super) async fn find_or_restore(self: &Arc<Self>, id: RunId) -> Result<Found, EventsError> {
        let logs = &self.lookup.logs;
        logs.share(id, || self.read(id, Depth::Log)).await
    }

    /// Cancels a paused run whose time is up. So few do this at a time that those which expire together, as after a
    /// weekend, are not all in memory at once.
    ///
    /// # Errors
    ///
    /// [`EventsError`] when the run could not be read.
    pub(super) async fn expire(self: &Arc<Self>, id: RunId) -> Result<(), EventsError> {
        let _turn = self.lookup.expiring.acquire().await;
        if let Found::Log(log) = self.find_or_restore(id).await? {
            log.cancel_paused(&CancelRequest::new(CancelReason::PauseExpired).by("pause_expiry"));
            // What was lost on the way is stored later, or left to recovery.
            let _ = log.wait_ended().await;
        }
        Ok(())
    }

    async fn read(self: &Arc<Self>, id: RunId, depth: Depth) -> Result<Found, EventsError> {
        loop {
            let reading = Reading::begin(self, id);
            if let Some(log) = self.in_memory(id).await {
                return Ok(Found::Log(log));
            }
            let Some(head) = self.head(id).await? else {
                // It may have started, and even ended, while the store was asked.
                match self.in_memory(id).await {
                    Some(log) => return Ok(Found::Log(log)),
                    None if self.is_stale(&reading) => continue,
                    None => return Ok(Found::Nothing),
                }
            };
            if head.status.is_ended() {
                return Ok(self.stored(head, Arc::default()));
            }
            let events = match (head.status, depth) {
                (RunStatus::Paused, Depth::Log) => self.events_of(&head).await,
                (RunStatus::Paused, Depth::Head) => self.last_event_of(&head).await,
                _ => Ok(Vec::new()),
            };
            let events = match events {
                // It was deleted while it was read.
                Err(EventsError::Expired { .. }) if self.is_stale(&reading) => continue,
                events => events?,
            };
            if let Some(found) = self.keep(&reading, head, &events, depth) {
                return Ok(found);
            }
        }
    }

    /// The log of a run that is in memory, and whose start the store has taken.
    async fn in_memory(&self, id: RunId) -> Option<Arc<RunLog>> {
        let log = self.find(id)?;
        if log.wait_stored(1).await.is_ok() {
            return Some(log);
        }
        // Its start was refused, so it never was the run of this id. It is removed shortly.
        self.left(&log).await;
        None
    }

    /// Waits until nothing of a run is under way here.
    async fn left(&self, log: &RunLog) {
        loop {
            let mut told = pin!(self.gone.notified());
            told.as_mut().enable();
            if !locked(&self.runs).is_of(log) {
                return;
            }
            told.await;
        }
    }

    fn is_stale(&self, reading: &Reading) -> bool {
        locked(&self.runs).reads.is_stale(reading)
    }

    fn stored(self: &Arc<Self>, head: RunHead, comeback: Arc<Comeback>) -> Found {
        let (env, finder) = (self.env.clone(), self.clone());
        Found::Stored(Arc::new(StoredRun::new(head, env, finder, comeback)))
    }

    /// Keeps what was read of a run that has not ended. `None`: it may be out of date.
    fn keep(
        self: &Arc<Self>,
        reading: &Reading,
        head: RunHead,
        events: &[RunEvent],
        depth: Depth,
    ) -> Option<Found> {
        let log = (head.status == RunStatus::Paused && depth == Depth::Log).then(|| {
            let (env, host) = (self.env.clone(), self.clone());
            RunLog::restored(&head, events, None, env, host)
        });
        let agent = self.agents.get(&head.agent);
        let mut runs = locked(&self.runs);
        if runs.reads.is_stale(reading) || runs.find(head.run_id).is_some() {
            return None;
        }
        if let Some(log) = log {
            self.keep_restored(&mut runs, &log);
            if let Some(agent) = &agent {
                log.limit(agent);
            }
            runs.reads.came_back(&log);
            return Some(Found::Log(log));
        }
        if let Some(RunEvent {
            kind: EventKind::Paused(paused),
            ..
        }) = events.last()
        {
            self.keep_paused_stored(&mut runs, &head, paused.expires_at);
        }
        let comeback = runs.reads.comeback(head.run_id);
        drop(runs);
        Some(self.stored(head, comeback))
    }

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

    /// The last stored event of a run, alone.
    async fn last_event_of(&self, head: &RunHead) -> Result<Vec<RunEvent>, EventsError> {
        let after = head.last.saturating_sub(1);
        let page = self.env.store.clone().read(head.run_id, after, 1).await?;
        match page.first() {
            Some(_) => Ok(page),
            None => Err(EventsError::Expired { first: head.last }),
        }
    }
}
