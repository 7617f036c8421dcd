//! Comparing a file with the printed lines.

use std::collections::{BTreeMap, BTreeSet};

use quell::{
    EventKind, RunEvent, RunId, RunStatus, Store,
    store::{ReadError, RunHead, RunQuery, SessionQuery},
    stores::{IntegrityCheck, SqliteStore},
};

use crate::{
    history::{calls_at_work, faults_of, status_of},
    lines::{Line, json},
};

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It was printed, or confirmed, and is not in the file.
    Lost { run: RunId, what: String },
    /// It was printed differently from the file.
    Changed { run: RunId, seq: u64 },
    /// The run breaks a rule of all histories.
    Broken { run: RunId, what: String },
    /// A list does not match the stored events.
    Listed { what: String },
}

/// All that programs have printed about the runs of one file.
#[derive(Default)]
pub(crate) struct Printed {
    runs: BTreeMap<RunId, Seen>,
    /// Events that were printed twice with different texts.
    contradictions: Vec<Fault>,
}

/// What was printed about one run.
#[derive(Default)]
struct Seen {
    events: BTreeMap<u64, String>,
    /// The last position that was confirmed.
    kept: u64,
    /// Calls that have done something.
    begun: BTreeSet<String>,
}

impl Printed {
    /// Adds a program's lines, and returns how many events it saw.
    pub(crate) fn add(&mut self, lines: &[Line]) -> usize {
        let mut events = 0;
        for line in lines {
            match line {
                Line::Saw { run, seq, json } => {
                    events += 1;
                    let seen = self.runs.entry(*run).or_default();
                    let before = seen.events.insert(*seq, json.clone());
                    if before.is_some_and(|before| before != *json) {
                        let (run, seq) = (*run, *seq);
                        self.contradictions.push(Fault::Changed { run, seq });
                    }
                }
                Line::Kept { run, seq } => {
                    let seen = self.runs.entry(*run).or_default();
                    seen.kept = seen.kept.max(*seq);
                }
                Line::Begun { run, call } => {
                    let seen = self.runs.entry(*run).or_default();
                    seen.begun.insert(call.clone());
                }
                Line::Opening
                | Line::Opened
                | Line::Ready
                | Line::Copying(_)
                | Line::Copied(_)
                | Line::Closing
                | Line::Closed
                | Line::Refused(_) => {}
            }
        }
        events
    }

    /// What was printed and is not in the store, while other events are still being added.
    pub(crate) async fn lost(&self, store: &impl Store) -> Vec<Fault> {
        let mut faults = self.contradictions.clone();
        for (run, seen) in &self.runs {
            faults.extend(missing(*run, seen, &all(store, *run).await));
        }
        faults
    }
}

/// Compares a store with the printed lines. If `settled`, every run must have ended or wait for a person.
pub(crate) async fn faults(store: &impl Store, printed: &Printed, settled: bool) -> Vec<Fault> {
    let mut faults = printed.contradictions.clone();
    let heads = listed(store, RunQuery::default()).await;
    let ids: BTreeSet<RunId> = heads.iter().map(|head| head.run_id).collect();
    for (run, seen) in &printed.runs {
        if !ids.contains(run) {
            faults.extend(missing(*run, seen, &[]));
        }
    }
    for head in &heads {
        let seen = printed.runs.get(&head.run_id);
        if seen.is_some() || !head.status.is_ended() {
            let events = all(store, head.run_id).await;
            faults.extend(broken(head, &events, settled));
            if let Some(seen) = seen {
                faults.extend(missing(head.run_id, seen, &events));
            }
        }
    }
    faults.extend(mislisted(store, &heads).await);
    faults
}

