//! The check can fail: it detects a store that confirms before it has stored.

use std::sync::Arc;

use quell::{
    RunEvent, RunId, Store,
    id::Timestamp,
    store::{
        AppendError, BatchId, Events, Expected, ReadError, RunHead, RunQuery, SessionHead,
        SessionPatch, SessionQuery, WriteError,
    },
    stores::SqliteStore,
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::{
    check::{Fault, Printed, faults},
    child::Child,
    orders::{Orders, Task},
    support::{Dice, Folder},
};

type Append = (RunId, Expected, BatchId, Events);

/// The planted bug: it confirms an append when it is sent, and not when it is stored.
pub(crate) struct Hasty {
    store: SqliteStore,
    queue: UnboundedSender<Append>,
}

impl Hasty {
    pub(crate) fn new(store: SqliteStore) -> Hasty {
        let (queue, mut queued) = unbounded_channel::<Append>();
        let to = store.clone();
        tokio::spawn(async move {
            while let Some((run, expected, batch, events)) = queued.recv().await {
                to.append(run, expected, batch, events).await.unwrap();
            }
        });
        Hasty { store, queue }
    }
}

impl Store for Hasty {
    async fn append(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: Events,
    ) -> Result<u64, AppendError> {
        let last = events.last();
        let queued = self.queue.send((run, expected, batch, events));
        queued.map_err(|_| AppendError::Unavailable("the queue is gone".into()))?;
        Ok(last)
    }

    async fn head(&self, run: RunId) -> Result<Option<RunHead>, ReadError> {
        self.store.head(run).await
    }

    async fn read(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<RunEvent>, ReadError> {
        self.store.read(run, after, limit).await
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunHead>, ReadError> {
        self.store.runs(query).await
    }

    async fn session(&self, id: Arc<str>) -> Result<Option<SessionHead>, ReadError> {
        self.store.session(id).await
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Vec<SessionHead>, ReadError> {
        self.store.sessions(query).await
    }

    async fn count_sessions(&self, query: SessionQuery) -> Result<u64, ReadError> {
        self.store.count_sessions(query).await
    }

    async fn put_session(
        &self,
        id: Arc<str>,
        patch: SessionPatch,
        at: Timestamp,
    ) -> Result<(), WriteError> {
        self.store.put_session(id, patch, at).await
    }

    async fn delete_run(&self, run: RunId) -> Result<bool, WriteError> {
        self.store.delete_run(run).await
    }

    async fn delete_session(&self, id: Arc<str>) -> Result<bool, WriteError> {
        self.store.delete_session(id).await
    }
}

#[tokio::test]
async fn a_store_that_answers_before_it_has_stored_is_found_out() {
    const KILLS: u64 = 20;
    let mut dice = Dice::of("planted");
    for kill in 1..=KILLS {
        let folder = Folder::new();
        let file = folder.path("runs.db");
        let orders = Orders::new(Task::Lie, &file, dice.roll(u64::MAX));
        let mut child = Child::start(&orders);
        child.hear(dice.roll(1_000) + 100).await;
        let mut printed = Printed::default();
        printed.add(&child.kill().await);
        let store = SqliteStore::open_read_only(&file).unwrap();
        let faults = faults(&store, &printed, false).await;
        let lost = faults
            .iter()
            .filter(|fault| matches!(fault, Fault::Lost { .. }));
        let lost = lost.count();
        if lost > 0 {
            assert_eq!(
                faults.len(),
                lost,
                "it is in a hurry, and no worse: {faults:?}"
            );
            println!("kill {kill} showed that {lost} events were lost");
            return;
        }
    }
    panic!("{KILLS} kills found nothing: the check sees nothing");
}
