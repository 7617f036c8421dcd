//! A store that is correct except for one flaw.

mod lists;
mod runs;
mod sessions;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use quell_actors::{
    RunEvent, RunId, Store,
    error::Cause,
    id::Timestamp,
    store::{
        AppendError, BatchId, Events, Expected, ReadError, RunHead, RunQuery, SessionHead,
        SessionPatch, SessionQuery, WriteError,
    },
};

use crate::flaw::Flaw;

pub(crate) struct Sloppy {
    flaw: Flaw,
    asked: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    runs: HashMap<RunId, Kept>,
    sessions: HashMap<Arc<str>, SessionHead>,
    /// Deleted runs, for the flaws that keep them.
    graves: HashMap<RunId, Kept>,
}

#[derive(Clone)]
struct Kept {
    epoch: u64,
    batch: BatchId,
    session_id: Option<Arc<str>>,
    events: Vec<RunEvent>,
}

impl Sloppy {
    pub(crate) fn new(flaw: Flaw) -> Sloppy {
        Sloppy {
            flaw,
            asked: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// Reads the run, and writes the result some time later.
    async fn in_two_steps(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: Events,
    ) -> Result<u64, AppendError> {
        let seen = self.state.lock().unwrap().runs.get(&run).cloned();
        tokio::task::yield_now().await;
        let mut copy = State {
            runs: seen.map(|kept| (run, kept)).into_iter().collect(),
            ..State::default()
        };
        let answer = copy.append(self.flaw, run, expected, batch, &events)?;
        let mut state = self.state.lock().unwrap();
        state.runs.extend(copy.runs);
        let new: Vec<RunEvent> = events.iter().collect();
        state.note(self.flaw, run, &new);
        Ok(answer)
    }

    /// Makes a change or not, and may report an unknown outcome.
    fn in_doubt<T, E>(
        &self,
        unknown: impl Fn(Cause) -> E,
        work: impl FnOnce(&mut State) -> Result<T, E>,
    ) -> Result<T, E> {
        let asked = match self.flaw {
            Flaw::OftenInDoubt => self.asked.fetch_add(1, Ordering::Relaxed),
            _ => 1,
        };
        if self.flaw == Flaw::AlwaysInDoubt || asked % 4 == 0 {
            return Err(unknown("not done".into()));
        }
        let answer = work(&mut self.state.lock().unwrap())?;
        if asked % 4 == 2 {
            return Err(unknown("done".into()));
        }
        Ok(answer)
    }
}

impl Store for Sloppy {
    async fn append(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: Events,
    ) -> Result<u64, AppendError> {
        let in_two_steps = match self.flaw {
            Flaw::AppendsInTwoSteps => true,
            Flaw::AcquiresInTwoSteps => expected.acquire,
            _ => false,
        };
        if in_two_steps {
            return self.in_two_steps(run, expected, batch, events).await;
        }
        self.in_doubt(AppendError::Unknown, |state| {
            state.append(self.flaw, run, expected, batch, &events)
        })
    }

    async fn head(&self, run: RunId) -> Result<Option<RunHead>, ReadError> {
        let state = self.state.lock().unwrap();
        let grave = state.graves.get(&run);
        let kept = state.runs.get(&run);
        let kept = kept.or(grave.filter(|_| self.flaw == Flaw::DeleteLeavesHead));
        kept.map(|kept| kept.head(self.flaw, run)).transpose()
    }

    async fn read(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<RunEvent>, ReadError> {
        let state = self.state.lock().unwrap();
        state.read(self.flaw, run, after, limit)
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunHead>, ReadError> {
        self.state.lock().unwrap().list(self.flaw, query)
    }

    async fn session(&self, id: Arc<str>) -> Result<Option<SessionHead>, ReadError> {
        Ok(self.state.lock().unwrap().session(self.flaw, &id))
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Vec<SessionHead>, ReadError> {
        let state = self.state.lock().unwrap();
        Ok(state.list_sessions(self.flaw, query))
    }

    async fn count_sessions(&self, query: SessionQuery) -> Result<u64, ReadError> {
        let state = self.state.lock().unwrap();
        Ok(state.count_sessions(self.flaw, query))
    }

    async fn put_session(
        &self,
        id: Arc<str>,
        patch: SessionPatch,
        at: Timestamp,
    ) -> Result<(), WriteError> {
        self.in_doubt(WriteError::Unknown, |state| {
            state.put(self.flaw, id, patch, at);
            Ok(())
        })
    }

    async fn delete_run(&self, run: RunId) -> Result<bool, WriteError> {
        self.in_doubt(WriteError::Unknown, |state| {
            let deleted = state.delete(self.flaw, run);
            Ok(match self.flaw {
                Flaw::DeleteIsAlwaysTrue => true,
                Flaw::DeleteIsNeverTrue => false,
                _ => deleted,
            })
        })
    }

    async fn delete_session(&self, id: Arc<str>) -> Result<bool, WriteError> {
        self.in_doubt(WriteError::Unknown, |state| {
            let deleted = state.delete_session(self.flaw, &id);
            Ok(match self.flaw {
                Flaw::DeletedSessionIsAlwaysTrue => true,
                Flaw::DeletedSessionIsNeverTrue => false,
                _ => deleted,
            })
        })
    }
}
