//! Runs that are being read from the store, and whether what is read may be out of date.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::registry::Registry;
use crate::{id::RunId, lock::locked};

/// The readings under way.
#[derive(Default)]
pub(super) struct Reads(HashMap<RunId, Underway>);

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
        if let Some(underway) = self.0.get_mut(&run) {
            underway.generation += 1;
        }
    }

    /// The same, of any run.
    pub(super) fn invalidate_all(&mut self) {
        for underway in self.0.values_mut() {
            underway.generation += 1;
        }
    }

    pub(super) fn is_stale(&self, reading: &Reading) -> bool {
        let underway = self.0.get(&reading.run);
        underway.is_none_or(|underway| underway.generation != reading.generation)
    }

    /// How many readings are under way.
    pub(super) fn len(&self) -> usize {
        self.0.values().map(|underway| underway.readings).sum()
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
        let underway = runs.reads.0.entry(run).or_default();
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
        if let Entry::Occupied(mut underway) = runs.reads.0.entry(self.run) {
            underway.get_mut().readings -= 1;
            if underway.get().readings == 0 {
                underway.remove();
            }
        }
    }
}
