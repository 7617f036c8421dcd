//! Paused runs that are being read from the store, to come back into memory.

use std::{collections::HashMap, sync::Arc};

use super::registry::Registry;
use crate::{id::RunId, lock::locked};

/// The readings under way, each with its run, and whether what it reads may be out of date: the run is paused no longer,
/// or was deleted.
#[derive(Default)]
pub(super) struct Reads {
    tickets: u64,
    underway: HashMap<u64, (RunId, bool)>,
}

impl Reads {
    /// The run is paused no longer.
    pub(super) fn invalidate(&mut self, run: RunId) {
        let readings = self.underway.values_mut();
        for (_, stale) in readings.filter(|(other, _)| *other == run) {
            *stale = true;
        }
    }

    /// Any run may be paused no longer.
    pub(super) fn invalidate_all(&mut self) {
        for (_, stale) in self.underway.values_mut() {
            *stale = true;
        }
    }

    pub(super) fn is_stale(&self, reading: &Reading) -> bool {
        let reading = self.underway.get(&reading.ticket);
        reading.is_none_or(|(_, stale)| *stale)
    }

    pub(super) fn len(&self) -> usize {
        self.underway.len()
    }
}

/// One reading under way.
pub(super) struct Reading {
    registry: Arc<Registry>,
    ticket: u64,
}

impl Reading {
    pub(super) fn begin(registry: &Arc<Registry>, run: RunId) -> Reading {
        let reads = &mut locked(&registry.runs).reads;
        reads.tickets += 1;
        reads.underway.insert(reads.tickets, (run, false));
        Reading {
            ticket: reads.tickets,
            registry: registry.clone(),
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let reads = &mut locked(&self.registry.runs).reads;
        reads.underway.remove(&self.ticket);
    }
}
