//! The law of a run: which states it has, and what each input does to it.
//!
//! Pure: no clock, no task, no lock, no store. [`step`] takes an input and says what somebody else has to do. The
//! [`RunLog`](crate::run::log) asks it under its lock, so what is lawful does not depend on who is scheduled when.
//!
//! Invariants, checked over every history of inputs up to a length in the tests below:
//!
//! * [`Effect::End`] comes once at most, and nothing but [`Effect::Refuse`] comes after it;
//! * after an accepted cancel nothing that produces is recorded, only results of what was at work, and the end is
//!   [`End::Cancelled`];
//! * an answer that has spoken is never put to rest for a retry;
//! * from every state that has not ended, a cancel leads to the end without any word from a model or a tool;
//! * what is paused works at nothing, so its actor may go: a failure there is none of the run's.

#![deny(
    clippy::wildcard_enum_match_arm,
    clippy::match_wildcard_for_single_variants
)]

/// Where a run stands, as the law sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// Accepted; no slot yet.
    Queued,
    /// It has a slot; no model is asked, no tool is called.
    Ready,
    /// A model was asked.
    Connecting,
    /// The model has answered, and said nothing yet.
    Waiting,
    /// The model has spoken.
    Streaming,
    /// Asleep before the model is asked again.
    Resting,
    /// Tools are at work.
    Calling,
    /// It waits for a person, without a slot and without an actor.
    Paused,
    /// A cancel was accepted; what was at work is being dropped.
    Cancelling,
    /// It is over.
    Ended(End),
}

/// How a run is over.
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
    /// The model said something.
    Spoke,
    /// The model finished its answer, and there is nothing more to do.
    Finished,
    /// The model finished its answer, and is to be asked again.
    Turned,
    /// Tools are to be called: the model finished an answer that asks for them, or a person has approved them.
    Calls,
    /// A tool at work told something.
    Told,
    /// A tool has a result.
    Returned,
    /// What is left of the calls waits for a person.
    Pauses,
    /// The person has decided; or, after a crash, the run goes on.
    Continues,
    /// The request failed, and may be repeated.
    Broke,
    /// Something failed for good.
    Failed,
    /// A cancel.
    Cancel,
    /// Everything that was at work has been dropped.
    Quiet,
}

/// What has to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Effect {
    /// Nothing: the input came too late, or at the wrong time, and changes nothing.
    Refuse,
    /// Write down what happened, and go on.
    Record,
    /// Drop what is at work, then say [`Input::Quiet`].
    Drop,
    /// Write the ending down.
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

        // Nothing works for a run that is queued or paused, so a cancel has nothing to wait for.
        (S::Queued, I::Admitted) => (S::Ready, E::Record),
        (S::Paused, I::Continues) => (S::Queued, E::Record),
        (S::Queued | S::Paused, I::Cancel) => (S::Ended(End::Cancelled), E::End(End::Cancelled)),

        // An accepted cancel lets the run end in one way only, and nothing be said before but how its tools ended.
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

        // A request may be repeated only while nobody has heard anything of its answer.
        (S::Connecting | S::Waiting, I::Broke) => (S::Resting, E::Record),
        (S::Streaming, I::Broke) => (S::Ended(End::Error), E::End(End::Error)),

        // What is left makes no sense where it comes, and therefore changes nothing.
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
