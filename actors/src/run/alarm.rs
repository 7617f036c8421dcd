//! A timer for threads that have no tokio runtime of their own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot::{self, Sender};

use crate::lock::locked;

/// Wakes those that wait on threads without a tokio runtime. One thread does that for all of them, and there is none while
/// nobody waits: the runtime of the runs may not be driven at all.
#[derive(Clone, Default)]
pub(crate) struct Alarm(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    due: BTreeMap<(Instant, u64), Sender<()>>,
    last_id: u64,
    /// There is a thread.
    is_served: bool,
}

impl Alarm {
    /// Returns when `limit` has passed, or at once when the system has no thread for it.
    pub(super) async fn after(&self, limit: Duration) {
        let (sender, rung) = oneshot::channel();
        let is_served = {
            let mut waiting = locked(&self.0.waiting);
            waiting.last_id += 1;
            let place = (Instant::now() + limit, waiting.last_id);
            waiting.due.insert(place, sender);
            std::mem::replace(&mut waiting.is_served, true)
        };
        if is_served {
            self.0.changed.notify_one();
        } else {
            let shared = self.0.clone();
            let thread = std::thread::Builder::new().name("quell-alarm".to_owned());
            if thread.spawn(move || shared.serve()).is_err() {
                // Nobody rings: all of them are dropped, outside the lock, which wakes those that wait.
                let gone = std::mem::take(&mut *locked(&self.0.waiting));
                drop(gone);
            }
        }
        // Dropped without a word, it has rung as well.
        let _ = rung.await;
    }
}

impl Shared {
    fn serve(&self) {
        let mut waiting = locked(&self.waiting);
        loop {
            let Some((due, _)) = waiting.due.first_key_value().map(|(place, _)| *place) else {
                waiting.is_served = false;
                return;
            };
            let left = due.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                let slept = self.changed.wait_timeout(waiting, left);
                waiting = slept.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            let rung = waiting.due.pop_first();
            drop(waiting);
            if let Some((_, sender)) = rung {
                // Its waker is somebody else's, and nothing of it is ours.
                let ring = std::panic::AssertUnwindSafe(|| sender.send(()));
                let _ = std::panic::catch_unwind(ring);
            }
            waiting = locked(&self.waiting);
        }
    }
}
