//! Where a run stands.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a run stands.
///
/// ```text
/// Pending -> Running -> Completed | Cancelled | Error
///    |        |  ^ \
///    |        v  |  `-> Cancelling -> Cancelled
///    |       Paused
///    `-----------------------------> Cancelled | Error
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Accepted; it waits for a free slot.
    Pending,
    /// At work.
    Running,
    /// A cancel was accepted, and what was at work is being ended.
    Cancelling,
    /// It waits for a person's decision.
    Paused,
    /// Ended: the model finished its answer.
    Completed,
    /// Ended: it was cancelled, by somebody or by a limit.
    Cancelled,
    /// Ended: something failed.
    Error,
}

impl RunStatus {
    /// Whether a run with this status has ended. An ended run never changes its status again.
    pub const fn is_ended(self) -> bool {
        match self {
            RunStatus::Completed | RunStatus::Cancelled | RunStatus::Error => true,
            RunStatus::Pending | RunStatus::Running | RunStatus::Cancelling | RunStatus::Paused => {
                false
            }
        }
    }

    /// The status in one lower-case word, as it is serialised.
    pub const fn as_str(self) -> &'static str {
        match self {
            RunStatus::Pending => "pending",
            RunStatus::Running => "running",
            RunStatus::Cancelling => "cancelling",
            RunStatus::Paused => "paused",
            RunStatus::Completed => "completed",
            RunStatus::Cancelled => "cancelled",
            RunStatus::Error => "error",
        }
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
