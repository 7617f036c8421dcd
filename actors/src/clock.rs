//! The clock of one runtime.

use std::time::SystemTime;

use tokio::time::Instant;

use crate::id::Timestamp;

/// The wall clock, read once, plus the time that has passed since on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    wall: Timestamp,
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock {
            wall: SystemTime::now().into(),
            start: Instant::now(),
        }
    }

    /// The wall time at `now`.
    pub(crate) fn at(&self, now: Instant) -> Timestamp {
        let since = now.saturating_duration_since(self.start).as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        Timestamp::from_millis(self.wall.as_millis().saturating_add(since))
    }
}
