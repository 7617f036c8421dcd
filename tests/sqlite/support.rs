//! A folder for one test, and runs to store in it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use quell::{
    EventKind, RunEvent, RunId, Store,
    event::Started,
    id::Timestamp,
    message::Message,
    outcome::{FinishReason, Reply},
    store::{AppendError, BatchId, Events, Expected},
    stores::SqliteStore,
    usage::Usage,
};
use rusqlite::Connection;

/// A folder that is deleted with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(RunId::new().to_string());
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The path of the store.
    pub(crate) fn db(&self) -> PathBuf {
        self.path("runs.db")
    }

    pub(crate) fn open(&self) -> SqliteStore {
        SqliteStore::open(self.db()).unwrap()
    }

    /// A copy of what a process killed now would leave, in its own folder.
    pub(crate) fn as_if_killed(&self) -> Folder {
        let left = Folder::new();
        for name in ["runs.db", "runs.db-wal"] {
            if self.path(name).exists() {
                fs::copy(self.path(name), left.path(name)).unwrap();
            }
        }
        left
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A run whose events the test writes.
#[derive(Clone, Debug)]
pub(crate) struct Hand {
    pub(crate) id: RunId,
    pub(crate) session: Option<Arc<str>>,
    /// All confirmed events.
    pub(crate) events: Vec<RunEvent>,
    pub(crate) epoch: u64,
    /// The time of the next event.
    pub(crate) at: u64,
}

impl Hand {
    pub(crate) fn new() -> Hand {
        Hand {
            id: RunId::new(),
            session: None,
            events: Vec::new(),
            epoch: 1,
            at: 1_000,
        }
    }

    pub(crate) fn of_session(session: &str) -> Hand {
        Hand {
            session: Some(session.into()),
            ..Hand::new()
        }
    }

    pub(crate) fn last(&self) -> u64 {
        self.events.len() as u64
    }

    pub(crate) fn started(&self) -> EventKind {
        let mut started = Started::new("hand", vec![Message::user("Go.")]);
        started.session_id = self.session.clone();
        EventKind::Started(Arc::new(started))
    }

    /// The append of `kinds`, to be sent now or again.
    pub(crate) fn batch(&mut self, kinds: Vec<EventKind>) -> Batch {
        let next = self.last() + 1;
        let events = (next..).zip(kinds).map(|(seq, kind)| {
            self.at += 1;
            RunEvent {
                run_id: self.id,
                seq,
                at: Timestamp::from_millis(self.at),
                kind,
            }
        });
        let events: Vec<RunEvent> = events.collect();
        Batch {
            run: self.id,
            expected: Expected {
                epoch: self.epoch,
                last: self.last(),
                acquire: false,
            },
            id: BatchId(u128::from_be_bytes(*RunId::new().as_bytes())),
            events,
        }
    }

    /// Appends, and keeps the events if they are confirmed.
    pub(crate) async fn append(
        &mut self,
        store: &impl Store,
        kinds: Vec<EventKind>,
    ) -> Result<u64, AppendError> {
        let batch = self.batch(kinds);
        let answer = batch.send(store).await;
        if answer.is_ok() {
            self.events.extend(batch.events);
        }
        answer
    }

    pub(crate) async fn start(&mut self, store: &impl Store) {
        let started = self.started();
        self.append(store, vec![started]).await.unwrap();
    }

    pub(crate) async fn say(&mut self, store: &impl Store, words: &str) {
        self.append(store, vec![said(words)]).await.unwrap();
    }

    pub(crate) async fn end(&mut self, store: &impl Store) {
        self.append(store, vec![completed()]).await.unwrap();
    }

    /// Expects exactly the confirmed events in the store.
    pub(crate) async fn expect_in(&self, store: &impl Store) {
        let head = store.head(self.id).await.unwrap().unwrap();
        assert_eq!((head.last, head.epoch), (self.last(), self.epoch));
        let status = self
            .events
            .iter()
            .rev()
            .find_map(|event| event.kind.status());
        assert_eq!(Some(head.status), status);
        assert_eq!(head.updated_at, self.events.last().unwrap().at);
        assert_eq!(all(store, self.id).await, self.events);
    }
}

/// One append.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) run: RunId,
    pub(crate) expected: Expected,
    pub(crate) id: BatchId,
    pub(crate) events: Vec<RunEvent>,
}

impl Batch {
    pub(crate) async fn send(&self, store: &impl Store) -> Result<u64, AppendError> {
        let events = Events::from_list(self.events.clone()).unwrap();
        store.append(self.run, self.expected, self.id, events).await
    }
}

pub(crate) fn said(words: &str) -> EventKind {
    EventKind::Content { text: words.into() }
}

pub(crate) fn completed() -> EventKind {
    let reply = Reply::new("all of it", FinishReason::Stop, Usage::default());
    EventKind::Completed {
        reply: Arc::new(reply),
    }
}

/// All events of a run, read in pages.
pub(crate) async fn all(store: &impl Store, run: RunId) -> Vec<RunEvent> {
    let mut events = Vec::new();
    loop {
        let page = store.read(run, events.len() as u64, 1_000).await.unwrap();
        if page.is_empty() {
            return events;
        }
        events.extend(page);
    }
}

/// Changes a file without the store.
pub(crate) fn change(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}
