//! What can be seen of a runtime from outside: counts, and whether its store responds.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use serde::Serialize;
use tokio::time::Instant;

use super::Runtime;
use crate::{
    cancel::Activity, error::StartError, id::Timestamp, lock::locked, run::counters::Buckets,
    settings::required, status::RunStatus,
};

/// For how long a store counts as lost that has not taken a start.
const REFUSED: Duration = Duration::from_secs(10);

/// How many of what a runtime has, and has had since it was opened. See [`Runtime::stats`].
///
/// Each run is counted when its start is stored, and when its ending is. So when nothing is under way, the runs that
/// were started or carried over are those that have ended, and those that are paused, or were deleted while they were.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RuntimeStats {
    /// Runs that have a slot now.
    pub live: usize,
    /// Runs that wait for a slot now.
    pub queued: usize,
    /// Runs that wait for their session now.
    pub waiting: usize,
    /// Runs that are paused now and that something is kept of here, such as their agent or the time when they expire.
    pub paused: usize,
    /// Streams of events that are being read now.
    pub readers: u64,
    /// Runs that were started.
    pub started: u64,
    /// Runs of an earlier process that were settled or continued when the store was opened.
    pub carried_over: u64,
    /// Runs that have ended, by how and why: the word is that of
    /// [`EndReason::label`](crate::event::EndReason::label).
    pub ended: Vec<EndedCount>,
    /// Starts that were refused, by why: the word is that of [`StartError::label`].
    pub refused: Vec<(&'static str, u64)>,
    /// From the acceptance of a cancel until nothing of the run was running, by what it cut.
    pub cancels: Vec<(Activity, Histogram)>,
    /// From a run's first request until its model first said something.
    pub first_word: Histogram,
    /// How long appends took that the store did not finish at once.
    pub appends: Histogram,
    /// Appends that were tried again.
    pub store_retries: u64,
    /// Requests to a model that were repeated.
    pub model_retries: u64,
}

impl RuntimeStats {
    /// How many runs have ended, in whatever way.
    pub fn ended_in_all(&self) -> u64 {
        self.ended.iter().map(|ended| ended.count).sum()
    }
}

/// How many runs ended in one way, for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EndedCount {
    /// How they ended.
    pub status: RunStatus,
    /// Why, in a word.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
}

/// How many things took how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Histogram {
    /// How many took at most so long, in microseconds: the bounds double from 100 microseconds to about 210 seconds.
    pub up_to_us: Vec<(u64, u64)>,
    /// How many there were in all.
    pub count: u64,
    /// How long all of them took together.
    #[serde(with = "required")]
    pub sum: Duration,
}

impl Histogram {
    fn of(buckets: &Buckets) -> Histogram {
        let (up_to_us, count, sum) = buckets.read();
        Histogram {
            up_to_us,
            count,
            sum,
        }
    }
}

/// Whether a runtime can be asked to start runs. See [`Runtime::health`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether it accepts runs: it is not shutting down.
    pub accepting: bool,
    /// How its store responds.
    pub store: StoreHealth,
}

/// How a store has answered lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum StoreHealth {
    /// Nothing is wrong, as far as is known.
    Ok,
    /// It does not confirm some appends, which are tried again.
    Stuttering {
        /// Since when.
        since: Timestamp,
    },
    /// Runs have given it up and wait until it is back, or it has not taken a start within the last 10 seconds.
    Lost,
}

impl Runtime {
    /// Exact counts, for metrics: each thing is counted where it happens, and not by the feed of changes, which may
    /// miss some. They are read one after another, so that they agree with each other only when nothing is under way.
    pub fn stats(&self) -> RuntimeStats {
        let registry = self.registry();
        let counts = locked(&registry.runs).desk.counts();
        let counters = &registry.env.counters;
        let ended = counters.ended.read().into_iter();
        RuntimeStats {
            live: counts.live,
            queued: counts.queued,
            waiting: counts.waiting,
            paused: counts.paused,
            readers: counters.readers.now(),
            started: counters.started.load(Relaxed),
            carried_over: counters.carried_over.load(Relaxed),
            ended: ended
                .map(|((status, reason), count)| EndedCount {
                    status,
                    reason,
                    count,
                })
                .collect(),
            refused: counters.refused.read(),
            cancels: counters.each_cancel(Histogram::of),
            first_word: Histogram::of(&counters.first_word),
            appends: Histogram::of(&counters.appends),
            store_retries: counters.store_retries.load(Relaxed),
            model_retries: counters.model_retries.load(Relaxed),
        }
    }

    /// Whether runs can be started, as far as is known from what the store has answered lately: it is not asked.
    pub fn health(&self) -> Health {
        let registry = self.registry();
        let store = &registry.env.counters.store;
        let now = registry.env.clock.at(Instant::now());
        let store = if store.lost.now() > 0 || store.has_refused(REFUSED, now) {
            StoreHealth::Lost
        } else {
            match store.doubted_since() {
                Some(since) => StoreHealth::Stuttering { since },
                None => StoreHealth::Ok,
            }
        };
        Health {
            accepting: locked(&registry.runs).desk.is_accepting(),
            store,
        }
    }
}

impl StartError {
    /// A word for it, without what the error itself says: for labels of metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            StartError::Agent(_) => "agent",
            StartError::EmptyInput => "empty_input",
            StartError::InvalidSession { .. } => "invalid_session",
            StartError::InvalidUser { .. } => "invalid_user",
            StartError::LargeContext { .. } => "large_context",
            StartError::DuplicateRun(_) => "duplicate_run",
            StartError::QueueFull { .. } => "queue_full",
            StartError::ShuttingDown => "shutting_down",
            StartError::SessionBusy(_) => "session_busy",
            StartError::SessionQueueFull(_) => "session_queue_full",
            StartError::SessionDeleted(_) => "session_deleted",
            StartError::ParentEnded(_) => "parent_ended",
            StartError::TooDeep { .. } => "too_deep",
            StartError::TooManyChildren { .. } => "too_many_children",
            StartError::ForeignSession(_) => "foreign_session",
            StartError::SupervisorGone => "supervisor_gone",
            StartError::StoreUnavailable(_) => "store_unavailable",
            StartError::StoreUnknown(_) => "store_unknown",
        }
    }
}
