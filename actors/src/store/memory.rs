//! The store that forgets when the process ends.

use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard},
};

use super::{
    AppendError, BatchId, Events, Expected, ReadError, RunHead, RunQuery, SessionHead,
    SessionQuery, Store, Tape, WriteError,
};
use crate::{
    event::{EventKind, RunEvent},
    id::{RunId, Timestamp},
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
    sessions: Mutex<HashMap<Arc<str>, KeptSession>>,
}

#[derive(Debug)]
struct KeptSession {
    name: Option<Arc<str>>,
    created_at: Timestamp,
    updated_at: Timestamp,
    runs: HashSet<RunId>,
}

type Runs = HashMap<RunId, KeptRun>;

#[derive(Debug)]
struct KeptRun {
    agent: Arc<str>,
    session_id: Option<Arc<str>>,
    epoch: u64,
    last: u64,
    status: RunStatus,
    created_at: Timestamp,
    updated_at: Timestamp,
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
            sessions: Mutex::default(),
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
        let appended = {
            let mut runs = self.runs(run);
            append(&mut runs, run, expected, batch, events)?
        };
        if let Some(session) = appended.session {
            self.note_run(&session, run, appended.at);
        }
        if appended.ended {
            self.note_ended(run);
        }
        Ok(events.last())
    }

    /// Notes that a run of `session` began, or changed its status.
    fn note_run(&self, session: &Arc<str>, run: RunId, at: Timestamp) {
        let mut sessions = locked(&self.sessions);
        let session = sessions
            .entry(session.clone())
            .or_insert_with(|| KeptSession {
                name: None,
                created_at: at,
                updated_at: at,
                runs: HashSet::new(),
            });
        session.updated_at = session.updated_at.max(at);
        session.runs.insert(run);
    }

    /// Forgets a run, and its session where that has no other run and no name.
    fn forget(&self, run: RunId) -> bool {
        let Some(gone) = self.runs(run).remove(&run) else {
            return false;
        };
        if let Some(id) = &gone.session_id {
            let mut sessions = locked(&self.sessions);
            if let Some(session) = sessions.get_mut(id) {
                session.runs.remove(&run);
                if session.runs.is_empty() && session.name.is_none() {
                    sessions.remove(id);
                }
            }
        }
        true
    }

    /// Notes that a run has ended, and forgets the oldest beyond what is kept.
    fn note_ended(&self, run: RunId) {
        let mut ended = locked(&self.ended);
        ended.push_back(run);
        let beyond = ended.len().saturating_sub(self.keep);
        let forgotten: Vec<RunId> = ended.drain(..beyond).collect();
        drop(ended);
        for run in forgotten {
            self.forget(run);
        }
    }
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::keeping(MemoryStore::DEFAULT_KEEP)
    }
}

/// What an append did beside storing events.
#[derive(Default)]
struct Appended {
    /// The session that has to know of it.
    session: Option<Arc<str>>,
    at: Timestamp,
    ended: bool,
}

/// Appends to one of `runs`, as every store must.
fn append(
    runs: &mut Runs,
    id: RunId,
    expected: Expected,
    batch: BatchId,
    events: &Events,
) -> Result<Appended, AppendError> {
    let run = match runs.entry(id) {
        Entry::Occupied(kept) => kept.into_mut(),
        Entry::Vacant(place) => place.insert(KeptRun::new(expected, events)?),
    };
    if run.batch == batch && run.last == events.last() {
        return Ok(Appended::default());
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
    run.epoch = expected.epoch_after();
    Ok(run.take(batch, events))
}

impl KeptRun {
    /// A run of which nothing is stored yet.
    fn new(expected: Expected, events: &Events) -> Result<KeptRun, AppendError> {
        let first = events.iter().next();
        let (true, Some(first)) = (expected.last == 0 && events.first() == 1, first) else {
            return Err(AppendError::Fenced { epoch: 0, last: 0 });
        };
        let EventKind::Started(started) = first.kind else {
            // Somebody goes on with a run that is not here: it was forgotten, or never was.
            return Err(AppendError::Fenced { epoch: 0, last: 0 });
        };
        Ok(KeptRun {
            agent: started.agent.clone(),
            session_id: started.session_id.clone(),
            epoch: expected.epoch,
            last: 0,
            status: RunStatus::Pending,
            created_at: first.at,
            updated_at: first.at,
            // No batch has this id: the runtime counts from 1.
            batch: BatchId(0),
            tape: events.tape().clone(),
            shared: true,
        })
    }

    fn take(&mut self, batch: BatchId, events: &Events) -> Appended {
        if !Arc::ptr_eq(&self.tape, events.tape()) {
            self.own_tape();
            for event in events.iter() {
                self.tape.push(event.at, event.kind);
            }
        }
        let changed = events.status();
        self.status = changed.unwrap_or(self.status);
        self.last = events.last();
        self.batch = batch;
        if let Some(last) = self.tape.get(self.last) {
            self.updated_at = last.at;
        }
        Appended {
            session: changed.and(self.session_id.clone()),
            at: self.updated_at,
            ended: changed.is_some_and(RunStatus::is_ended),
        }
    }

    fn head(&self, run_id: RunId) -> RunHead {
        RunHead {
            run_id,
            agent: self.agent.clone(),
            session_id: self.session_id.clone(),
            status: self.status,
            last: self.last,
            epoch: self.epoch,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
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
        Ok(self.runs(run).get(&run).map(|kept| kept.head(run)))
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

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunHead>, ReadError> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let runs = locked(shard);
            let heads = runs.iter().map(|(id, kept)| kept.head(*id));
            found.extend(heads.filter(|head| query.holds(head)));
        }
        found.sort_unstable_by_key(|head| std::cmp::Reverse((head.created_at, head.run_id)));
        found.truncate(query.limit);
        Ok(found)
    }

    async fn session(&self, id: Arc<str>) -> Result<Option<SessionHead>, ReadError> {
        Ok(locked(&self.sessions).get(&id).map(|kept| kept.head(&id)))
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Vec<SessionHead>, ReadError> {
        let mut found: Vec<SessionHead> = locked(&self.sessions)
            .iter()
            .map(|(id, kept)| kept.head(id))
            .filter(|head| query.holds(head))
            .collect();
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
        let mut sessions = locked(&self.sessions);
        let session = sessions.entry(id).or_insert_with(|| KeptSession {
            name: None,
            created_at: at,
            updated_at: at,
            runs: HashSet::new(),
        });
        session.name = name;
        Ok(())
    }

    async fn delete_run(&self, run: RunId) -> Result<bool, WriteError> {
        Ok(self.forget(run))
    }

    async fn delete_session(&self, id: Arc<str>) -> Result<bool, WriteError> {
        let Some(gone) = locked(&self.sessions).remove(&id) else {
            return Ok(false);
        };
        for run in gone.runs {
            let kept = self.runs(run).remove(&run);
            drop(kept);
        }
        Ok(true)
    }
}

impl KeptSession {
    fn head(&self, id: &Arc<str>) -> SessionHead {
        SessionHead {
            session_id: id.clone(),
            name: self.name.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            runs: self.runs.len() as u64,
        }
    }
}
