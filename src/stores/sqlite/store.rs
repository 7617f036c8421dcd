//! The trait of stores, spoken to the writer thread and to the readers.

use std::sync::Arc;

use quell_actors::{
    RunEvent, RunId,
    id::Timestamp,
    store::{
        AppendError, BatchId, Events, Expected, ReadError, RunHead, RunQuery, SessionHead,
        SessionPatch, SessionQuery, Store, WriteError,
    },
};
use tokio::sync::oneshot;

use super::{
    Mode, SqliteStore, list,
    queue::{Append, Change, Op},
    read, sessions,
};

const LOOKING: &str = "the store was opened to be read only";

/// What is known of an append whose answer will never come.
const NOT_TOLD: &str = "the store ended before it answered";

impl Store for SqliteStore {
    async fn append(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: Events,
    ) -> Result<u64, AppendError> {
        let unavailable = |why: &str| AppendError::Unavailable(why.into());
        let Mode::Writing(handle) = &self.mode else {
            return Err(unavailable(LOOKING));
        };
        let (answer, answered) = oneshot::channel();
        let append = Append {
            run,
            expected,
            batch,
            events,
            answer,
        };
        handle
            .0
            .queue
            .push(Op::Append(append))
            .map_err(unavailable)?;
        let answered = answered.await;
        answered.unwrap_or_else(|_| Err(AppendError::Unknown(NOT_TOLD.into())))
    }

    async fn head(&self, run: RunId) -> Result<Option<RunHead>, ReadError> {
        match &self.mode {
            Mode::Writing(handle) => {
                let shared = handle.0.clone();
                shared.pool.still_open()?;
                let known = shared
                    .live
                    .lock()
                    .runs
                    .get(&run)
                    .map(|live| live.row.head.clone());
                if known.is_some() {
                    return Ok(known);
                }
                let pool = shared.pool.clone();
                pool.read(move |db| Ok(read::head(db, &shared.live, run)?))
                    .await
            }
            Mode::Looking(observer, pool) => {
                let observer = observer.clone();
                pool.read(move |db| Ok(observer.head(db, run)?)).await
            }
        }
    }

    async fn read(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<RunEvent>, ReadError> {
        match &self.mode {
            Mode::Writing(handle) => {
                let shared = handle.0.clone();
                shared.pool.still_open()?;
                if let Some(page) = read::read_live(&shared.live, run, after, limit) {
                    return Ok(page);
                }
                let pool = shared.pool.clone();
                pool.read(move |db| read::read(db, &shared.live, run, after, limit))
                    .await
            }
            Mode::Looking(observer, pool) => {
                let observer = observer.clone();
                pool.read(move |db| observer.read(db, run, after, limit))
                    .await
            }
        }
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunHead>, ReadError> {
        match &self.mode {
            Mode::Writing(handle) => {
                let shared = handle.0.clone();
                let pool = shared.pool.clone();
                pool.read(move |db| Ok(read::runs(db, &shared.live, &query)?))
                    .await
            }
            Mode::Looking(observer, pool) => {
                let observer = observer.clone();
                pool.read(move |db| Ok(observer.runs(db, &query)?)).await
            }
        }
    }

    // The rows of sessions are written with every change, so the file is all there is to them.

    async fn session(&self, id: Arc<str>) -> Result<Option<SessionHead>, ReadError> {
        self.pool()
            .read(move |db| Ok(sessions::find(db, &id)?))
            .await
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Vec<SessionHead>, ReadError> {
        self.pool()
            .read(move |db| Ok(list::sessions(db, &query)?))
            .await
    }

    async fn count_sessions(&self, query: SessionQuery) -> Result<u64, ReadError> {
        self.pool()
            .read(move |db| Ok(list::count_sessions(db, &query)?))
            .await
    }

    async fn put_session(
        &self,
        id: Arc<str>,
        patch: SessionPatch,
        at: Timestamp,
    ) -> Result<(), WriteError> {
        let put = self.change(Change::PutSession { id, patch, at }).await;
        put.map(|_| ())
    }

    async fn delete_run(&self, run: RunId) -> Result<bool, WriteError> {
        self.change(Change::DeleteRun(run)).await
    }

    async fn delete_session(&self, id: Arc<str>) -> Result<bool, WriteError> {
        self.change(Change::DeleteSession(id)).await
    }
}

impl SqliteStore {
    async fn change(&self, change: Change) -> Result<bool, WriteError> {
        let unavailable = |why: &str| WriteError::Unavailable(why.into());
        let Mode::Writing(handle) = &self.mode else {
            return Err(unavailable(LOOKING));
        };
        let (answer, answered) = oneshot::channel();
        handle
            .0
            .queue
            .push(Op::Change(change, answer))
            .map_err(unavailable)?;
        let answered = answered.await;
        answered.unwrap_or_else(|_| Err(WriteError::Unknown(NOT_TOLD.into())))
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
