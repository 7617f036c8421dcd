//! Connections of readers. They never write, and look at the file in transactions that are over with one page.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quell_actors::{error::Cause, store::ReadError};
use rusqlite::Connection;
use tokio::{runtime::Handle, sync::Semaphore, task::JoinError};

use super::{connect, error::Fault, queue::CLOSED};

/// How many readers run at once; more wait.
const READERS: usize = 4;

#[derive(Debug)]
pub(super) struct Pool {
    path: Box<Path>,
    idle: Mutex<Vec<Connection>>,
    turns: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new(path: &Path) -> Arc<Pool> {
        Arc::new(Pool {
            path: path.into(),
            idle: Mutex::default(),
            turns: Arc::new(Semaphore::new(READERS)),
        })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, when it is this one's turn.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Pool>,
        read: impl FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let turn = self.turns.clone().acquire_owned().await;
        let turn = turn.map_err(|_| ReadError::Failed(CLOSED.into()))?;
        let pool = self.clone();
        let job = move || {
            let idle = pool.idle().pop();
            let db = match idle {
                Some(db) => db,
                None => connect::reader(&pool.path).map_err(Fault::from)?,
            };
            let answer = read(&db);
            if !pool.turns.is_closed() {
                pool.idle().push(db);
            }
            drop(turn);
            answer
        };
        let answer = self.run(job).await;
        answer.unwrap_or_else(|error| Err(ReadError::Failed(Cause::new(error))))
    }

    /// Does what may take a while in a thread of tokio's for that, or here, where there is no tokio. The error says that
    /// it panicked, or that tokio has ended.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        match Handle::try_current() {
            Ok(tokio) => tokio.spawn_blocking(job).await,
            Err(_) => Ok(job()),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// An error once the pool was closed.
    pub(super) fn still_open(&self) -> Result<(), ReadError> {
        match self.turns.is_closed() {
            true => Err(ReadError::Failed(CLOSED.into())),
            false => Ok(()),
        }
    }

    /// Lets nobody read any more.
    pub(super) fn close(&self) {
        self.turns.close();
        self.idle().clear();
    }
}
