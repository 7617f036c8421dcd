//! What the handles of a store and its threads share.

use std::{
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{live::LiveIndex, pool::Pool, queue::Queue, stats::Counters};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) live: LiveIndex,
    pub(super) pool: Arc<Pool>,
    pub(super) counters: Counters,
    finished: Mutex<Finished>,
    finish: Condvar,
}

#[derive(Debug, Default)]
struct Finished {
    is: bool,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Shared {
    pub(super) fn new(path: &Path) -> Arc<Shared> {
        Arc::new(Shared {
            queue: Queue::default(),
            live: LiveIndex::default(),
            pool: Pool::new(path),
            counters: Counters::default(),
            finished: Mutex::default(),
            finish: Condvar::new(),
        })
    }

    /// Waits until the writer has ended, and the lock is free.
    pub(super) async fn finished(&self) {
        let ended = {
            let mut finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
            if finished.is {
                return;
            }
            let (tell, ended) = oneshot::channel();
            finished.waiting.push(tell);
            ended
        };
        let _ = ended.await;
    }

    /// The same on this thread, and not for longer than `patience`.
    pub(super) fn wait_finished(&self, patience: Duration) {
        let finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .finish
            .wait_timeout_while(finished, patience, |finished| !finished.is);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// The writer's share. When it is dropped, which is after everything else of the writer, those who wait for its end go
/// on.
#[derive(Debug)]
pub(super) struct Finish(pub(super) Arc<Shared>);

impl Drop for Finish {
    fn drop(&mut self) {
        let mut finished = self
            .0
            .finished
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        finished.is = true;
        finished.waiting.clear();
        drop(finished);
        self.0.finish.notify_all();
    }
}
