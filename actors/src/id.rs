//! Ids of runs, and points in time.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The id of one run.
///
/// [`RunId::new`] makes a UUIDv7 (RFC 9562), so that ids sort by the time they were made. A caller may choose its own id
/// instead, of any UUID version, and can then cancel the run before it has started.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(Uuid);

impl RunId {
    /// A fresh id.
    #[allow(
        clippy::new_without_default,
        reason = "two defaults would not be equal"
    )]
    pub fn new() -> RunId {
        RunId(Uuid::now_v7())
    }

    /// The sixteen bytes of the id, big endian.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl From<Uuid> for RunId {
    fn from(id: Uuid) -> RunId {
        RunId(id)
    }
}

impl From<RunId> for Uuid {
    fn from(id: RunId) -> Uuid {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is not a run id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid run id: expected a UUID, such as 01890a5d-ac96-774b-bcce-b302099a8057")]
pub struct InvalidRunId;

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<RunId, InvalidRunId> {
        Uuid::parse_str(text).map(RunId).map_err(|_| InvalidRunId)
    }
}

/// A point in time, in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// A runtime reads the wall clock once, when it is made, and then counts on with its monotonic clock. So times within one
/// process never go backwards, and tests drive them with tokio's paused clock.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The time `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Timestamp {
        Timestamp(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How much later it is than `earlier`; zero, when it is not.
    pub(crate) const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Timestamp {
    /// A time before the epoch becomes the epoch.
    fn from(time: SystemTime) -> Timestamp {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(at: Timestamp) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(at.0)
    }
}
