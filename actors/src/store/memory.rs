//! The store that forgets when the process ends.

mod index;
mod kept;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard};

use self::{
    index::Index,
    kept::{Appended, KeptRun, KeptRuns, append},
};
use super::{
    AppendError, BatchId, Events, Expected, ReadError, RunHead, RunQuery, SessionHead,
    SessionPatch, SessionQuery, Store, WriteError,
};
use crate::{
    event::RunEvent,
    id::{RunId, Timestamp},
    lock::locked,
};

/// How many locks the runs are spread over.
const SHARDS: usize = 64;

/// How many runs are looked up for a list without letting others in between, at least and at most.
const FEWEST: usize = 8;
const MOST: usize = 128;

/// Keeps runs in memory, and of the ended ones a bounded number: the oldest is forgotten first. A change is
/// stored at once. It shares the events' memory with the runs themselves.
///
/// A session is forgotten with its last run, unless it has a name, state or metadata; of sessions without runs it keeps
/// as many as it keeps of ended runs.
//
// The locks, in the order in which they are taken: the index, one shard, a tape. A holder of a later one never waits
// for an earlier one, and no caller holds two shards. What changes a run's status, and whatever deletes, is done under
// the index, so that the sessions, the list of the ended and the runs never differ for its holder. Words, which
// are nearly all appends, take the shard alone. KeptRuns are dropped when all locks are released: they may be large.
#[derive(Debug)]
pub struct MemoryStore {
    keep: usize,
    index: Mutex<Index>,
    shards: Box<[Mutex<KeptRuns>]>,
}

impl MemoryStore {
    /// How many ended runs are kept by default.
    pub const DEFAULT_KEEP: usize = 10_000;

    /// A store that keeps the last `keep` ended runs.
    pub fn keeping(keep: usize) -> MemoryStore {
        MemoryStore {
            keep,
            index: Mutex::default(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// The lock over `run`. The last byte of an id is random in every version that is made today.
    fn shard(&self, run: RunId) -> MutexGuard<'_, KeptRuns> {
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
        if events.status().is_none() {
            append(&mut self.shard(run), run, expected, batch, events)?;
            return Ok(events.last());
        }
        let changes = events.iter().filter(|event| event.kind.status().is_some());
        let changes: Vec<RunEvent> = changes.collect();
        let mut forgotten = Vec::new();
        let mut index = locked(&self.index);
        {
            let mut runs = self.shard(run);
            let (kept, begins) = match append(&mut runs, run, expected, batch, events)? {
                Appended::Begun(kept) => (kept, true),
                Appended::Added(kept) => (kept, false),
                Appended::Repeated => return Ok(events.last()),
            };
            kept.ended = index.note(&kept.head, begins, &changes);
        }
        while let Some(run) = index.pop_ended_beyond(self.keep) {
            forgotten.extend(self.remove(&mut index, run));
        }
        drop(index);
        drop(forgotten);
        Ok(events.last())
    }

    fn look_up(&self, run: RunId) -> Option<RunHead> {
        self.shard(run).get(&run).map(|kept| kept.head.clone())
    }

    /// The runs that `query` asks for, of those that `look_up` finds.
    fn page(
        &self,
        mut query: RunQuery,
        mut look_up: impl FnMut(RunId) -> Option<RunHead>,
    ) -> Vec<RunHead> {
        let mut found = Vec::new();
        while found.len() < query.limit {
            let most = (query.limit - found.len()).clamp(FEWEST, MOST);
            // Writers are not held up for longer than this takes.
            let keys = locked(&self.index).next_runs(&query, most);
            let heads = keys.iter().filter_map(|(_, run)| look_up(*run));
            found.extend(heads.filter(|head| query.holds(head)));
            if keys.len() < most {
                break;
            }
            query.past = keys.last().copied();
        }
        found.truncate(query.limit);
        found
    }

    /// Removes a run from everywhere, for the caller to drop when the index is released.
    fn remove(&self, index: &mut Index, run: RunId) -> Option<KeptRun> {
        let kept = self.shard(run).remove(&run)?;
        index.remove(&kept.head, kept.ended);
        index.forget_idle_beyond(self.keep);
        Some(kept)
    }
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::keeping(MemoryStore::DEFAULT_KEEP)
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
        Ok(self.look_up(run))
    }

    async fn read(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<RunEvent>, ReadError> {
        let (tape, last) = match self.shard(run).get(&run) {
            Some(kept) => (kept.tape.clone(), kept.head.last),
            None => {
                let first = after.saturating_add(1);
                return Err(ReadError::Expired { first });
            }
        };
        // The tape holds what is stored for as long as it has a reader, even if the run is deleted meanwhile.
        Ok((after.saturating_add(1)..=last)
            .take(limit)
            .filter_map(|seq| tape.get(seq))
            .collect())
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunHead>, ReadError> {
        Ok(self.page(query, |run| self.look_up(run)))
    }

    async fn session(&self, id: Arc<str>) -> Result<Option<SessionHead>, ReadError> {
        Ok(locked(&self.index).session(&id))
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Vec<SessionHead>, ReadError> {
        Ok(locked(&self.index).sessions(&query))
    }

    async fn count_sessions(&self, query: SessionQuery) -> Result<u64, ReadError> {
        Ok(locked(&self.index).count_sessions(query))
    }

    async fn put_session(
        &self,
        id: Arc<str>,
        patch: SessionPatch,
        at: Timestamp,
    ) -> Result<(), WriteError> {
        let mut index = locked(&self.index);
        index.put_session(&id, patch, at);
        index.forget_idle_beyond(self.keep);
        Ok(())
    }

    async fn delete_run(&self, run: RunId) -> Result<bool, WriteError> {
        let deleted = self.remove(&mut locked(&self.index), run);
        Ok(deleted.is_some())
    }

    async fn delete_session(&self, id: Arc<str>) -> Result<bool, WriteError> {
        let mut deleted = Vec::new();
        let mut index = locked(&self.index);
        let runs = index.runs_of(&id);
        let was_there = index.drop_session(&id);
        for run in runs {
            deleted.extend(self.remove(&mut index, run));
        }
        drop(index);
        drop(deleted);
        Ok(was_there)
    }
}
