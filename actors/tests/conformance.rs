//! The conformance suite passes a store that keeps the rules, and rejects every store that breaks one.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use quell_actors::{
    EventKind, MemoryStore, RunEvent, RunHead, RunId, RunQuery, RunStatus, SessionHead,
    SessionQuery, Store, Timestamp,
    store::{AppendError, BatchId, Events, Expected, ReadError, WriteError, conformance},
};
use support::{Fault, FaultyStore};

/// What a store may get wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    None,
    /// The run and the position are a unique key, and that is all that is checked.
    UniqueKeyOnly,
    /// Only the last position is compared, as `>=`.
    TakesGaps,
    IgnoresEpoch,
    /// Events before the one that conflicts are kept.
    StoresHalf,
    ForgetsBatches,
    /// A batch that was refused counts as done.
    BelievesRefused,
    AppendsAfterTheEnd,
    ReadsBeyondTheLimit,
    ReadsBackwards,
    LosesTheSession,
    AlwaysInDoubt,
}

/// A store that is right but for one flaw.
struct Sloppy {
    flaw: Flaw,
    runs: Mutex<HashMap<RunId, Kept>>,
    /// Answers what no flaw is about.
    lists: MemoryStore,
}

struct Kept {
    epoch: u64,
    batch: BatchId,
    events: Vec<RunEvent>,
}

impl Sloppy {
    fn new(flaw: Flaw) -> Sloppy {
        Sloppy {
            flaw,
            runs: Mutex::default(),
            lists: MemoryStore::default(),
        }
    }
}

fn ended(events: &[RunEvent]) -> bool {
    events.iter().any(RunEvent::is_last)
}

impl Store for Sloppy {
    async fn append(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: Events,
    ) -> Result<u64, AppendError> {
        let flaw = self.flaw;
        if flaw == Flaw::AlwaysInDoubt {
            return Err(AppendError::Unknown("as ever".into()));
        }
        let mut runs = self.runs.lock().unwrap();
        let new: Vec<RunEvent> = events.iter().collect();
        let known = runs.contains_key(&run);
        if !known && (expected.last != 0 || events.first() != 1) && flaw != Flaw::UniqueKeyOnly {
            return Err(AppendError::Fenced { epoch: 0, last: 0 });
        }
        let kept = runs.entry(run).or_insert(Kept {
            epoch: expected.epoch,
            batch: BatchId(0),
            events: Vec::new(),
        });
        let last = kept.events.last().map_or(0, |event| event.seq);
        if kept.batch == batch && flaw != Flaw::ForgetsBatches {
            return Ok(last);
        }
        let fenced = Err(AppendError::Fenced {
            epoch: kept.epoch,
            last,
        });
        let taken = |seq| kept.events.iter().any(|event| event.seq == seq);
        let free = !new.iter().any(|event| taken(event.seq));
        let in_place = match flaw {
            Flaw::UniqueKeyOnly => free,
            Flaw::TakesGaps => expected.last >= last && events.first() > last,
            Flaw::IgnoresEpoch => expected.last == last && events.first() == last + 1,
            _ => {
                kept.epoch == expected.epoch && expected.last == last && events.first() == last + 1
            }
        };
        if ended(&kept.events) && !matches!(flaw, Flaw::UniqueKeyOnly | Flaw::AppendsAfterTheEnd) {
            return Err(AppendError::Ended { last });
        }
        if !in_place {
            match flaw {
                Flaw::StoresHalf => {
                    let fresh: Vec<_> = new.into_iter().filter(|e| e.seq > last).collect();
                    kept.events.extend(fresh);
                }
                Flaw::BelievesRefused => kept.batch = batch,
                _ => {}
            }
            return fenced;
        }
        kept.batch = batch;
        kept.events.extend(new);
        kept.events.sort_by_key(|event| event.seq);
        Ok(kept.events.last().unwrap().seq)
    }

    async fn head(&self, run: RunId) -> Result<Option<RunHead>, ReadError> {
        let runs = self.runs.lock().unwrap();
        let Some(kept) = runs.get(&run) else {
            return Ok(None);
        };
        let EventKind::Started(started) = &kept.events[0].kind else {
            return Err(ReadError::Failed("no start".into()));
        };
        let session = started.session_id.clone();
        Ok(Some(RunHead {
            run_id: run,
            agent: started.agent.clone(),
            session_id: session.filter(|_| self.flaw != Flaw::LosesTheSession),
            status: kept
                .events
                .iter()
                .rev()
                .find_map(|event| event.kind.status())
                .unwrap_or(RunStatus::Pending),
            last: kept.events.last().unwrap().seq,
            epoch: kept.epoch,
            created_at: kept.events[0].at,
            updated_at: kept.events.last().unwrap().at,
        }))
    }

    async fn read(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<RunEvent>, ReadError> {
        let runs = self.runs.lock().unwrap();
        let events = runs.get(&run).map_or(&[][..], |kept| &kept.events);
        let limit = if self.flaw == Flaw::ReadsBeyondTheLimit {
            limit + 1
        } else {
            limit
        };
        let mut page: Vec<_> = events
            .iter()
            .filter(|e| e.seq > after)
            .take(limit)
            .cloned()
            .collect();
        if self.flaw == Flaw::ReadsBackwards {
            page.reverse();
        }
        Ok(page)
    }
    async fn runs(&self, query: RunQuery) -> Result<Vec<RunHead>, ReadError> {
        self.lists.runs(query).await
    }

    async fn session(&self, id: Arc<str>) -> Result<Option<SessionHead>, ReadError> {
        self.lists.session(id).await
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Vec<SessionHead>, ReadError> {
        self.lists.sessions(query).await
    }

    async fn name_session(
        &self,
        id: Arc<str>,
        name: Option<Arc<str>>,
        at: Timestamp,
    ) -> Result<(), WriteError> {
        self.lists.name_session(id, name, at).await
    }

    async fn delete_run(&self, run: RunId) -> Result<bool, WriteError> {
        self.lists.delete_run(run).await
    }

    async fn delete_session(&self, id: Arc<str>) -> Result<bool, WriteError> {
        self.lists.delete_session(id).await
    }
}

#[tokio::test]
async fn the_memory_store_passes() {
    conformance::check(&MemoryStore::default()).await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_in_doubt_now_and_then_passes() {
    let store = FaultyStore::open();
    store.fail([
        Fault::UnknownBeforeStoring,
        Fault::UnknownAfterStoring,
        Fault::UnknownAfterStoring,
    ]);
    conformance::check(&store).await.unwrap();
}

#[tokio::test]
async fn a_store_without_a_flaw_passes_and_each_flaw_is_found() {
    conformance::check(&Sloppy::new(Flaw::None)).await.unwrap();
    for flaw in [
        Flaw::UniqueKeyOnly,
        Flaw::TakesGaps,
        Flaw::IgnoresEpoch,
        Flaw::StoresHalf,
        Flaw::ForgetsBatches,
        Flaw::BelievesRefused,
        Flaw::AppendsAfterTheEnd,
        Flaw::ReadsBeyondTheLimit,
        Flaw::ReadsBackwards,
        Flaw::LosesTheSession,
        Flaw::AlwaysInDoubt,
    ] {
        let found = conformance::check(&Sloppy::new(flaw)).await;
        assert!(found.is_err(), "{flaw:?} was not found");
    }
}
