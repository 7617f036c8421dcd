//! One run, as it is kept in memory.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::super::{AppendError, BatchId, Events, Expected, RunHead, Tape};
use crate::{event::EventKind, id::RunId};

pub(super) type KeptRuns = HashMap<RunId, KeptRun>;

#[derive(Debug)]
pub(super) struct KeptRun {
    pub(super) head: RunHead,
    batch: BatchId,
    pub(super) tape: Arc<Tape>,
    /// Whether the tape is that of the log which began the run. It holds events that are not stored yet, and must not
    /// be written to.
    shared: bool,
    /// Its place among the ended runs, once it has one.
    pub(super) ended: Option<u64>,
}

/// What an append did.
pub(super) enum Appended<'a> {
    /// The run begins with it.
    Begun(&'a mut KeptRun),
    /// The run continues with it.
    Added(&'a mut KeptRun),
    /// Nothing: this very batch was the last one, and is not stored twice.
    Repeated,
}

/// Appends to one of `runs`, as every store must.
pub(super) fn append<'a>(
    runs: &'a mut KeptRuns,
    id: RunId,
    expected: Expected,
    batch: BatchId,
    events: &Events,
) -> Result<Appended<'a>, AppendError> {
    let run = match runs.entry(id) {
        Entry::Occupied(kept) => kept.into_mut(),
        Entry::Vacant(place) => {
            let mut run = KeptRun::new(expected, events)?;
            run.take(batch, events);
            return Ok(Appended::Begun(place.insert(run)));
        }
    };
    let (epoch, last) = (run.head.epoch, run.head.last);
    if run.batch == batch && last == events.last() && epoch == expected.epoch_after() {
        return Ok(Appended::Repeated);
    }
    if run.head.status.is_ended() {
        return Err(AppendError::Ended { last });
    }
    if epoch != expected.epoch || last != expected.last || events.first() != last + 1 {
        return Err(AppendError::Fenced { epoch, last });
    }
    run.head.epoch = expected.epoch_after();
    run.take(batch, events);
    Ok(Appended::Added(run))
}

impl KeptRun {
    /// A run of which nothing is stored yet.
    fn new(expected: Expected, events: &Events) -> Result<KeptRun, AppendError> {
        // A run that is continued or taken over but is not here was deleted or forgotten, or never existed.
        let no_run = AppendError::Fenced { epoch: 0, last: 0 };
        let begins = expected.last == 0 && !expected.acquire && events.first() == 1;
        let (true, Some(first)) = (begins, events.iter().next()) else {
            return Err(no_run);
        };
        let EventKind::Started(started) = &first.kind else {
            return Err(no_run);
        };
        let mut head = RunHead::new(first.run_id, started, first.at);
        head.epoch = expected.epoch;
        Ok(KeptRun {
            head,
            batch: BatchId(0),
            tape: events.tape().clone(),
            shared: true,
            ended: None,
        })
    }

    fn take(&mut self, batch: BatchId, events: &Events) {
        if !Arc::ptr_eq(&self.tape, events.tape()) {
            self.own_tape();
            for event in events.iter() {
                self.tape.push(event.at, event.kind);
            }
        }
        events.look_at_each(|seq, at, kind| self.head.apply_kind(seq, at, kind));
        self.batch = batch;
    }

    /// Makes the tape the store's own, with what is stored and nothing else.
    fn own_tape(&mut self) {
        if self.shared {
            let own = Tape::new(self.tape.run_id(), 0);
            for event in (1..=self.head.last).filter_map(|seq| self.tape.get(seq)) {
                own.push(event.at, event.kind);
            }
            self.tape = Arc::new(own);
            self.shared = false;
        }
    }
}
