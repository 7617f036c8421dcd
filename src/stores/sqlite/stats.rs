//! Numbers of a running store.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Numbers of a running store, since it was opened unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Appends that were stored.
    pub appends: u64,
    /// Events that were stored.
    pub events: u64,
    /// Commits: of appends, and of what keeps the file in order.
    pub commits: u64,
    /// The time that commits took, of the writer's own.
    pub committing: Duration,
    /// Runs that are in memory now.
    pub live_runs: u64,
    /// What waits for the writer now.
    pub waiting: u64,
    /// Rows of the journal now, as the writer counted last.
    pub journal_rows: u64,
    /// Bytes in the journal now, as the writer counted last.
    pub journal_bytes: u64,
    /// Bytes in the write-ahead log now, as the writer counted last.
    pub log_bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    appends: AtomicU64,
    events: AtomicU64,
    commits: AtomicU64,
    micros: AtomicU64,
    journal_rows: AtomicU64,
    journal_bytes: AtomicU64,
    log_bytes: AtomicU64,
}

impl Counters {
    pub(super) fn committed(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn appended(&self, appends: u64, events: u64) {
        self.appends.fetch_add(appends, Ordering::Relaxed);
        self.events.fetch_add(events, Ordering::Relaxed);
    }

    pub(super) fn journal(&self, rows: usize, bytes: u64) {
        self.journal_rows.store(rows as u64, Ordering::Relaxed);
        self.journal_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn log(&self, bytes: u64) {
        self.log_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> StoreStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreStats {
            appends: read(&self.appends),
            events: read(&self.events),
            commits: read(&self.commits),
            committing: Duration::from_micros(read(&self.micros)),
            live_runs: 0,
            waiting: 0,
            journal_rows: read(&self.journal_rows),
            journal_bytes: read(&self.journal_bytes),
            log_bytes: read(&self.log_bytes),
        }
    }
}
