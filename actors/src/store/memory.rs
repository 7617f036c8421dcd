//! The store that forgets when the process ends.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard},
};

use super::{AppendError, BatchId, Events, Expected, ReadError, RunHead, Store, Tape};
use crate::{
    event::{EventKind, RunEvent},
    id::RunId,
    lock::locked,
    status::RunStatus,
};

/// How many locks the runs are spread over.
const SHARDS: usize = 64;

/// Keeps runs in memory, and of the ended ones a bounded number: the oldest is forgotten first. What it is told is
/// stored at once. It shares the events' memory with the runs themselves.
#[derive(Debug)]
pub struct MemoryStore {
    keep: usize,
    shards: Box<[Mutex<Runs>]>,
    /// Ended runs, the oldest first.
    ended: Mutex<VecDeque<RunId>>,
}

type Runs = HashMap<RunId, KeptRun>;

#[derive(Debug)]
struct KeptRun {
    agent: Arc<str>,
    session_id: Option<Arc<str>>,
    epoch: u64,
    last: u64,
    status: RunStatus,
    batch: BatchId,
    tape: Arc<Tape>,
    /// Whether the tape is the run's own, which holds events that are not stored yet and must not be written to.
    shared: bool,
}

impl MemoryStore {
    /// How many ended runs are kept unless told otherwise.
    pub const DEFAULT_KEEP: usize = 10_000;

    /// A store that keeps the last `keep` ended runs.
    pub fn keeping(keep: usize) -> MemoryStore {
        MemoryStore {
            keep,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            ended: Mutex::default(),
        }
    }

    /// The lock over `run`. The last byte of an id is random in every version that is made today.
    fn runs(&self, run: RunId) -> MutexGuard<'_, Runs> {
        let [.., last] = *run.as_bytes();
        locked(&self.shards[usize::from(last) % SHARDS])
    }

    fn append_at_once(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: &Events,
    ) -> Result<u64, AppendError> {
        let (was_new, status) = {
            let mut runs = self.runs(run);
            append(&mut runs, run, expected, batch, events)?
        };
        if was_new && status.is_ended() {
            self.note_ended(run);
        }
        Ok(events.last())
    }

    /// Notes that a run has ended, and forgets the oldest beyond what is kept.
    fn note_ended(&self, run: RunId) {
        let mut ended = locked(&self.ended);
        ended.push_back(run);
        let beyond = ended.len().saturating_sub(self.keep);
        let forgotten: Vec<RunId> = ended.drain(..beyond).collect();
        drop(ended);
        for run in forgotten {
            let gone = self.runs(run).remove(&run);
            drop(gone);
        }
    }
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::keeping(MemoryStore::DEFAULT_KEEP)
    }
}

/// Appends to one of `runs`, as every store must. Answers whether it was not just a retry, and the run's status.
fn append(
    runs: &mut Runs,
    id: RunId,
    expected: Expected,
    batch: BatchId,
    events: &Events,
) -> Result<(bool, RunStatus), AppendError> {
    let run = match runs.entry(id) {
        Entry::Occupied(kept) => kept.into_mut(),
        Entry::Vacant(place) => place.insert(KeptRun::new(expected, events)?),
    };
    if run.batch == batch && run.last == events.last() {
        return Ok((false, run.status));
    }
    if run.status.is_ended() {
        return Err(AppendError::Ended { last: run.last });
    }
    if run.epoch != expected.epoch || run.last != expected.last || events.first() != run.last + 1 {
        return Err(AppendError::Fenced {
            epoch: run.epoch,
            last: run.last,
        });
    }
    run.take(batch, events);
    Ok((true, run.status))
}

impl KeptRun {
    /// A run of which nothing is stored yet.
    fn new(expected: Expected, events: &Events) -> Result<KeptRun, AppendError> {
        let started = events.iter().next().map(|event| event.kind);
        let (true, Some(EventKind::Started(started))) =
            (expected.last == 0 && events.first() == 1, started)
        else {
            // Somebody goes on with a run that is not here: it was forgotten, or never was.
            return Err(AppendError::Fenced { epoch: 0, last: 0 });
        };
        Ok(KeptRun {
            agent: started.agent.clone(),
            session_id: started.session_id.clone(),
            epoch: expected.epoch,
            last: 0,
            status: RunStatus::Pending,
            // No batch has this id: the runtime counts from 1.
            batch: BatchId(0),
            tape: events.tape().clone(),
            shared: true,
        })
    }

    fn take(&mut self, batch: BatchId, events: &Events) {
        if !Arc::ptr_eq(&self.tape, events.tape()) {
            self.own_tape();
            for event in events.iter() {
                self.tape.push(event.at, event.kind);
            }
        }
        self.status = events.status().unwrap_or(self.status);
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
}

impl Store for MemoryStore {
    async fn append(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: Events,
    ) -> Result<u64, AppendError> {
        self.append_at_once(run, expected, batch, &events)
    }

    fn append_now(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: &Events,
    ) -> Option<Result<u64, AppendError>> {
        Some(self.append_at_once(run, expected, batch, events))
    }

    async fn head(&self, run: RunId) -> Result<Option<RunHead>, ReadError> {
        Ok(self.runs(run).get(&run).map(|kept| RunHead {
            run_id: run,
            agent: kept.agent.clone(),
            session_id: kept.session_id.clone(),
            status: kept.status,
            last: kept.last,
            epoch: kept.epoch,
        }))
    }

    async fn read(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<RunEvent>, ReadError> {
        let (tape, last) = match self.runs(run).get(&run) {
            Some(kept) => (kept.tape.clone(), kept.last),
            None => {
                let first = after.saturating_add(1);
                return Err(ReadError::Expired { first });
            }
        };
        Ok((after.saturating_add(1)..=last)
            .take(limit)
            .filter_map(|seq| tape.get(seq))
            .collect())
    }
}
