//! What a runtime counts. Nothing here is on the way of a chunk.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    cancel::Activity, event::StatusChange, id::Timestamp, lock::locked, status::RunStatus,
};

/// How many bounds a histogram has: each is twice the one before, the first is 100 microseconds.
const BOUNDS: usize = 22;

/// How many of what a runtime has seen. Exact: each thing is counted where it is decided or stored.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) started: AtomicU64,
    /// Runs of an earlier process that were taken over.
    pub(crate) carried_over: AtomicU64,
    /// Endings that are stored, by their status and why.
    pub(crate) ended: Counts<(RunStatus, &'static str)>,
    /// Starts that were refused, by why.
    pub(crate) refused: Counts<&'static str>,
    /// From the acceptance of a cancel until the run was quiet, by what was cut.
    cancels: Mutex<Vec<(Activity, Arc<Buckets>)>>,
    pub(crate) first_word: Buckets,
    /// Appends that a store did not answer where it stood.
    pub(crate) appends: Buckets,
    pub(crate) store_retries: AtomicU64,
    pub(crate) model_retries: AtomicU64,
    pub(crate) readers: Gauge,
    pub(crate) store: StoreState,
}

impl Counters {
    /// A run's status changed, and that is stored.
    pub(crate) fn changed(&self, change: &StatusChange) {
        if change.seq == 1 {
            self.started.fetch_add(1, Relaxed);
        }
        let Some(ended) = &change.ending else {
            return;
        };
        self.ended.add((change.status, ended.reason.label()));
        if let (Some(cut), Some(took)) = (ended.cut, ended.took) {
            self.cancels(cut).observe(took);
        }
        if let Some(wait) = ended.first_word {
            self.first_word.observe(wait);
        }
    }

    /// What `read` makes of the cancels that cut each activity.
    pub(crate) fn each_cancel<T>(&self, read: impl Fn(&Buckets) -> T) -> Vec<(Activity, T)> {
        let cancels = locked(&self.cancels);
        let each = cancels.iter();
        each.map(|(cut, buckets)| (*cut, read(buckets))).collect()
    }

    fn cancels(&self, cut: Activity) -> Arc<Buckets> {
        let mut cancels = locked(&self.cancels);
        if let Some((_, buckets)) = cancels.iter().find(|(other, _)| *other == cut) {
            return buckets.clone();
        }
        let buckets = Arc::new(Buckets::default());
        cancels.push((cut, buckets.clone()));
        buckets
    }
}

/// How many of each kind: of few kinds, and seldom.
#[derive(Debug)]
pub(crate) struct Counts<T>(Mutex<Vec<(T, u64)>>);

impl<T> Default for Counts<T> {
    fn default() -> Counts<T> {
        Counts(Mutex::default())
    }
}

impl<T: Copy + PartialEq> Counts<T> {
    pub(crate) fn add(&self, kind: T) {
        let mut counts = locked(&self.0);
        match counts.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, count)) => *count += 1,
            None => counts.push((kind, 1)),
        }
    }

    pub(crate) fn read(&self) -> Vec<(T, u64)> {
        locked(&self.0).clone()
    }
}

/// How many of how long.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    /// The last is for those that are longer than all bounds.
    counts: [AtomicU64; BOUNDS + 1],
    sum: AtomicU64,
}

impl Buckets {
    pub(crate) fn observe(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let doublings = u64::BITS - (micros.saturating_sub(1) / 100).leading_zeros();
        let at = (doublings as usize).min(BOUNDS);
        self.counts[at].fetch_add(1, Relaxed);
        self.sum.fetch_add(micros, Relaxed);
    }

    /// How many there are up to each bound in microseconds, how many in all, and how long they are together.
    pub(crate) fn read(&self) -> (Vec<(u64, u64)>, u64, Duration) {
        let mut sum = 0;
        let mut up_to = Vec::with_capacity(BOUNDS);
        for (at, count) in self.counts.iter().enumerate() {
            sum += count.load(Relaxed);
            if at < BOUNDS {
                up_to.push((100 << at, sum));
            }
        }
        (up_to, sum, Duration::from_micros(self.sum.load(Relaxed)))
    }
}

/// How many there are now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// One more, for as long as what is returned is kept.
    pub(crate) fn enter(&self) -> Counted {
        self.0.fetch_add(1, Relaxed);
        Counted(self.0.clone())
    }

    pub(crate) fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// One of those that a [`Gauge`] counts.
#[derive(Debug)]
pub(crate) struct Counted(Arc<AtomicU64>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// How the store has answered lately.
#[derive(Debug, Default)]
pub(crate) struct StoreState {
    /// Appends that are tried again, and since when there are any.
    doubts: Gauge,
    doubted_since: AtomicU64,
    /// Runs that wait for the store to come back.
    pub(crate) lost: Gauge,
    /// When it last did not take a start.
    refused_at: AtomicU64,
}

impl StoreState {
    /// An append is tried again, for as long as what is returned is kept.
    pub(crate) fn doubt(&self, now: Timestamp) -> Counted {
        let doubt = self.doubts.enter();
        if self.doubts.now() == 1 {
            self.doubted_since.store(now.as_millis(), Relaxed);
        }
        doubt
    }

    /// Since when appends are tried again, if any are.
    pub(crate) fn doubted_since(&self) -> Option<Timestamp> {
        let since = self.doubted_since.load(Relaxed);
        (self.doubts.now() > 0).then(|| Timestamp::from_millis(since))
    }

    /// A start was not taken.
    pub(crate) fn refused(&self, now: Timestamp) {
        self.refused_at.store(now.as_millis(), Relaxed);
    }

    /// Whether a start was not taken `within` this time.
    pub(crate) fn has_refused(&self, within: Duration, now: Timestamp) -> bool {
        let at = Timestamp::from_millis(self.refused_at.load(Relaxed));
        at.as_millis() > 0 && now.since(at) < within
    }
}
