//! What can go wrong at the door and at the reader's end. How a run itself fails is an [`Outcome`](crate::Outcome).

use std::sync::Arc;

use crate::id::RunId;

/// An agent that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The name is empty, or only white space.
    #[error("an agent needs a name")]
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
    /// The name of a tool is none that models take.
    #[error("a tool's name has 1 to 64 letters, digits, _ and -; {0:?} is none")]
    ToolName(Arc<str>),
    /// Two tools have the same name.
    #[error("the agent has two tools of the name {0:?}")]
    DuplicateTool(Arc<str>),
    /// There is a limit on cost, and nobody said what the model costs.
    #[error("a limit on cost needs the prices of the model")]
    NoPrices,
}

/// Why a run was not started. Nothing of it is left behind, but for what [`Store`](StartError::Store) says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The agent cannot be.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// There is nothing to ask: no input, and no instructions of the agent.
    #[error("there is nothing to ask the model: the input is empty")]
    EmptyInput,
    /// The session id is empty, has more than 256 bytes, or a control character.
    #[error("a session id has 1 to 256 bytes and no control character; this one has {bytes} bytes")]
    InvalidSession {
        /// How many it has.
        bytes: usize,
    },
    /// A run of this id exists already.
    #[error("run {0} exists already")]
    DuplicateRun(RunId),
    /// As many runs as may live do live, and as many as may wait do wait.
    #[error("{live} runs are live and {queued} wait, and no more are allowed; try again later")]
    QueueFull {
        /// Runs that have a slot.
        live: usize,
        /// Runs that wait for one.
        queued: usize,
    },
    /// The runtime is shutting down, or its supervisor is gone.
    #[error("the runtime is shutting down")]
    ShuttingDown,
    /// The supervisor that the run should be linked to has stopped.
    #[error("the supervisor to link the run to has stopped")]
    SupervisorGone,
    /// The store did not take the run. Whether a trace of it was stored is not known when `unknown` is set; recovery
    /// ends such a run.
    #[error("the store did not accept the run: {message}")]
    Store {
        /// What the store said.
        message: Arc<str>,
        /// Whether the store may hold a trace of the run.
        unknown: bool,
    },
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
    /// The events that were asked for are not kept any more.
    #[error("events before {first} are no longer kept")]
    Expired {
        /// The first position that is still there; one past the last when nothing is.
        first: u64,
    },
    /// The store could not be read.
    #[error("could not read the run's events: {message}")]
    Read {
        /// What the store said.
        message: Arc<str>,
    },
    /// The reader of a runtime's status changes was too slow, and `missed` of them are gone. The stream goes on after
    /// this item; `Runtime::list` tells how things stand.
    #[error("{missed} status changes were missed")]
    Missed {
        /// How many.
        missed: u64,
    },
}
