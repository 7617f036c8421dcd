//! The store gives the same results as the one in memory, for any calls in any order, and loses nothing when it is
//! reopened.

use std::sync::Arc;

use proptest::prelude::*;
use quell::{
    EventKind, RunEvent, RunId, RunStatus, Store,
    event::{Paused, Started},
    id::Timestamp,
    message::Message,
    store::{
        BatchId, Events, Expected, MemoryStore, RunQuery, SessionOrder, SessionPatch, SessionQuery,
        StatusSet,
    },
    stores::SqliteStore,
};

use crate::support::{Folder, completed, said};

/// A call to the stores.
#[derive(Clone, Debug)]
enum Step {
    Append {
        run: usize,
        kinds: Vec<Kind>,
        acquire: bool,
        /// How far the expected epoch and position are from the real ones.
        beside: (u64, u64),
        batch: u128,
    },
    /// The last append once more.
    Again,
    DeleteRun(usize),
    DeleteSession(usize),
    Name(usize, Option<u8>),
    Reopen(Reopen),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Said(usize),
    Asked,
    Paused,
    Completed,
}

#[derive(Clone, Copy, Debug)]
enum Reopen {
    Dropped,
    Closed,
    Killed,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        6 => prop_oneof![0..20usize, 20_000..40_000usize].prop_map(Kind::Said),
        2 => Just(Kind::Asked),
        1 => Just(Kind::Paused),
        1 => Just(Kind::Completed),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let beside = prop_oneof![8 => Just((0, 0)), 1 => (0..2u64, 0..2u64)];
    let append = (
        0..4usize,
        proptest::collection::vec(kind(), 1..4),
        prop::bool::weighted(0.1),
        beside,
        1..6u128,
    );
    prop_oneof![
        12 => append.prop_map(|(run, kinds, acquire, beside, batch)| Step::Append { run, kinds, acquire, beside, batch }),
        2 => Just(Step::Again),
        1 => (0..4usize).prop_map(Step::DeleteRun),
        1 => (0..2usize).prop_map(Step::DeleteSession),
        1 => (0..3usize, any::<Option<u8>>()).prop_map(|(session, name)| Step::Name(session, name)),
        2 => prop_oneof![Just(Reopen::Dropped), Just(Reopen::Closed), Just(Reopen::Killed)].prop_map(Step::Reopen),
    ]
}

struct Pair {
    memory: MemoryStore,
    sqlite: Option<SqliteStore>,
    folder: Folder,
    runs: Vec<RunId>,
    clock: u64,
    last: Option<(RunId, Expected, BatchId, Events)>,
}

impl Pair {
    fn sqlite(&self) -> &SqliteStore {
        self.sqlite.as_ref().unwrap()
    }

    async fn take(&mut self, step: Step) {
        self.clock += 1;
        match step {
            Step::Append {
                run,
                kinds,
                acquire,
                beside,
                batch,
            } => {
                let head = self.memory.head(self.runs[run]).await.unwrap();
                let (epoch, last) = head.map_or((1, 0), |head| (head.epoch, head.last));
                let last = last + beside.1;
                let at = Timestamp::from_millis(self.clock);
                let events = kinds
                    .into_iter()
                    .zip(last + 1..)
                    .map(|(kind, seq)| RunEvent {
                        run_id: self.runs[run],
                        seq,
                        at,
                        kind: told(run, seq, kind),
                    });
                let expected = Expected {
                    epoch: epoch + beside.0,
                    last,
                    acquire,
                };
                let events = Events::from_list(events.collect()).unwrap();
                self.last = Some((self.runs[run], expected, BatchId(batch), events));
                self.append().await;
            }
            Step::Again => self.append().await,
            Step::DeleteRun(run) => {
                let run = self.runs[run];
                let answers = (
                    self.memory.delete_run(run).await,
                    self.sqlite().delete_run(run).await,
                );
                assert_eq!(answers.0, answers.1);
            }
            Step::DeleteSession(session) => {
                let id: Arc<str> = format!("session {session}").into();
                let answers = (
                    self.memory.delete_session(id.clone()).await,
                    self.sqlite().delete_session(id).await,
                );
                assert_eq!(answers.0, answers.1);
            }
            Step::Name(session, name) => {
                let id: Arc<str> = format!("session {session}").into();
                let name = name.map(|name| name.to_string());
                let patch = SessionPatch::new().name(name.as_deref());
                let at = Timestamp::from_millis(self.clock);
                self.memory
                    .put_session(id.clone(), patch.clone(), at)
                    .await
                    .unwrap();
                self.sqlite().put_session(id, patch, at).await.unwrap();
            }
            Step::Reopen(how) => {
                let left = self.folder.as_if_killed();
                if matches!(how, Reopen::Closed) {
                    self.sqlite().close().await;
                }
                self.sqlite = None;
                if matches!(how, Reopen::Killed) {
                    self.folder = left;
                }
                self.sqlite = Some(self.folder.open());
            }
        }
        self.compare().await;
    }

