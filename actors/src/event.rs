//! What a run says: one list of events, from `Started` to exactly one ending.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    cancel::{Activity, CancelReason},
    id::{RunId, Timestamp},
    message::{Message, ToolCall},
    outcome::{FinishReason, Outcome, Partial, Reply, RunError},
    status::RunStatus,
    usage::Usage,
};

/// One event of a run. The same type is in the store, in a stream and in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEvent {
    /// Whose event it is.
    pub run_id: RunId,
    /// Its position in the run: 1 for the first, without gaps. Streams are resumed by it.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl RunEvent {
    /// Whether this is the run's last event.
    ///
    /// Decide by this and not by the run's status, which is *now*, while the event may have waited in a mailbox.
    pub const fn is_last(&self) -> bool {
        self.kind.is_last()
    }
}

/// What happened. Facts, in the past tense.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The run was accepted. Always the first event.
    Started(Arc<Started>),
    /// A model was asked.
    ModelRequestStarted {
        /// Which turn of the run, from 1.
        turn: u32,
        /// Which attempt of the turn, from 1. More than one: the attempts before it failed, and could be repeated.
        attempt: u32,
        /// How many bytes of messages and tools it was asked with, when that was noted. Where the provider gives no number
        /// of tokens, the estimate rests on it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input_bytes: Option<u64>,
    },
    /// The model said something.
    Content {
        /// The next words.
        text: Arc<str>,
    },
    /// The model thought aloud.
    ReasoningContent {
        /// The next words.
        text: Arc<str>,
    },
    /// The model's answer to one request is over. A request that the run's ending cut has no such event.
    ModelRequestCompleted(Arc<ModelRequestCompleted>),
    /// A tool is called. Stored before it is: what was never started was never done.
    ToolCallStarted(Arc<ToolCall>),
    /// A tool told how far it is.
    ToolCallProgress(Arc<ToolCallProgress>),
    /// A tool runs a program.
    ToolCallProcess(Arc<ToolCallProcess>),
    /// A tool returned.
    ToolCallCompleted(Arc<ToolCallCompleted>),
    /// A tool failed, or was cut; the model is told so.
    ToolCallError(Arc<ToolCallError>),
    /// Words that came from outside while the run was at work, taken in where the model is asked next.
    Steered {
        /// What the model is told.
        message: Arc<Message>,
    },
    /// A cancel was accepted. Nothing that a model produces comes after it.
    CancelRequested {
        /// Why, and who asked.
        cancel: Arc<CancelRequested>,
    },
    /// The run waits for a person's decision.
    Paused(Arc<Paused>),
    /// The run goes on: after a pause, or after a crash.
    Continued(Arc<Continued>),
    /// Ended: the model finished its answer.
    Completed {
        /// The whole answer.
        reply: Arc<Reply>,
    },
    /// Ended: the run was cancelled.
    Cancelled {
        /// What it had said, and the receipt.
        partial: Arc<Partial>,
    },
    /// Ended: something failed.
    Error {
        /// What failed, and what the run had said.
        error: Arc<RunError>,
    },
}

impl EventKind {
    /// Whether nothing comes after it.
    pub const fn is_last(&self) -> bool {
        matches!(
            self,
            EventKind::Completed { .. } | EventKind::Cancelled { .. } | EventKind::Error { .. }
        )
    }

    /// The status that a run has from this event on, where the event changes it. A run's status is the fold of this over
    /// its log.
    pub const fn status(&self) -> Option<RunStatus> {
        match self {
            EventKind::Started(_) => Some(RunStatus::Pending),
            // Like a new run, one that goes on waits for a slot first.
            EventKind::Continued(_) => Some(RunStatus::Pending),
            EventKind::ModelRequestStarted { .. } | EventKind::ToolCallStarted(_) => {
                Some(RunStatus::Running)
            }
            EventKind::CancelRequested { .. } => Some(RunStatus::Cancelling),
            EventKind::Paused(_) => Some(RunStatus::Paused),
            EventKind::Completed { .. } => Some(RunStatus::Completed),
            EventKind::Cancelled { .. } => Some(RunStatus::Cancelled),
            EventKind::Error { .. } => Some(RunStatus::Error),
            EventKind::Content { .. }
            | EventKind::ReasoningContent { .. }
            | EventKind::ModelRequestCompleted(_)
            | EventKind::ToolCallProgress(_)
            | EventKind::ToolCallProcess(_)
            | EventKind::ToolCallCompleted(_)
            | EventKind::ToolCallError(_)
            | EventKind::Steered { .. } => None,
        }
    }

