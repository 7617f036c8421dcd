//! What a test can hold of a simulated model: a gate for its chunks, and counters of its streams.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{Notify, Semaphore};

/// Decides when the chunks of a simulated model come: each waits until the test lets it through. The first chunk of an
/// answer is `Connected`, the last is `Finished`. Clones share one gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// A closed gate.
    #[allow(
        clippy::new_without_default,
        reason = "clones share, so two defaults would not be equal"
    )]
    pub fn new() -> Gate {
        Gate(Arc::new(Semaphore::new(0)))
    }

    /// Lets the next `chunks` chunks through, in the order in which streams ask.
    pub fn let_through(&self, chunks: usize) {
        self.0.add_permits(chunks);
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.0.close();
    }

    /// Waits like one chunk. For tests that hold up other things than a model.
    pub async fn wait(&self) {
        // An error means that the semaphore is closed, so the gate is open.
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

/// Watches the streams of a simulated model. Clones watch the same model.
#[derive(Clone, Debug, Default)]
pub struct Probe(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    open: AtomicU64,
    chunks: AtomicU64,
    changed: Notify,
}

impl Probe {
    /// How many requests the model has got.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Acquire)
    }

    /// How many of its streams have been polled and have neither finished nor been dropped.
    pub fn open(&self) -> u64 {
        self.0.open.load(Ordering::Acquire)
    }

    /// How many chunks it has returned, over all streams.
    pub fn chunks(&self) -> u64 {
        self.0.chunks.load(Ordering::Acquire)
    }

    /// Waits until the model has got `count` requests.
    pub async fn asked(&self, count: u64) {
        self.until(|| self.requests() >= count).await;
    }

    /// Waits until no stream is open.
    pub async fn closed(&self) {
        self.until(|| self.open() == 0).await;
    }

    async fn until(&self, holds: impl Fn() -> bool) {
        loop {
            let changed = self.0.changed.notified();
            if holds() {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn chunk(&self) {
        self.0.chunks.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts a stream as open until the returned guard is dropped. Returns also how many requests came before it.
    pub(super) fn opened(&self) -> (Opened, u64) {
        self.0.open.fetch_add(1, Ordering::AcqRel);
        let before = self.0.requests.fetch_add(1, Ordering::AcqRel);
        self.0.changed.notify_waiters();
        (Opened(self.clone()), before)
    }
}

/// One open stream.
#[derive(Debug)]
pub(super) struct Opened(Probe);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.0.changed.notify_waiters();
    }
}