    async fn append(&self) {
        let Some((run, expected, batch, events)) = self.last.clone() else {
            return;
        };
        let answers = (
            self.memory
                .append(run, expected, batch, events.clone())
                .await,
            self.sqlite().append(run, expected, batch, events).await,
        );
        assert_eq!(answers.0, answers.1);
    }

    async fn compare(&self) {
        for run in &self.runs {
            let heads = (self.memory.head(*run).await, self.sqlite().head(*run).await);
            assert_eq!(heads.0, heads.1);
            for after in [0, 3] {
                let pages = (
                    self.memory.read(*run, after, 9).await,
                    self.sqlite().read(*run, after, 9).await,
                );
                assert_eq!(pages.0, pages.1);
            }
        }
        for query in [
            RunQuery::default(),
            RunQuery::unfinished(),
            RunQuery::session("session 1"),
            RunQuery::agent("agent 0").limit(1),
            RunQuery::default().oldest_first().limit(2),
            RunQuery::default()
                .statuses(StatusSet::of(&[RunStatus::Running, RunStatus::Completed])),
            RunQuery::default().statuses(RunStatus::Paused.into()),
        ] {
            let mut query = query;
            loop {
                let lists = (
                    self.memory.runs(query.clone()).await,
                    self.sqlite().runs(query.clone()).await,
                );
                assert_eq!(lists.0, lists.1, "{query:?}");
                let Some(last) = lists.0.unwrap().pop() else {
                    break;
                };
                query = query.after(&last);
            }
        }
        let orders = [SessionOrder::Created, SessionOrder::Updated];
        let orders = orders.map(|by| SessionQuery::default().limit(2).by(by));
        for query in orders
            .into_iter()
            .flat_map(|by| [by.clone(), by.oldest_first()])
        {
            self.compare_sessions(query).await;
        }
    }

    async fn compare_sessions(&self, mut query: SessionQuery) {
        loop {
            let lists = (
                self.memory.sessions(query.clone()).await,
                self.sqlite().sessions(query.clone()).await,
            );
            assert_eq!(lists.0, lists.1, "{query:?}");
            let Some(last) = lists.0.unwrap().pop() else {
                break;
            };
            let id = last.session_id.clone();
            assert_eq!(
                self.memory.session(id.clone()).await,
                self.sqlite().session(id).await
            );
            query = query.after(&last);
        }
    }
}

fn told(run: usize, seq: u64, kind: Kind) -> EventKind {
    match kind {
        _ if seq == 1 => {
            let agent = format!("agent {}", run % 2);
            let mut started = Started::new(agent, vec![Message::user("Go.")]);
            started.session_id = (run > 0).then(|| format!("session {}", run / 2).into());
            EventKind::Started(Arc::new(started))
        }
        Kind::Said(length) => said(&"w".repeat(length)),
        Kind::Asked => EventKind::ModelRequestStarted {
            turn: 1,
            attempt: 1,
            input_bytes: None,
        },
        Kind::Paused => EventKind::Paused(Arc::new(Paused::new(vec![]))),
        Kind::Completed => completed(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_answers_as_memory_does(steps in proptest::collection::vec(step(), 1..60)) {
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tokio.block_on(async {
            let folder = Folder::new();
            let mut pair = Pair {
                memory: MemoryStore::default(),
                sqlite: Some(folder.open()),
                folder,
                runs: (0..4).map(|_| RunId::new()).collect(),
                clock: 0,
                last: None,
            };
            for step in steps {
                pair.take(step).await;
            }
        });
    }
}
