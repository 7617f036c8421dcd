//! Waiting for a run's log: until a position is stored, or until the run has ended.

use std::future::poll_fn;

use super::{log::RunLog, waiters::WaiterKey};
use crate::{error::EventsError, store::AppendError};

impl RunLog {
    /// Waits until position `seq` is stored.
    ///
    /// # Errors
    ///
    /// Why the store was lost: position `seq` is not known to be stored.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub(crate) async fn wait_stored(&self, seq: u64) -> Result<(), AppendError> {
        let mut waiter = Waiter::new(self);
        poll_fn(|cx| self.poll_mark(seq, &mut waiter.key, cx)).await
    }

    /// Waits until the run has ended and that is stored. Returns the position of its last event.
    ///
    /// # Errors
    ///
    /// [`EventsError::StoreLost`]: the ending is not known to be stored.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub(crate) async fn wait_ended(&self) -> Result<u64, EventsError> {
        let mut waiter = Waiter::new(self);
        poll_fn(|cx| self.poll_ended(&mut waiter.key, cx)).await
    }
}

/// A place among those that wait for a log, which is given up when this is dropped.
struct Waiter<'a> {
    log: &'a RunLog,
    key: WaiterKey,
}

impl<'a> Waiter<'a> {
    fn new(log: &'a RunLog) -> Waiter<'a> {
        Waiter {
            log,
            key: WaiterKey::default(),
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.log.forget_waiter(self.key);
    }
}
