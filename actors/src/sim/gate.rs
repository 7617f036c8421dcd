//! What a test holds of a simulated model: when its chunks come, and what became of its streams.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{Notify, Semaphore};

/// Decides when the chunks of a simulated model come: each waits until it is let through. The first of an answer is
/// `Connected`, the last is `Finished`. Clones are the same gate.
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

    /// Lets the next `chunks` chunks through, of whichever stream asks first.
    pub fn let_through(&self, chunks: usize) {
        self.0.add_permits(chunks);
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.0.close();
    }

    /// Waits to be let through, as one chunk does. For tests that have more to hold up than a model.
    pub async fn wait(&self) {
        // A closed semaphore is an open gate.
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
    /// How many times the model was asked.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Acquire)
    }

    /// How many of its streams have been polled, and were neither dropped nor finished.
    pub fn open(&self) -> u64 {
        self.0.open.load(Ordering::Acquire)
    }

    /// How many chunks it gave out, over all streams.
    pub fn chunks(&self) -> u64 {
        self.0.chunks.load(Ordering::Acquire)
    }

    /// Waits until the model has been asked `count` times.
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

    /// A stream opens; it is open until what is returned is dropped. Answers also how many requests came before it.
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
