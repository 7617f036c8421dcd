//! What the tests of the memory store share: logs that write to it, and a look inside.

mod forget;
mod model;
mod pages;
mod race;
mod tape;

use std::{collections::HashMap, future::Future, sync::Arc};

use futures::FutureExt;

use super::{index::List, *};
use crate::{
    event::{EventKind, Started},
    outcome::{ErrorReason, RunError},
    store::Tape,
    usage::Usage,
};

/// The answer of a store that never waits.
fn now<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().expect("the memory store never waits")
}

fn started(session: Option<&str>) -> EventKind {
    let mut started = Started::new("guide", vec![]);
    started.session_id = session.map(Arc::from);
    EventKind::Started(Arc::new(started))
}

fn words(text: &str) -> EventKind {
    EventKind::Content { text: text.into() }
}

fn ending() -> EventKind {
    let error = Arc::new(RunError {
        reason: ErrorReason::Model,
        message: "over".to_owned(),
        text: String::new(),
        reasoning: String::new(),
        usage: Usage::default(),
    });
    EventKind::Error { error }
}

/// Somebody who writes to a run, as a run's log does: from a tape that may hold more than what is stored.
#[derive(Clone)]
struct Log {
    tape: Arc<Tape>,
    decided: u64,
}

impl Log {
    /// One that goes on after position `base`.
    fn after(run: RunId, base: u64) -> Log {
        Log {
            tape: Arc::new(Tape::new(run, base)),
            decided: base,
        }
    }

    /// One that has these events from position 1 on, as a run has that goes on after a pause.
    fn with(run: RunId, events: impl IntoIterator<Item = RunEvent>) -> Log {
        let mut log = Log::after(run, 0);
        for event in events {
            log.decide(event.at.as_millis(), event.kind);
        }
        log
    }

    /// One that begins a run.
    fn begin(run: RunId, session: Option<&str>) -> Log {
        let mut log = Log::after(run, 0);
        log.decide(1, started(session));
        log
    }

    fn decide(&mut self, at: u64, kind: EventKind) {
        self.tape.push(Timestamp::from_millis(at), kind);
        self.decided += 1;
    }

    /// Positions `first..=last` of what it has decided.
    fn events(&self, first: u64, last: u64) -> Events {
        Events::of(&self.tape, first, last)
    }

    /// Appends `first..=last`, as the owner in `epoch`.
    fn append(
        &self,
        store: &MemoryStore,
        epoch: u64,
        (first, last): (u64, u64),
    ) -> Result<u64, AppendError> {
        let expected = Expected {
            epoch,
            last: first - 1,
            acquire: false,
        };
        self.write(store, expected, last)
    }

    /// Takes the run over with `first..=last`.
    fn acquire(
        &self,
        store: &MemoryStore,
        epoch: u64,
        (first, last): (u64, u64),
    ) -> Result<u64, AppendError> {
        let expected = Expected {
            epoch,
            last: first - 1,
            acquire: true,
        };
        self.write(store, expected, last)
    }

    fn write(
        &self,
        store: &MemoryStore,
        expected: Expected,
        last: u64,
    ) -> Result<u64, AppendError> {
        let run = self.tape.run_id();
        let nonce = Arc::as_ptr(&self.tape).addr();
        let batch = BatchId((nonce as u128) << 64 | u128::from(last));
        let events = self.events(expected.last + 1, last);
        let answer = store.append_now(run, expected, batch, &events);
        answer.expect("the memory store answers where it stands")
    }
}

/// Begins a run, and ends it unless it is to live.
fn run(store: &MemoryStore, session: Option<&str>, lives: bool) -> RunId {
    let id = RunId::new();
    let mut log = Log::begin(id, session);
    assert_eq!(log.append(store, 1, (1, 1)), Ok(1));
    if !lives {
        log.decide(2, ending());
        assert_eq!(log.append(store, 1, (2, 2)), Ok(2));
    }
    id
}

fn is_there(store: &MemoryStore, run: RunId) -> bool {
    now(store.head(run)).unwrap().is_some()
}

fn name(store: &MemoryStore, session: &str, name: Option<&str>) {
    let at = Timestamp::from_millis(1);
    let patch = SessionPatch::new().name(name);
    now(store.put_session(session.into(), patch, at)).unwrap();
}

fn sessions(store: &MemoryStore) -> Vec<String> {
    let query = SessionQuery::default();
    let sessions = now(store.sessions(query)).unwrap();
    let mut ids: Vec<_> = sessions
        .iter()
        .map(|session| session.session_id.to_string())
        .collect();
    ids.sort();
    ids
}

/// Looks inside: the index and the runs say the same, and nothing is kept beyond its bound.
fn check_whole(store: &MemoryStore) {
    let index = locked(&store.index);
    let (mut ended, mut all) = (0, 0);
    let (mut listed, mut of_session) = (0, HashMap::<Arc<str>, u64>::new());
    for shard in &store.shards {
        for (id, kept) in locked(shard).iter() {
            let key = (kept.head.created_at, *id);
            let lists = index.lists.values();
            listed += lists.filter(|list| list.contains(&key)).count();
            let is_in = |list| {
                index
                    .lists
                    .get(&list)
                    .is_some_and(|list| list.contains(&key))
            };
            let has_ended = kept.head.status.is_ended();
            all += 1;
            assert!(is_in(List::All), "{index:?}");
            assert!(is_in(List::Agent(kept.head.agent.clone())), "{index:?}");
            assert_eq!(is_in(List::Unfinished), !has_ended, "{index:?}");
            assert_eq!(has_ended, kept.ended.is_some(), "{kept:?}");
            if let Some(place) = kept.ended {
                assert_eq!(index.ended.get(&place), Some(id), "{index:?}");
                ended += 1;
            }
            if let Some(session) = &kept.head.session_id {
                assert!(is_in(List::Session(session.clone())), "{index:?}");
                *of_session.entry(session.clone()).or_default() += 1;
            }
        }
    }
    // Nothing is in a list that is not kept any more.
    assert!(
        index.lists.values().all(|list| !list.is_empty()),
        "{index:?}"
    );
    let in_lists: usize = index.lists.values().map(|list| list.len()).sum();
    assert_eq!(
        (
            in_lists,
            index.lists.get(&List::All).map_or(0, |list| list.len())
        ),
        (listed, all)
    );
    assert_eq!(index.ended.len(), ended, "{index:?}");
    assert!(ended <= store.keep, "{index:?}");
    let mut idle = 0;
    for (id, session) in &index.sessions {
        let runs = of_session.get(id).copied().unwrap_or_default();
        let head = &session.head;
        assert_eq!(head.runs, runs, "{id} {index:?}");
        assert!(
            index.by_created.contains(&(head.created_at, id.clone())),
            "{index:?}"
        );
        assert!(
            index.by_updated.contains(&(head.updated_at, id.clone())),
            "{index:?}"
        );
        assert_eq!(session.idle.is_some(), runs == 0, "{id} {index:?}");
        if let Some(place) = session.idle {
            assert_eq!(index.idle.get(&place), Some(id), "{index:?}");
            idle += 1;
        }
    }
    let sessions = index.sessions.len();
    assert_eq!(
        (index.by_created.len(), index.by_updated.len()),
        (sessions, sessions)
    );
    assert_eq!(index.idle.len(), idle, "{index:?}");
    assert!(idle <= store.keep, "{index:?}");
}
