//! Where a run stands.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a run stands.
///
/// ```text
/// Pending    -> Running | Paused | Cancelling | Error
/// Running    -> Pending | Paused | Cancelling | Completed | Error
/// Paused     -> Pending | Cancelling
/// Cancelling -> Cancelled
/// ```
///
/// `Continued` makes a run pending again: a paused one, and after a crash also one that was running. A cancel of a pending
/// or paused run leads through `Cancelling` to `Cancelled` in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Accepted or continued; the run waits for a free slot.
    Pending,
    /// The run has a slot: it asks its model or calls tools.
    Running,
    /// A cancel was accepted, and the run's work is being ended.
    Cancelling,
    /// The run waits for a person's decision.
    Paused,
    /// Ended: the model finished its answer.
    Completed,
    /// Ended: the run was cancelled, by a caller or by a limit.
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

    /// The status as one lower-case word, the same as in JSON.
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
