//! What a log says to its actor.

use crate::{cancel::CancelReason, store::AppendError};

/// How the log answers its actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Verdict {
    /// It is written down; go on.
    Go,
    /// It is written down; wait for room before the model is read further.
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
