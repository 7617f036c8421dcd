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
    /// All of them.
    pub const ALL: [RunStatus; 7] = [
        RunStatus::Pending,
        RunStatus::Running,
        RunStatus::Cancelling,
        RunStatus::Paused,
        RunStatus::Completed,
        RunStatus::Cancelled,
        RunStatus::Error,
    ];

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

/// A set of statuses.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusSet(u8);

impl StatusSet {
    /// No status.
    pub const NONE: StatusSet = StatusSet(0);
    /// All statuses.
    pub const ALL: StatusSet = StatusSet::of(&RunStatus::ALL);
    /// Those of runs that have not ended.
    pub const UNFINISHED: StatusSet = StatusSet::of(&[
        RunStatus::Pending,
        RunStatus::Running,
        RunStatus::Cancelling,
        RunStatus::Paused,
    ]);
    /// Those of runs that have ended.
    pub const ENDED: StatusSet =
        StatusSet::of(&[RunStatus::Completed, RunStatus::Cancelled, RunStatus::Error]);

    /// These statuses.
    pub const fn of(statuses: &[RunStatus]) -> StatusSet {
        let (mut set, mut next) = (0, 0);
        while next < statuses.len() {
            set |= 1 << statuses[next] as u8;
            next += 1;
        }
        StatusSet(set)
    }

    /// Whether `status` is one of them.
    pub const fn contains(self, status: RunStatus) -> bool {
        self.0 & (1 << status as u8) != 0
    }

    /// Whether all of them are in `other`.
    pub const fn is_within(self, other: StatusSet) -> bool {
        self.0 & !other.0 == 0
    }

    /// The statuses in it.
    pub fn iter(self) -> impl Iterator<Item = RunStatus> {
        RunStatus::ALL
            .into_iter()
            .filter(move |status| self.contains(*status))
    }
}

impl Default for StatusSet {
    /// All of them: a query that says nothing of statuses asks for all.
    fn default() -> StatusSet {
        StatusSet::ALL
    }
}

impl From<RunStatus> for StatusSet {
    fn from(status: RunStatus) -> StatusSet {
        StatusSet::of(&[status])
    }
}

impl FromIterator<RunStatus> for StatusSet {
    fn from_iter<I: IntoIterator<Item = RunStatus>>(statuses: I) -> StatusSet {
        let statuses = statuses.into_iter();
        StatusSet(statuses.fold(0, |set, status| set | StatusSet::from(status).0))
    }
}

impl fmt::Debug for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
