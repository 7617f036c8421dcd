//! What a run says: one list of events, from `Started` to exactly one ending.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    cancel::CancelReason,
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
    /// A tool was called.
    ToolCallStarted(Arc<ToolCall>),
    /// A tool returned.
    ToolCallCompleted(Arc<ToolCallCompleted>),
    /// A tool failed, or was cut; the model is told so.
    ToolCallError(Arc<ToolCallError>),
    /// A cancel was accepted. Nothing that a model produces comes after it.
    CancelRequested {
        /// Why, and who asked.
        cancel: Arc<CancelRequested>,
    },
    /// The run waits for a person's decision.
    Paused {
        /// What it waits for.
        reason: Arc<str>,
    },
    /// The run goes on after a pause.
    Continued {
        /// Who decided, when that is known.
        by: Option<Arc<str>>,
    },
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
            EventKind::ModelRequestStarted { .. } | EventKind::Continued { .. } => {
                Some(RunStatus::Running)
            }
            EventKind::CancelRequested { .. } => Some(RunStatus::Cancelling),
            EventKind::Paused { .. } => Some(RunStatus::Paused),
            EventKind::Completed { .. } => Some(RunStatus::Completed),
            EventKind::Cancelled { .. } => Some(RunStatus::Cancelled),
            EventKind::Error { .. } => Some(RunStatus::Error),
            EventKind::Content { .. }
            | EventKind::ReasoningContent { .. }
            | EventKind::ModelRequestCompleted(_)
            | EventKind::ToolCallStarted(_)
            | EventKind::ToolCallCompleted(_)
            | EventKind::ToolCallError(_) => None,
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
            | EventKind::ToolCallCompleted(_)
            | EventKind::ToolCallError(_)
            | EventKind::CancelRequested { .. }
            | EventKind::Paused { .. }
            | EventKind::Continued { .. } => None,
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
    pub id: String,
    /// What the model is told.
    pub output: String,
}

/// How a tool failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCallError {
    /// Which call.
    pub id: String,
    /// What the model is told.
    pub error: String,
}

/// A cancel that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequested {
    /// Why.
    pub reason: CancelReason,
    /// Who asked, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
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
