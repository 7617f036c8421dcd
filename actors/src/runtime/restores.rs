//! Paused runs that are being read from the store, to come back into memory.

use std::{collections::HashMap, sync::Arc};

use super::registry::Registry;
use crate::{id::RunId, lock::locked};

/// The readings under way, each with its run, and whether what it reads may be out of date: the run is paused no longer,
/// or was deleted.
#[derive(Default)]
pub(super) struct Restores {
    tickets: u64,
    underway: HashMap<u64, (RunId, bool)>,
}

impl Restores {
    /// The run is paused no longer.
    pub(super) fn spoil(&mut self, run: RunId) {
        let readings = self.underway.values_mut();
        for (_, spoilt) in readings.filter(|(other, _)| *other == run) {
            *spoilt = true;
        }
    }

    /// Any run may be paused no longer.
    pub(super) fn spoil_all(&mut self) {
        for (_, spoilt) in self.underway.values_mut() {
            *spoilt = true;
        }
    }

    pub(super) fn is_spoilt(&self, reading: &Reading) -> bool {
        let reading = self.underway.get(&reading.ticket);
        reading.is_none_or(|(_, spoilt)| *spoilt)
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
        let restores = &mut locked(&registry.runs).restores;
        restores.tickets += 1;
        restores.underway.insert(restores.tickets, (run, false));
        Reading {
            ticket: restores.tickets,
            registry: registry.clone(),
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let restores = &mut locked(&self.registry.runs).restores;
        restores.underway.remove(&self.ticket);
    }
}
