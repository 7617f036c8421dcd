//! What can go wrong at the door and at the reader's end. How a run itself fails is an [`Outcome`](crate::Outcome).
//!
//! Each message is whole: it includes what was behind the error, which is also there as a [`Cause`].

mod cause;

use std::sync::Arc;

pub use self::cause::Cause;

use crate::{cancel::CancelOutcome, id::RunId, status::RunStatus};

/// An invalid agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The name is empty, or only white space.
    #[error("the agent's name is empty")]
    EmptyName,
    /// The name has more than 256 bytes.
    #[error("the agent's name has {bytes} bytes; at most 256 are allowed")]
    LongName {
        /// How many it has.
        bytes: usize,
    },
    /// The name has a control character, such as a line break.
    #[error("the agent's name has a control character")]
    ControlCharacter,
    /// The name of a tool is invalid.
    #[error("invalid tool name {0:?}: expected 1 to 64 letters, digits, `_` or `-`")]
    ToolName(Arc<str>),
    /// Two tools have the same name.
    #[error("the agent has two tools of the name {0:?}")]
    DuplicateTool(Arc<str>),
    /// There is a limit on cost, but the model has no prices.
    #[error("the agent has a limit on cost and no prices: set the prices of its model")]
    NoPrices,
}

/// Why a runtime was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The unfinished runs of an earlier process could not be listed, so they are not settled.
    #[error("the unfinished runs in the store could not be listed: {0}")]
    List(#[source] EventsError),
}

