//! The memory store beside a store that is as simple as can be: whatever is done to both, they say the same.

mod naive;

use proptest::{collection::vec, prelude::*};

use self::naive::Naive;
use super::*;
use crate::event::Paused;
use crate::status::StatusSet;

const RUNS: usize = 3;
const LOGS: usize = 3;
const SESSIONS: [&str; 2] = ["a", "b"];

#[derive(Clone, Debug)]
enum Op {
    /// Somebody comes who would write to a run, and knows this much of it.
    Log(usize, usize, Knows),
    Append(Append),
    DeleteRun(usize),
    DeleteSession(usize),
    Name(usize, Option<&'static str>),
}

#[derive(Clone, Copy, Debug)]
enum Knows {
    Nothing,
    All,
    Last,
}

#[derive(Clone, Debug)]
struct Append {
    run: usize,
    log: usize,
    /// What is decided first, and how much of it is sent.
    kinds: Vec<Kind>,
    held_back: u64,
    /// How far off the truth the writer is.
    epoch: i64,
    position: i64,
    acquire: bool,
    batch: u128,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Words,
    Asks,
    Pauses,
    Ends,
}

impl Kind {
    fn event(self) -> EventKind {
        match self {
            Kind::Words => words("word"),
            Kind::Asks => EventKind::ModelRequestStarted {
                turn: 1,
                attempt: 1,
                input_bytes: None,
            },
            Kind::Pauses => EventKind::Paused(Arc::new(Paused {
                calls: vec![],
                expires_at: None,
            })),
            Kind::Ends => ending(),
        }
    }
}

fn op() -> impl Strategy<Value = Op> {
    let knows = prop_oneof![Just(Knows::Nothing), Just(Knows::All), Just(Knows::Last)];
    let kind = prop_oneof![
        4 => Just(Kind::Words),
        2 => Just(Kind::Asks),
        1 => Just(Kind::Pauses),
        1 => Just(Kind::Ends),
    ];
    let off = || prop_oneof![8 => Just(0), 1 => Just(-1), 1 => Just(1)];
    let append = (
        (0..RUNS, 0..LOGS),
        (vec(kind, 0..4), 0..2u64),
        (off(), off()),
        (prop::bool::weighted(0.3), 1..4u128),
    )
        .prop_map(
            |((run, log), (kinds, held_back), (epoch, position), (acquire, batch))| {
                Op::Append(Append {
                    run,
                    log,
                    kinds,
                    held_back,
                    epoch,
                    position,
                    acquire,
                    batch,
                })
            },
        );
    let name = prop_oneof![Just(None), Just(Some("sea")), Just(Some("sky"))];
    prop_oneof![
        12 => append,
        3 => (0..RUNS, 0..LOGS, knows).prop_map(|(run, log, knows)| Op::Log(run, log, knows)),
        1 => (0..RUNS).prop_map(Op::DeleteRun),
        1 => (0..SESSIONS.len()).prop_map(Op::DeleteSession),
        2 => (0..SESSIONS.len(), name).prop_map(|(session, name)| Op::Name(session, name)),
    ]
}

/// Both stores, and those who write to them.
struct World {
    store: MemoryStore,
    naive: Naive,
    ids: Vec<RunId>,
    logs: Vec<Vec<Log>>,
    /// What time it is: it stands still now and then.
    time: u64,
}

impl World {
    fn new(keep: usize) -> World {
        let ids: Vec<_> = (0..RUNS).map(|_| RunId::new()).collect();
        let logs = ids.iter().map(|id| vec![Log::after(*id, 0); LOGS]);
        World {
            store: MemoryStore::keeping(keep),
            naive: Naive::keeping(keep),
            logs: logs.collect(),
            ids,
            time: 0,
        }
    }

