//! What a log returns to its actor.

use crate::{cancel::CancelReason, store::AppendError};

/// What the log returns to its actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Verdict {
    /// It is recorded; continue.
    Go,
    /// It is recorded; wait for room before the model is read further.
    Full,
    /// It is not: the run is to stop, or has.
    Stop,
}

/// Why an actor has to stop.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A cancel was accepted, for this reason.
    Cancelled(CancelReason),
    /// The run has ended without its actor.
    Ended,
    StoreLost(AppendError),
}