/// Why a run was not started. Nothing of it is left behind, except after [`StoreUnknown`](StartError::StoreUnknown).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The agent is invalid.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// There is nothing to ask: no input, and no instructions of the agent.
    #[error("there is nothing to ask the model: the input is empty")]
    EmptyInput,
    /// The session id is empty, has more than 256 bytes, or a control character.
    #[error(
        "invalid session id of {bytes} bytes: expected 1 to 256 bytes without control characters"
    )]
    InvalidSession {
        /// How many it has.
        bytes: usize,
    },
    /// The user's id is empty, has more than 256 bytes, or a control character.
    #[error("invalid user id of {bytes} bytes: expected 1 to 256 bytes without control characters")]
    InvalidUser {
        /// How many it has.
        bytes: usize,
    },
    /// The context has more bytes of JSON than [`Context::MAX_BYTES`](crate::event::Context::MAX_BYTES).
    #[error("the context of the run has {bytes} bytes as JSON: at most 65536 are allowed")]
    LargeContext {
        /// How many it has.
        bytes: usize,
    },
    /// A run of this id exists already.
    #[error("run {0} exists already")]
    DuplicateRun(RunId),
    /// As many runs as may live do live, and as many as may wait do wait.
    #[error("queue full: {live} runs live, {queued} waiting; try again later")]
    QueueFull {
        /// Runs that have a slot.
        live: usize,
        /// Runs that wait for one.
        queued: usize,
    },
    /// The runtime is shutting down, or its supervisor is gone.
    #[error("the runtime is shutting down")]
    ShuttingDown,
    /// A run of the session has not ended, and the start was to be rejected then.
    #[error("session {0:?} is busy: a run of it has not ended")]
    SessionBusy(Arc<str>),
    /// As many runs as may wait for one session do.
    #[error("too many runs wait for session {0:?}; try again later")]
    SessionQueueFull(Arc<str>),
    /// The session is being deleted.
    #[error("session {0:?} is being deleted")]
    SessionDeleted(Arc<str>),
    /// The run that was to be the parent has ended, or is being cancelled.
    #[error("run {0} has ended or is ending, and cannot start child runs")]
    ParentEnded(RunId),
    /// The run would be deeper below the first run of its family than
    /// [`max_child_depth`](crate::runtime::RuntimeConfig::max_child_depth) allows.
    #[error("child runs are too deep: at most {most} levels are allowed")]
    TooDeep {
        /// How deep a run may be.
        most: usize,
    },
    /// As many runs of one family as [`max_children`](crate::runtime::RuntimeConfig::max_children) allows have not
    /// ended.
    #[error("too many child runs: a run and its children may have {most} that have not ended")]
    TooManyChildren {
        /// How many there may be.
        most: usize,
    },
    /// The session belongs to another user than the run, or the run has none.
    #[error("session {0:?} belongs to another user")]
    ForeignSession(Arc<str>),
    /// The supervisor that the run should be linked to has stopped.
    #[error("the supervisor to link the run to has stopped")]
    SupervisorGone,
    /// The store surely did not take the run.
    #[error("the store did not accept the run: {0}")]
    StoreUnavailable(#[source] Cause),
    /// The store may have taken the run, or not. Recovery ends what it may have taken.
    #[error("it is not known whether the store accepted the run: {0}")]
    StoreUnknown(#[source] Cause),
}

/// Why a paused run did not continue. It is unchanged, except for what [`Store`](ContinueError::Store) says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContinueError {
    /// No run of this id is known.
    #[error("run not found")]
    NotFound,
    /// The run does not wait for a decision: another caller was quicker, or it was never paused.
    #[error("the run is not paused: it is {status}")]
    NotPaused {
        /// Where it stands.
        status: RunStatus,
    },
    /// Nothing was decided of a call that waits.
    #[error("call {0:?} waits for a decision and has none")]
    Undecided(Arc<str>),
    /// Something was decided of a call that does not wait.
    #[error("call {0:?} does not wait for a decision")]
    UnknownCall(Arc<str>),
    /// The call waits for its output, and cannot be approved: the caller does it.
    #[error("call {0:?} is done by the caller: it waits for an answer and cannot be approved")]
    NeedsAnswer(Arc<str>),
    /// The arguments that a call was approved with are not a JSON object.
    #[error("the arguments that call {0:?} was approved with are not a JSON object")]
    InvalidArguments(Arc<str>),
    /// The run's agent is not known to this runtime: see `Runtime::add_agent`.
    #[error("unknown agent {0:?}: add it to the runtime first")]
    UnknownAgent(Arc<str>),
    /// There is no place for the run now.
    #[error(transparent)]
    NoPlace(#[from] StartError),
    /// What is stored of the run could not be read.
    #[error(transparent)]
    Read(EventsError),
    /// The store did not accept that the run continues. The run's status is decided by the store, or by recovery.
    #[error("the store did not accept that the run continues: {0}")]
    Store(#[source] Cause),
}

/// Why a session was not changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The id is invalid.
    #[error(
        "invalid session id of {bytes} bytes: expected 1 to 256 bytes without control characters"
    )]
    InvalidId {
        /// How many it has.
        bytes: usize,
    },
    /// The name is empty or too long.
    #[error("invalid session name of {bytes} bytes: expected 1 to 256 bytes")]
    InvalidName {
        /// How many it has.
        bytes: usize,
    },
    /// The user's id is empty, has more than 256 bytes, or a control character.
    #[error("invalid user id of {bytes} bytes: expected 1 to 256 bytes without control characters")]
    InvalidUser {
        /// How many it has.
        bytes: usize,
    },
    /// The agent's name is empty, has more than 256 bytes, or a control character.
    #[error(
        "invalid agent name of {bytes} bytes: expected 1 to 256 bytes without control characters"
    )]
    InvalidAgent {
        /// How many it has.
        bytes: usize,
    },
    /// The state and the metadata have more bytes of JSON than
    /// [`SessionPatch::MAX_BYTES`](crate::store::SessionPatch::MAX_BYTES).
    #[error(
        "the state and the metadata of a session have at most 65536 bytes as JSON; these have {bytes}"
    )]
    TooLarge {
        /// How many they have.
        bytes: usize,
    },
    /// Another caller is deleting the session.
    #[error("another caller is deleting the session")]
    BeingDeleted,
    /// What is stored of a run could not be read.
    #[error(transparent)]
    Read(#[from] EventsError),
    /// The store surely did not do it.
    #[error("the store did not change the session: {0}")]
    StoreUnavailable(#[source] Cause),
    /// The store may have done it, or not. Doing it again does no harm.
    #[error("it is not known whether the store changed the session: {0}")]
    StoreUnknown(#[source] Cause),
}

/// Why a run was not deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteRunError {
    /// The run has not ended: cancel it first.
    #[error("the run is {status}: cancel it first")]
    NotEnded {
        /// Where it stands.
        status: RunStatus,
    },
    /// What is stored of the run could not be read.
    #[error(transparent)]
    Read(#[from] EventsError),
    /// The store surely did not delete it.
    #[error("the store did not delete the run: {0}")]
    StoreUnavailable(#[source] Cause),
    /// The store may have deleted it, or not. Doing it again does no harm.
    #[error("it is not known whether the store deleted the run: {0}")]
    StoreUnknown(#[source] Cause),
}

/// Some of the runs that a cancel of many was for are not known: the store could not list those that are paused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the store could not list the paused runs, and those that are left are not cancelled; try again"
)]
#[non_exhaustive]
pub struct CancelAllError {
    /// The runs that were cancelled nevertheless, with the result of each.
    pub answers: Vec<(RunId, CancelOutcome)>,
    /// Why the store could not list them.
    #[source]
    pub source: EventsError,
}

/// Why a stream of events ended before the run's last event. No event, so it has no position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventsError {
    /// The store stopped answering. What was shown is stored; the run's ending will be written when the store is back,
    /// or by recovery.
    #[error("the store was lost after event {last_stored}")]
    StoreLost {
        /// The last position that is known to be stored.
        last_stored: u64,
    },
    /// The run has not ended, and this runtime does not have it: another one does, or did and is gone. What is stored
    /// of it was shown; ask the runtime for the run again to see more.
    #[error(
        "the run is not in this runtime; its events are stored up to {last_stored}, and what follows is not seen here"
    )]
    NotHere {
        /// The last position that was stored when the store was asked.
        last_stored: u64,
    },
    /// The events that were asked for are not kept any more.
    #[error("events before {first} are no longer kept")]
    Expired {
        /// The first position that is still there; one past the last when nothing is.
        first: u64,
    },
    /// The store could not be read.
    #[error("the store could not be read: {0}")]
    Read(#[source] Cause),
}

/// What the status changes of a runtime cannot tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangesError {
    /// The reader was too slow, and `missed` changes are gone. The changes after them follow; how things stand is what
    /// [`Runtime::list`](crate::Runtime::list) says.
    #[error("{missed} status changes were missed: ask the runtime how its runs stand")]
    Missed {
        /// How many.
        missed: u64,
    },
}
