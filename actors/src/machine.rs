//! The law of a run: which states it has, and what each input does to it.
//!
//! Pure: no clock, no task, no lock, no store. [`step`] takes an input and returns the effect that the caller must
//! carry out. The [`RunLog`](crate::run::log) asks it under its lock, so the result does not depend on scheduling.
//!
//! Invariants, checked over every history of inputs up to a length in the tests below:
//!
//! * [`Effect::End`] is returned at most once, and only [`Effect::Refuse`] after it;
//! * after an accepted cancel no new output is recorded, only results of calls that were running, and the run ends as
//!   [`End::Cancelled`];
//! * a request is never retried once its answer has produced output;
//! * from every state that has not ended, a cancel leads to the end without further input from a model or a tool;
//! * a paused run does no work, so its actor may stop, and a failure of that actor does not fail the run.

#![deny(
    clippy::wildcard_enum_match_arm,
    clippy::match_wildcard_for_single_variants
)]

/// The state of a run, as the law sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// Accepted; no slot yet.
    Queued,
    /// It has a slot; no model request and no call is running.
    Ready,
    /// A model was asked.
    Connecting,
    /// The model has answered, without output so far.
    Waiting,
    /// The model has produced output.
    Streaming,
    /// Waiting before a failed request is repeated.
    Resting,
    /// Calls of tools are running.
    Calling,
    /// It waits for a person, without a slot and without an actor.
    Paused,
    /// A cancel was accepted; the run's work is being dropped.
    Cancelling,
    Ended(End),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Completed,
    Cancelled,
    Error,
}

/// What can happen to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Input {
    /// It got a slot.
    Admitted,
    /// The model is about to be asked.
    Asks,
    /// The model has answered.
    Connected,
    /// The model produced output.
    Spoke,
    /// The model finished its answer, and the run is done.
    Finished,
    /// The model finished its answer, and will be asked again.
    Turned,
    /// Tools will be called: the model's answer asks for calls, or a person has decided on them.
    Calls,
    /// A running call reported progress.
    Told,
    /// A call has a result.
    Returned,
    /// Only calls that a person must decide on are left.
    Pauses,
    /// The person has decided; or the run is resumed after a crash.
    Continues,
    /// The request failed, and may be repeated.
    Broke,
    /// Something failed for good.
    Failed,
    /// A cancel.
    Cancel,
    /// All work of the run has been dropped.
    Quiet,
}

/// What the caller must do after an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Effect {
    /// Nothing: the input is not valid in this state and changes nothing.
    Refuse,
    /// Record what happened, and continue.
    Record,
    /// Drop the run's work, then report [`Input::Quiet`].
    Drop,
    /// Record the ending.
    End(End),
}

/// What `input` does to a run in `state`.
pub(crate) const fn step(state: State, input: Input) -> (State, Effect) {
    use self::{Effect as E, Input as I, State as S};

    match (state, input) {
        // Nothing changes an ended run.
        (
            S::Ended(_),
            I::Admitted
            | I::Asks
            | I::Connected
            | I::Spoke
            | I::Finished
            | I::Turned
            | I::Calls
            | I::Told
            | I::Returned
            | I::Pauses
            | I::Continues
            | I::Broke
            | I::Failed
            | I::Cancel
            | I::Quiet,
        ) => (state, E::Refuse),

        // A queued or paused run does no work, so a cancel has nothing to wait for.
        (S::Queued, I::Admitted) => (S::Ready, E::Record),
        (S::Paused, I::Continues) => (S::Queued, E::Record),
        (S::Queued | S::Paused, I::Cancel) => (S::Ended(End::Cancelled), E::End(End::Cancelled)),

        // After an accepted cancel a run can end only as cancelled, and only results of its calls are still recorded.
        (S::Cancelling, I::Quiet | I::Failed | I::Finished) => {
            (S::Ended(End::Cancelled), E::End(End::Cancelled))
        }
        (S::Cancelling, I::Returned) => (S::Cancelling, E::Record),
        (
            S::Cancelling,
            I::Admitted
            | I::Asks
            | I::Connected
            | I::Spoke
            | I::Turned
            | I::Calls
            | I::Told
            | I::Pauses
            | I::Continues
            | I::Broke
            | I::Cancel,
        ) => (S::Cancelling, E::Refuse),
        (
            S::Ready | S::Connecting | S::Waiting | S::Streaming | S::Resting | S::Calling,
            I::Cancel,
        ) => (S::Cancelling, E::Drop),

        (
            S::Queued
            | S::Ready
            | S::Connecting
            | S::Waiting
            | S::Streaming
            | S::Resting
            | S::Calling,
            I::Failed,
        ) => (S::Ended(End::Error), E::End(End::Error)),

        (S::Ready | S::Resting | S::Calling, I::Asks) => (S::Connecting, E::Record),
        (S::Connecting, I::Connected) => (S::Waiting, E::Record),
        (S::Connecting | S::Waiting | S::Streaming, I::Spoke) => (S::Streaming, E::Record),
        (S::Connecting | S::Waiting | S::Streaming, I::Finished) => {
            (S::Ended(End::Completed), E::End(End::Completed))
        }
        (S::Connecting | S::Waiting | S::Streaming, I::Turned) => (S::Ready, E::Record),

        (S::Ready | S::Connecting | S::Waiting | S::Streaming, I::Calls) => (S::Calling, E::Record),
        (S::Calling, I::Told | I::Returned) => (S::Calling, E::Record),
        (S::Calling, I::Pauses) => (S::Paused, E::Record),

        // A request may be repeated only while no reader has seen a part of its answer.
        (S::Connecting | S::Waiting, I::Broke) => (S::Resting, E::Record),
        (S::Streaming, I::Broke) => (S::Ended(End::Error), E::End(End::Error)),

        // All other inputs are not valid in the state, and change nothing.
        (
            S::Queued,
            I::Asks
            | I::Connected
            | I::Spoke
            | I::Finished
            | I::Turned
            | I::Calls
            | I::Told
            | I::Returned
            | I::Pauses
            | I::Continues
            | I::Broke
            | I::Quiet,
        )
        | (
            S::Paused,
            I::Admitted
            | I::Asks
            | I::Connected
            | I::Spoke
            | I::Finished
            | I::Turned
            | I::Calls
            | I::Told
            | I::Returned
            | I::Pauses
            | I::Broke
            | I::Failed
            | I::Quiet,
        )
        | (
            S::Ready,
            I::Admitted
            | I::Connected
            | I::Spoke
            | I::Finished
            | I::Turned
            | I::Told
            | I::Returned
            | I::Pauses
            | I::Continues
            | I::Broke
            | I::Quiet,
        )
        | (
            S::Resting,
            I::Admitted
            | I::Connected
            | I::Spoke
            | I::Finished
            | I::Turned
            | I::Calls
            | I::Told
            | I::Returned
            | I::Pauses
            | I::Continues
            | I::Broke
            | I::Quiet,
        )
        | (
            S::Connecting,
            I::Admitted | I::Asks | I::Told | I::Returned | I::Pauses | I::Continues | I::Quiet,
        )
        | (
            S::Waiting | S::Streaming,
            I::Admitted
            | I::Asks
            | I::Connected
            | I::Told
            | I::Returned
            | I::Pauses
            | I::Continues
            | I::Quiet,
        )
        | (
            S::Calling,
            I::Admitted
            | I::Connected
            | I::Spoke
            | I::Finished
            | I::Turned
            | I::Calls
            | I::Continues
            | I::Broke
            | I::Quiet,
        ) => (state, E::Refuse),
    }
}

#[cfg(test)]
mod tests;
