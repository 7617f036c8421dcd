//! One run, as it is kept in memory.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::super::{AppendError, BatchId, Events, Expected, RunHead, Tape};
use crate::{
    event::EventKind,
    id::{RunId, Timestamp},
    status::RunStatus,
};

pub(super) type Runs = HashMap<RunId, KeptRun>;

#[derive(Debug)]
pub(super) struct KeptRun {
    agent: Arc<str>,
    pub(super) session_id: Option<Arc<str>>,
    created_at: Timestamp,
    epoch: u64,
    pub(super) last: u64,
    status: RunStatus,
    batch: BatchId,
    pub(super) tape: Arc<Tape>,
    /// Whether the tape is that of the log which began the run. It holds events that are not stored yet, and must not be
    /// written to.
    shared: bool,
    /// Its place among the ended runs, once it has one.
    pub(super) ended: Option<u64>,
}

/// Appends to one of `runs`, as every store must, events after which the run has `status`, where they change it. `None`:
/// this very batch was the last one, and is not stored twice.
pub(super) fn append<'a>(
    runs: &'a mut Runs,
    id: RunId,
    expected: Expected,
    batch: BatchId,
    events: &Events,
    status: Option<RunStatus>,
) -> Result<Option<&'a mut KeptRun>, AppendError> {
    let run = match runs.entry(id) {
        Entry::Occupied(kept) => kept.into_mut(),
        Entry::Vacant(place) => {
            let mut run = KeptRun::new(expected, events)?;
            run.take(batch, events, status);
            return Ok(Some(place.insert(run)));
        }
    };
    if run.batch == batch && run.last == events.last() && run.epoch == expected.epoch_after() {
        return Ok(None);
    }
    if run.has_ended() {
        return Err(AppendError::Ended { last: run.last });
    }
    if run.epoch != expected.epoch || run.last != expected.last || events.first() != run.last + 1 {
        return Err(AppendError::Fenced {
            epoch: run.epoch,
            last: run.last,
        });
    }
    run.epoch = expected.epoch_after();
    run.take(batch, events, status);
    Ok(Some(run))
}

impl KeptRun {
    /// A run of which nothing is stored yet.
    fn new(expected: Expected, events: &Events) -> Result<KeptRun, AppendError> {
        // Who goes on with a run that is not here, or takes it over, has one that was deleted or forgotten, or never was.
        let no_run = AppendError::Fenced { epoch: 0, last: 0 };
        let begins = expected.last == 0 && !expected.acquire && events.first() == 1;
        let (true, Some(first)) = (begins, events.iter().next()) else {
            return Err(no_run);
        };
        let EventKind::Started(started) = first.kind else {
            return Err(no_run);
        };
        Ok(KeptRun {
            agent: started.agent.clone(),
            session_id: started.session_id.clone(),
            created_at: first.at,
            epoch: expected.epoch,
            last: 0,
            status: RunStatus::Pending,
            batch: BatchId(0),
            tape: events.tape().clone(),
            shared: true,
            ended: None,
        })
    }

    fn take(&mut self, batch: BatchId, events: &Events, status: Option<RunStatus>) {
        if !Arc::ptr_eq(&self.tape, events.tape()) {
            self.own_tape();
            for event in events.iter() {
                self.tape.push(event.at, event.kind);
            }
        }
        self.status = status.unwrap_or(self.status);
        self.last = events.last();
        self.batch = batch;
    }

    /// Makes the tape the store's own, with what is stored and nothing else.
    fn own_tape(&mut self) {
        if self.shared {
            let own = Tape::new(self.tape.run_id(), 0);
            for event in (1..=self.last).filter_map(|seq| self.tape.get(seq)) {
                own.push(event.at, event.kind);
            }
            self.tape = Arc::new(own);
            self.shared = false;
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.status.is_ended()
    }

    pub(super) fn head(&self, run_id: RunId) -> RunHead {
        let last = self.tape.get(self.last);
        RunHead {
            run_id,
            agent: self.agent.clone(),
            session_id: self.session_id.clone(),
            status: self.status,
            last: self.last,
            epoch: self.epoch,
            created_at: self.created_at,
            updated_at: last.map_or(self.created_at, |event| event.at),
        }
    }
}
