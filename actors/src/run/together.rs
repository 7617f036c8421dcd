//! Storing a cancel together with the ending that follows it, or alone when that takes too long.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::log::{RunLog, RuntimeEnv};
use crate::lock::locked;

/// How long a cancel waits for the ending of its run, before it is stored alone.
pub(super) const TOGETHER: Duration = Duration::from_millis(5);

/// Runs with a cancel that is not on its way to the store yet, the oldest first. One task serves all of them, and there is
/// none while there is no such run.
#[derive(Default)]
pub(crate) struct Together(Mutex<VecDeque<(Instant, Weak<RunLog>)>>);

impl RuntimeEnv {
    /// Sends what is decided of `log` on its way in a moment, unless it is by then.
    pub(super) fn flush_soon(self: &Arc<Self>, log: &Arc<RunLog>) {
        let mut waiting = locked(&self.together.0);
        waiting.push_back((Instant::now() + TOGETHER, Arc::downgrade(log)));
        let is_first = waiting.len() == 1;
        drop(waiting);
        if is_first {
            // It keeps nothing of a runtime that is dropped.
            let env = Arc::downgrade(self);
            self.tokio.spawn(async move {
                while let Some(due) = env.upgrade().and_then(|env| env.flush_due()) {
                    sleep_until(due).await;
                }
            });
        }
    }

    /// Flushes what is due. Returns when the next is; `None`, when there is none.
    fn flush_due(&self) -> Option<Instant> {
        loop {
            // It stays in the list until it is flushed: an empty list says that no task is there.
            let (due, log) = locked(&self.together.0).front().cloned()?;
            if due > Instant::now() {
                return Some(due);
            }
            if let Some(log) = log.upgrade() {
                log.flush();
            }
            let mut waiting = locked(&self.together.0);
            waiting.pop_front();
            if waiting.is_empty() {
                return None;
            }
        }
    }
}
