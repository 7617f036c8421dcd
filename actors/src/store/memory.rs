//! The store that forgets when the process ends.

mod index;
mod kept;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    sync::{Arc, Mutex, MutexGuard},
};

use self::{
    index::Index,
    kept::{KeptRun, Runs, append},
};
use super::{
    AppendError, BatchId, Events, Expected, ReadError, RunHead, RunQuery, SessionHead,
    SessionQuery, Store, WriteError,
};
use crate::{
    event::RunEvent,
    id::{RunId, Timestamp},
    lock::locked,
};

/// How many locks the runs are spread over.
const SHARDS: usize = 64;

/// Keeps runs in memory, and of the ended ones a bounded number: the oldest is forgotten first. What it is told is
/// stored at once. It shares the events' memory with the runs themselves.
///
/// A session is forgotten with its last run, unless it has a name; of sessions without runs it keeps as many as it keeps
/// of ended runs.
//
// The locks, in the order in which they are taken: the index, one shard, a tape. Whoever has a later one never waits for
// an earlier one, and nobody has two shards. What changes a run's status, and whatever deletes, is done under the index,
// so that the sessions, the list of the ended and the runs never differ for anybody who has it. Words, which are nearly
// all appends, take the shard alone. Runs are dropped when all locks are released: they may be large.
#[derive(Debug)]
pub struct MemoryStore {
    keep: usize,
    index: Mutex<Index>,
    shards: Box<[Mutex<Runs>]>,
}

impl MemoryStore {
    /// How many ended runs are kept unless told otherwise.
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
    fn shard(&self, run: RunId) -> MutexGuard<'_, Runs> {
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
        let Some(status) = events.status() else {
            append(&mut self.shard(run), run, expected, batch, events, None)?;
            return Ok(events.last());
        };
        let changed_at = changed_at(events);
        let mut forgotten = Vec::new();
        let mut index = locked(&self.index);
        {
            let mut runs = self.shard(run);
            let status = Some(status);
            let Some(kept) = append(&mut runs, run, expected, batch, events, status)? else {
                return Ok(events.last());
            };
            if let Some(session) = &kept.session_id {
                index.note(session, run, changed_at);
            }
            if kept.has_ended() {
                kept.ended = index.ended(run);
            }
        }
        while let Some(run) = index.pop_ended_beyond(self.keep) {
            forgotten.extend(self.remove(&mut index, run));
        }
        drop(index);
        drop(forgotten);
        Ok(events.last())
    }

    /// Removes a run from everywhere, for the caller to drop when the index is released.
    fn remove(&self, index: &mut Index, run: RunId) -> Option<KeptRun> {
        let kept = self.shard(run).remove(&run)?;
        index.remove(run, kept.session_id.as_ref(), kept.ended);
        index.forget_idle_beyond(self.keep);
        Some(kept)
    }
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::keeping(MemoryStore::DEFAULT_KEEP)
    }
}

/// The time of the last of `events` that changes a run's status.
fn changed_at(events: &Events) -> Timestamp {
    let changes = events.iter().filter(|event| event.kind.status().is_some());
    changes.last().map(|event| event.at).unwrap_or_default()
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
        Ok(self.shard(run).get(&run).map(|kept| kept.head(run)))
    }

    async fn read(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<RunEvent>, ReadError> {
        let (tape, last) = match self.shard(run).get(&run) {
            Some(kept) => (kept.tape.clone(), kept.last),
            None => {
                let first = after.saturating_add(1);
                return Err(ReadError::Expired { first });
            }
        };
        // The tape holds what is stored for as long as anybody has it, whatever becomes of the run meanwhile.
        Ok((after.saturating_add(1)..=last)
            .take(limit)
            .filter_map(|seq| tape.get(seq))
            .collect())
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunHead>, ReadError> {
        let mut found = Vec::new();
        if let Some(session) = &query.session_id {
            let of_session = locked(&self.index).runs_of(session);
            for run in of_session {
                found.extend(self.shard(run).get(&run).map(|kept| kept.head(run)));
            }
            found.retain(|head| query.holds(head));
        } else {
            for shard in &self.shards {
                let runs = locked(shard);
                let heads = runs.iter().map(|(id, kept)| kept.head(*id));
                found.extend(heads.filter(|head| query.holds(head)));
            }
        }
        found.sort_unstable_by_key(|head| Reverse((head.created_at, head.run_id)));
        found.truncate(query.limit);
        Ok(found)
    }

    async fn session(&self, id: Arc<str>) -> Result<Option<SessionHead>, ReadError> {
        Ok(locked(&self.index).session(&id))
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Vec<SessionHead>, ReadError> {
        let mut found = locked(&self.index).sessions(&query);
        found.sort_unstable_by(|a, b| {
            (b.created_at, &b.session_id).cmp(&(a.created_at, &a.session_id))
        });
        found.truncate(query.limit);
        Ok(found)
    }

    async fn name_session(
        &self,
        id: Arc<str>,
        name: Option<Arc<str>>,
        at: Timestamp,
    ) -> Result<(), WriteError> {
        let mut index = locked(&self.index);
        index.name(id, name, at);
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
        let Some(runs) = index.remove_session(&id) else {
            return Ok(false);
        };
        for run in runs {
            deleted.extend(self.remove(&mut index, run));
        }
        drop(index);
        drop(deleted);
        Ok(true)
    }
}
