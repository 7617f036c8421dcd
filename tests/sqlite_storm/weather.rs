//! A store whose appends fail, chosen by a seed.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use quell::{
    RunEvent, RunId, Store,
    id::Timestamp,
    store::{
        AppendError, BatchId, Events, Expected, ReadError, RunHead, RunQuery, SessionHead,
        SessionPatch, SessionQuery, WriteError,
    },
    stores::SqliteStore,
};

use crate::support::Dice;

/// An outage starts after every `CLEAR` appends, and lasts for `OUTAGE` appends.
const CLEAR: u64 = 3_000;
const OUTAGE: u64 = 100;

/// For one of so many runs, the store confirms nothing from some time on.
const DOOMED: u64 = 40;

/// How an append fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    UnknownBefore,
    UnknownAfter,
    Unavailable,
    PanicBefore,
    PanicAfter,
    Slow,
}

/// A store with faults. Clones are the same store.
#[derive(Clone)]
pub(crate) struct Stormy(Arc<Inner>);

struct Inner {
    store: SqliteStore,
    seed: u64,
    appends: AtomicU64,
    /// How many appends each run has had.
    of_runs: Mutex<HashMap<RunId, u64>>,
    faults: AtomicU64,
}

impl Stormy {
    pub(crate) fn new(store: SqliteStore, seed: u64) -> Stormy {
        Stormy(Arc::new(Inner {
            store,
            seed,
            appends: AtomicU64::new(0),
            of_runs: Mutex::default(),
            faults: AtomicU64::new(0),
        }))
    }

    /// How many appends were requested, and how many of them failed.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        (count(&self.0.appends), count(&self.0.faults))
    }

    /// The fault of this append, if any.
    fn fault(&self, run: RunId) -> Option<Fault> {
        let append = self.0.appends.fetch_add(1, Ordering::Relaxed);
        if append % (CLEAR + OUTAGE) >= CLEAR {
            return Some(Fault::Unavailable);
        }
        let mut of_runs = self.0.of_runs.lock().unwrap();
        let of_run = of_runs.entry(run).or_default();
        *of_run += 1;
        let [.., a, b, c, d] = *run.as_bytes();
        let run = u64::from(u32::from_be_bytes([a, b, c, d]));
        let mut of_run_dice = Dice::new(self.0.seed ^ (run << 20));
        if of_run_dice.roll(DOOMED) == 0 && *of_run > of_run_dice.roll(6) {
            let ways = [
                Fault::UnknownBefore,
                Fault::UnknownAfter,
                Fault::Unavailable,
            ];
            return Some(ways[usize::try_from(of_run_dice.roll(3)).unwrap()]);
        }
        let mut dice = Dice::new(self.0.seed ^ (run << 20) ^ *of_run);
        match dice.roll(100) {
            0..3 => Some(Fault::UnknownBefore),
            3..6 => Some(Fault::UnknownAfter),
            6..8 => Some(Fault::Unavailable),
            8 => Some(Fault::PanicBefore),
            9 => Some(Fault::PanicAfter),
            10..15 => Some(Fault::Slow),
            _ => None,
        }
    }

    /// Whether a read fails.
    fn read_fails(&self) -> Result<(), ReadError> {
        let append = self.0.appends.load(Ordering::Relaxed);
        match Dice::new(self.0.seed ^ append).roll(50) {
            0 => Err(ReadError::Failed("told to fail".into())),
            _ => Ok(()),
        }
    }
}

async fn let_others_go_first(times: u64) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

impl Store for Stormy {
    async fn append(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: Events,
    ) -> Result<u64, AppendError> {
        let fault = self.fault(run);
        if fault.is_some() {
            self.0.faults.fetch_add(1, Ordering::Relaxed);
        }
        let append = || self.0.store.append(run, expected, batch, events);
        let unknown = || AppendError::Unknown("told not to know".into());
        match fault {
            None => append().await,
            Some(Fault::UnknownBefore) => Err(unknown()),
            Some(Fault::UnknownAfter) => {
                append().await?;
                Err(unknown())
            }
            Some(Fault::Unavailable) => Err(AppendError::Unavailable("told to fail".into())),
            Some(Fault::PanicBefore) => panic!("the store was told to panic"),
            Some(Fault::PanicAfter) => {
                append().await?;
                panic!("the store was told to panic");
            }
            Some(Fault::Slow) => {
                let_others_go_first(100).await;
                let answer = append().await;
                let_others_go_first(100).await;
                answer
            }
        }
    }

    async fn head(&self, run: RunId) -> Result<Option<RunHead>, ReadError> {
        self.0.store.head(run).await
    }

    async fn read(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<RunEvent>, ReadError> {
        self.read_fails()?;
        self.0.store.read(run, after, limit).await
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunHead>, ReadError> {
        self.read_fails()?;
        self.0.store.runs(query).await
    }

    async fn session(&self, id: Arc<str>) -> Result<Option<SessionHead>, ReadError> {
        self.0.store.session(id).await
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Vec<SessionHead>, ReadError> {
        self.0.store.sessions(query).await
    }

    async fn count_sessions(&self, query: SessionQuery) -> Result<u64, ReadError> {
        self.0.store.count_sessions(query).await
    }

    async fn put_session(
        &self,
        id: Arc<str>,
        patch: SessionPatch,
        at: Timestamp,
    ) -> Result<(), WriteError> {
        self.0.store.put_session(id, patch, at).await
    }

    async fn delete_run(&self, run: RunId) -> Result<bool, WriteError> {
        self.0.store.delete_run(run).await
    }

    async fn delete_session(&self, id: Arc<str>) -> Result<bool, WriteError> {
        self.0.store.delete_session(id).await
    }
}