/// What was printed and is not in the store.
fn missing(run: RunId, seen: &Seen, events: &[RunEvent]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut lost = |what: String| faults.push(Fault::Lost { run, what });
    let last = events.len() as u64;
    if seen.kept > last {
        lost(format!("event {}, which was promised", seen.kept));
    }
    let begun = |id: &str| {
        events
            .iter()
            .any(|event| matches!(&event.kind, EventKind::ToolCallStarted(call) if *call.id == *id))
    };
    for call in seen.begun.iter().filter(|call| !begun(call)) {
        lost(format!("the beginning of call {call}"));
    }
    for seq in seen.events.keys().filter(|seq| **seq > last) {
        lost(format!("event {seq}"));
    }
    let there = seen.events.iter().zip(events_at(events, seen));
    for ((seq, printed), event) in there {
        if *printed != json(event) {
            faults.push(Fault::Changed { run, seq: *seq });
        }
    }
    faults
}

/// The stored events at the printed positions, as far as they exist.
fn events_at<'a>(events: &'a [RunEvent], seen: &Seen) -> impl Iterator<Item = &'a RunEvent> {
    seen.events.keys().map_while(|seq| {
        let at = usize::try_from(seq - 1).unwrap();
        events.get(at)
    })
}

fn broken(head: &RunHead, events: &[RunEvent], settled: bool) -> Vec<Fault> {
    let mut faults = faults_of(events, settled);
    if events.len() as u64 != head.last || status_of(events) != Some(head.status) {
        faults.push(format!("it is listed as {head:?}"));
    }
    let run = head.run_id;
    let faults = faults.into_iter();
    faults.map(|what| Fault::Broken { run, what }).collect()
}

/// Whether the lists agree with each other.
async fn mislisted(store: &impl Store, heads: &[RunHead]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            faults.push(Fault::Listed { what });
        }
    };
    let unfinished = listed(store, RunQuery::unfinished()).await;
    let open = heads.iter().filter(|head| !head.status.is_ended());
    let same = open.eq(unfinished.iter());
    expect(same, format!("as unfinished: {unfinished:?}"));
    let query = SessionQuery::default().limit(1_000);
    let sessions = store.sessions(query).await.unwrap();
    let of = |id: Option<&str>| {
        let runs = heads.iter().filter(|head| head.session_id.as_deref() == id);
        runs.count() as u64
    };
    let counted: u64 = sessions.iter().map(|session| session.runs).sum();
    expect(
        counted + of(None) == heads.len() as u64,
        format!("in sessions: {counted} of {}", heads.len()),
    );
    for session in &sessions {
        let runs = of(Some(&session.session_id));
        expect(session.runs == runs, format!("{session:?}, with {runs}"));
    }
    faults
}

/// All runs that a query asks for, in pages.
pub(crate) async fn listed(store: &impl Store, query: RunQuery) -> Vec<RunHead> {
    let mut query = query.limit(500);
    let mut heads = Vec::new();
    loop {
        let page = store.runs(query.clone()).await.unwrap();
        let Some(last) = page.last() else {
            return heads;
        };
        query = query.after(last);
        heads.extend(page);
    }
}

/// All events of a run, in pages.
pub(crate) async fn all(store: &impl Store, run: RunId) -> Vec<RunEvent> {
    let mut events = Vec::new();
    loop {
        match store.read(run, events.len() as u64, 1_000).await {
            Ok(page) if page.is_empty() => return events,
            Ok(page) => events.extend(page),
            // There is no such run.
            Err(ReadError::Expired { .. }) => return events,
            Err(error) => panic!("{run} cannot be read: {error}"),
        }
    }
}

/// Work that a killed program has left.
pub(crate) struct Left {
    /// Runs that were pending, running or cancelling.
    pub(crate) runs: usize,
    /// Calls that were running.
    pub(crate) calls: usize,
}

impl Left {
    pub(crate) async fn in_store(store: &impl Store) -> Left {
        let mut left = Left { runs: 0, calls: 0 };
        for head in listed(store, RunQuery::unfinished()).await {
            if head.status != RunStatus::Paused {
                left.runs += 1;
                left.calls += calls_at_work(&all(store, head.run_id).await);
            }
        }
        left
    }
}

/// Opens the store at `path`, and checks every page and index of it.
pub(crate) fn open_whole(path: &std::path::Path) -> SqliteStore {
    let options = SqliteStore::options(path).integrity_check(IntegrityCheck::Full);
    options.open().unwrap()
}
