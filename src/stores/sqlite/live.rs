//! The heads of live runs, and their events that are not in segments yet. The writer thread writes it, readers look.
//!
//! What stands here is committed. A run that is not here is exactly as its row says, at any moment since a reader last
//! looked: that is what pins are for.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use quell_actors::{RunEvent, RunId, store::Events};

use super::rows::RunRow;

/// A live run.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) row: RunRow,
    /// The events after `row.folded`. They share the memory of the run itself.
    pub(super) tail: Vec<Events>,
    /// How many bytes of the journal the tail uses.
    pub(super) tail_bytes: usize,
    /// The journal row in which the tail begins.
    pub(super) oldest: Option<u64>,
    /// Which of its departures is under way; 0 for none.
    leaving: u64,
}

impl Live {
    /// A run of which everything is in segments.
    pub(super) fn folded(row: RunRow) -> Live {
        Live {
            row,
            tail: Vec::new(),
            tail_bytes: 0,
            oldest: None,
            leaving: 0,
        }
    }

    /// Records what was appended.
    pub(super) fn push(&mut self, events: Events, bytes: usize) {
        self.leaving = 0;
        self.tail_bytes += bytes;
        let joined = self.tail.last_mut().is_some_and(|last| last.join(&events));
        if !joined {
            self.tail.push(events);
        }
    }

    /// Notes that all of it is in segments. Returns the journal row in which the tail began.
    pub(super) fn fold(&mut self) -> Option<u64> {
        // A departure from before this is called off: readers who began since then may have read what the row was.
        self.leaving = 0;
        self.row.folded = self.row.head.last;
        self.tail = Vec::new();
        self.tail_bytes = 0;
        self.oldest.take()
    }

    /// The events of the tail after position `after`, at most `limit`.
    pub(super) fn tail_after(&self, after: u64, limit: usize) -> TailAfter {
        let reaches = |events: &&Events| events.last() > after;
        TailAfter {
            events: self.tail.iter().filter(reaches).cloned().collect(),
            after,
            limit,
        }
    }
}

/// Events of a tail, to be copied when the lock is released.
#[derive(Debug)]
pub(super) struct TailAfter {
    events: Vec<Events>,
    after: u64,
    limit: usize,
}

impl TailAfter {
    pub(super) fn copy(self) -> impl Iterator<Item = RunEvent> {
        let TailAfter {
            events,
            after,
            limit,
        } = self;
        let after = events.into_iter().flat_map(move |events| {
            let after = events.iter().filter(|event| event.seq > after).take(limit);
            after.collect::<Vec<_>>()
        });
        after.take(limit)
    }
}

#[derive(Debug, Default)]
pub(super) struct LiveIndex(Mutex<Inner>);

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) runs: HashMap<RunId, Live>,
    /// Runs that need not be here any more, and since when.
    leaving: VecDeque<(u64, RunId)>,
    clock: u64,
    /// How many readers look, by when they began.
    pins: BTreeMap<u64, usize>,
}

impl LiveIndex {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that runs under the lock can panic half-way, so the data is whole even when a thread did.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds every run here that is here now, until the pin is dropped. A reader takes it before it looks into the
    /// file: what it does not find here afterwards was not live in between, and is as the file says.
    pub(super) fn pin(&self) -> Pin<'_> {
        let mut inner = self.lock();
        let since = inner.clock;
        *inner.pins.entry(since).or_default() += 1;
        Pin { index: self, since }
    }
}

impl Inner {
    /// Drops a run that is all in the file, as soon as no reader may need it.
    pub(super) fn leave(&mut self, run: RunId) {
        if self.pins.is_empty() {
            self.runs.remove(&run);
            return;
        }
        self.clock += 1;
        if let Some(live) = self.runs.get_mut(&run) {
            live.leaving = self.clock;
            self.leaving.push_back((self.clock, run));
        }
    }

    /// Drops those that no reader can need any more.
    pub(super) fn let_go(&mut self) {
        let first = self.pins.keys().next().copied().unwrap_or(u64::MAX);
        while let Some((since, run)) = self.leaving.pop_front_if(|(since, _)| *since <= first) {
            // It may have come back to life meanwhile.
            if self
                .runs
                .get(&run)
                .is_some_and(|live| live.leaving == since)
            {
                self.runs.remove(&run);
            }
        }
    }
}

/// See [`LiveIndex::pin`].
#[derive(Debug)]
pub(super) struct Pin<'a> {
    index: &'a LiveIndex,
    since: u64,
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        let mut inner = self.index.lock();
        if let Some(count) = inner.pins.get_mut(&self.since) {
            *count -= 1;
            if *count == 0 {
                inner.pins.remove(&self.since);
            }
        }
    }
}
