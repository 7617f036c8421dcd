//! Runs that are being read from the store, and whether what is read may be out of date.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Weak},
};

use super::registry::Registry;
use crate::{
    id::RunId,
    lock::locked,
    run::{log::RunLog, stored::Comeback},
};

/// How many are kept at least before they are looked through.
const ROOM: usize = 64;

/// The readings under way, and where the handles of runs that were read find the logs that these get later.
#[derive(Default)]
pub(super) struct Reads {
    underway: HashMap<RunId, Underway>,
    comebacks: HashMap<RunId, Weak<Comeback>>,
    /// How many of them there may be before unused ones are dropped.
    room: usize,
}

/// Readings of one run.
#[derive(Default)]
struct Underway {
    readings: usize,
    /// Grows whenever the run is paused no longer, or was deleted.
    generation: u64,
}

impl Reads {
    /// The run is paused no longer, or was deleted: what is being read of it may be out of date.
    pub(super) fn invalidate(&mut self, run: RunId) {
        if let Some(underway) = self.underway.get_mut(&run) {
            underway.generation += 1;
        }
    }

    /// The same, of any run.
    pub(super) fn invalidate_all(&mut self) {
        for underway in self.underway.values_mut() {
            underway.generation += 1;
        }
    }

    pub(super) fn is_stale(&self, reading: &Reading) -> bool {
        let underway = self.underway.get(&reading.run);
        underway.is_none_or(|underway| underway.generation != reading.generation)
    }

    /// Where the handles of a run find its log when it comes back into memory.
    pub(super) fn comeback(&mut self, run: RunId) -> Arc<Comeback> {
        let known = self.comebacks.get(&run).and_then(Weak::upgrade);
        // One that is set is that of a run which was deleted since.
        if let Some(comeback) = known.filter(|comeback| comeback.get().is_none()) {
            return comeback;
        }
        if self.comebacks.len() >= self.room.max(ROOM) {
            self.comebacks
                .retain(|_, comeback| comeback.strong_count() > 0);
            self.room = 2 * self.comebacks.len();
        }
        let comeback = Arc::default();
        self.comebacks.insert(run, Arc::downgrade(&comeback));
        comeback
    }

    /// A run has come back into memory: its handles follow this log from now on.
    pub(super) fn came_back(&mut self, log: &Arc<RunLog>) {
        if let Some(comeback) = self
            .comebacks
            .remove(&log.id)
            .and_then(|weak| weak.upgrade())
        {
            // Only this code sets it: a run comes back under the registry's lock.
            let _ = comeback.set(log.clone());
        }
    }

    /// How many readings are under way.
    pub(super) fn len(&self) -> usize {
        self.underway
            .values()
            .map(|underway| underway.readings)
            .sum()
    }
}

/// One reading under way.
pub(super) struct Reading {
    registry: Arc<Registry>,
    run: RunId,
    generation: u64,
}

impl Reading {
    pub(super) fn begin(registry: &Arc<Registry>, run: RunId) -> Reading {
        let mut runs = locked(&registry.runs);
        let underway = runs.reads.underway.entry(run).or_default();
        underway.readings += 1;
        Reading {
            generation: underway.generation,
            run,
            registry: registry.clone(),
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut runs = locked(&self.registry.runs);
        if let Entry::Occupied(mut underway) = runs.reads.underway.entry(self.run) {
            underway.get_mut().readings -= 1;
            if underway.get().readings == 0 {
                underway.remove();
            }
        }
    }
}