    /// The outcome, when the event is an ending.
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            EventKind::Completed { reply } => Some(Outcome::Completed(reply.clone())),
            EventKind::Cancelled { partial } => Some(Outcome::Cancelled(partial.clone())),
            EventKind::Error { error } => Some(Outcome::Error(error.clone())),
            EventKind::Started(_)
            | EventKind::ModelRequestStarted { .. }
            | EventKind::Content { .. }
            | EventKind::ReasoningContent { .. }
            | EventKind::ModelRequestCompleted(_)
            | EventKind::ToolCallStarted(_)
            | EventKind::ToolCallProgress(_)
            | EventKind::ToolCallProcess(_)
            | EventKind::ToolCallCompleted(_)
            | EventKind::ToolCallError(_)
            | EventKind::Steered { .. }
            | EventKind::CancelRequested { .. }
            | EventKind::Paused(_)
            | EventKind::Continued(_) => None,
        }
    }
}

/// What was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The name of the agent.
    pub agent: Arc<str>,
    /// The session the run belongs to, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Arc<str>>,
    /// The run that started it, if any: when that one ends, this one is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunId>,
    /// What was asked, without the agent's own instructions.
    pub input: Vec<Message>,
}

/// The end of one answer of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRequestCompleted {
    /// Which turn of the run, from 1.
    pub turn: u32,
    /// Which attempt of the turn, from 1.
    pub attempt: u32,
    /// Why the model stopped.
    pub finish: FinishReason,
    /// Tokens of this request.
    pub usage: Usage,
    /// The tools the model asked for, in its order. Each gets exactly one result in the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Arc<ToolCall>>,
    /// How the request failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// How long the run sleeps before the next attempt, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
}

/// What a tool returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCallCompleted {
    /// Which call.
    pub id: Arc<str>,
    /// What the model is told.
    pub output: Arc<str>,
}

/// How a tool failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCallError {
    /// Which call.
    pub id: Arc<str>,
    /// What kind of failure.
    pub kind: ToolFault,
    /// What the model is told.
    pub error: Arc<str>,
}

/// Why a call of a tool has no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolFault {
    /// The tool said so.
    Failed,
    /// The tool panicked.
    Panicked,
    /// It took longer than it may.
    TimedOut,
    /// The agent has no tool of that name.
    UnknownTool,
    /// The arguments are not what the tool takes.
    InvalidArguments,
    /// A person refused the call.
    Rejected,
    /// The run was cancelled. What the tool had done until then is not known here; the receipt says how it ended.
    Cancelled,
    /// The run ended before the call was begun.
    NotStarted,
    /// The run failed while the tool was at work.
    NotFinished,
    /// The process ended while the tool was at work: what it did, and whether, is not known.
    UnknownOutcome,
}

/// How far a tool is, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCallProgress {
    /// Which call.
    pub id: Arc<str>,
    /// What the tool said.
    pub text: Arc<str>,
}

/// A program that a tool runs, in a process group of its own. Stored before the program is begun, so that whoever comes
/// after a crash can find what is left of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCallProcess {
    /// Which call.
    pub id: Arc<str>,
    /// The id of the process group, which is that of its leader.
    pub group: u32,
    /// When the leader was started, as the system counts: ids are used again, and this tells them apart. On Linux clock
    /// ticks since the system was started.
    pub started: u64,
    /// Which start of the system that counts from.
    pub boot: Arc<str>,
    /// A word that the program and all that it starts carry in their environment, if any: it tells them from strangers
    /// when the leader is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Arc<str>>,
}

/// A run that waits for a person's decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// The calls that wait to be approved.
    pub calls: Vec<Arc<ToolCall>>,
    /// When the run is cancelled unless it goes on before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A run that goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continued {
    /// Who decided, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
    /// What was decided of which call. Empty after a crash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<(Arc<str>, Decision)>,
}

/// What a person decides of a call that waits to be approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The tool is called.
    Approve,
    /// It is not; the model is told so, in these words.
    Reject(Arc<str>),
}

/// A cancel that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequested {
    /// Why.
    pub reason: CancelReason,
    /// Who asked, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
    /// What the run was doing, when that was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Activity>,
}

/// The status of a run changed. What `Runtime::subscribe` delivers: the life of every run, without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusChange {
    /// Which run.
    pub run_id: RunId,
    /// The name of its agent.
    pub agent: Arc<str>,
    /// Its session, if any.
    pub session_id: Option<Arc<str>>,
    /// The position of the event that changed the status.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// The status from then on.
    pub status: RunStatus,
}