    fn apply(&mut self, op: Op) {
        self.time += 1;
        match op {
            Op::Log(run, log, knows) => {
                let id = self.ids[run];
                let events = self.naive.events(id);
                self.logs[run][log] = match knows {
                    Knows::Nothing => Log::after(id, 0),
                    Knows::All => Log::with(id, events.iter().cloned()),
                    Knows::Last => Log::after(id, events.len() as u64),
                };
            }
            Op::Append(append) => self.append(append),
            Op::DeleteRun(run) => {
                let id = self.ids[run];
                let deleted = now(self.store.delete_run(id)).unwrap();
                assert_eq!(deleted, self.naive.delete_run(id));
            }
            Op::DeleteSession(session) => {
                let session = SESSIONS[session];
                let deleted = now(self.store.delete_session(session.into())).unwrap();
                assert_eq!(deleted, self.naive.delete_session(session));
            }
            Op::Name(session, name) => {
                let (session, at) = (SESSIONS[session], Timestamp::from_millis(self.time / 3));
                let patch = SessionPatch::new().name(name);
                now(self.store.put_session(session.into(), patch, at)).unwrap();
                self.naive.name(session, name, at);
            }
        }
    }

    fn append(&mut self, append: Append) {
        let id = self.ids[append.run];
        let log = &mut self.logs[append.run][append.log];
        for kind in &append.kinds {
            let at = self.time / 3;
            if log.decided == 0 {
                let session = [None, Some("a"), Some("b")][append.log];
                log.decide(at, started(session));
            }
            log.decide(at, kind.event());
        }
        let stands = self.naive.events(id).len() as u64;
        let off = |number: u64, by: i64| number.saturating_add_signed(by);
        let base = log.tape.base();
        let first = off(stands + 1, append.position).max(base + 1);
        let last = log.decided.saturating_sub(append.held_back).max(first);
        if last > log.decided {
            return;
        }
        let expected = Expected {
            epoch: off(self.naive.epoch(id).unwrap_or(1), append.epoch),
            last: off(stands, append.position),
            acquire: append.acquire,
        };
        let (batch, events) = (BatchId(append.batch), log.events(first, last));
        let answer = self.store.append_now(id, expected, batch, &events);
        let should_be = self
            .naive
            .append(id, expected, batch, events.iter().collect());
        assert_eq!(answer, Some(should_be));
    }

    /// All pages of a list.
    fn pages(&self, mut query: RunQuery) -> Vec<RunHead> {
        let mut pages = Vec::new();
        loop {
            let page = now(self.store.runs(query.clone())).unwrap();
            let Some(last) = page.last() else {
                return pages;
            };
            query = query.after(last);
            pages.extend(page);
        }
    }

    fn compare(&self) {
        for id in &self.ids {
            assert_eq!(now(self.store.head(*id)).unwrap(), self.naive.head(*id));
            match now(self.store.read(*id, 0, 1_000)) {
                Ok(events) => assert_eq!(events, self.naive.events(*id)),
                Err(error) => {
                    assert_eq!(error, ReadError::Expired { first: 1 });
                    assert_eq!(self.naive.head(*id), None);
                }
            }
        }
        let at = |millis| Some(Timestamp::from_millis(millis));
        for session in [None, Some("a"), Some("b")] {
            for statuses in [StatusSet::ALL, StatusSet::UNFINISHED, StatusSet::ENDED] {
                for (from, until) in [(None, None), (at(self.time / 9), at(self.time / 4))] {
                    for oldest_first in [false, true] {
                        let query = RunQuery {
                            session_id: session.map(Arc::from),
                            statuses,
                            from,
                            until,
                            oldest_first,
                            limit: 2,
                            ..RunQuery::default()
                        };
                        assert_eq!(self.pages(query.clone()), self.naive.runs(&query));
                    }
                }
            }
        }
        let listed = now(self.store.sessions(SessionQuery::default())).unwrap();
        assert_eq!(listed, self.naive.sessions());
        for session in SESSIONS {
            let head = now(self.store.session(session.into())).unwrap();
            let listed = listed.iter().find(|head| *head.session_id == *session);
            assert_eq!(head.as_ref(), listed);
        }
        check_whole(&self.store);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_the_store_says_what_a_naive_one_says(
        keep in prop_oneof![0..3usize, Just(100)],
        ops in vec(op(), 0..60),
    ) {
        let mut world = World::new(keep);
        for op in ops {
            world.apply(op);
            world.compare();
        }
    }
}
