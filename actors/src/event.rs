//! What a run says: one list of events, from `Started` to exactly one ending.

mod calls;
mod ended;
mod life;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::{
    calls::{
        ModelRequestCompleted, ToolCallCompleted, ToolCallError, ToolCallProcess, ToolCallProgress,
        ToolFault,
    },
    ended::{EndReason, Ended},
    life::{
        CancelRequested, Continued, Decision, Paused, Started, StatusChange, WaitingCall, WaitsFor,
    },
};
pub use crate::context::Context;
use crate::{
    id::{RunId, Timestamp},
    message::{Message, ToolCall},
    outcome::{Outcome, Partial, Reply, RunError},
    status::RunStatus,
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
#[non_exhaustive]
pub enum EventKind {
    /// The run was accepted. Always the first event.
    Started(Arc<Started>),
    /// A model was asked.
    ModelRequestStarted {
        /// Which turn of the run, from 1.
        turn: u32,
        /// Which attempt of the turn, from 1. More than one: the attempts before it failed, and could be repeated.
        attempt: u32,
        /// How many bytes of messages and tools it was asked with, when that was noted. Where the provider gives no
        /// number of tokens, the estimate rests on it.
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
    /// A tool reported its progress.
    ToolCallProgress(Arc<ToolCallProgress>),
    /// A tool runs a program.
    ToolCallProcess(Arc<ToolCallProcess>),
    /// A tool returned.
    ToolCallCompleted(Arc<ToolCallCompleted>),
    /// A tool failed, or was cut; the model receives the failure.
    ToolCallError(Arc<ToolCallError>),
    /// Messages that arrived during the run, recorded before the next request to the model.
    Steered {
        /// What the model receives.
        message: Arc<Message>,
    },
    /// A cancel was accepted. Nothing that a model produces comes after it.
    CancelRequested {
        /// Why, and who asked.
        cancel: Arc<CancelRequested>,
    },
    /// The run waits for a person's decision.
    Paused(Arc<Paused>),
    /// The run continues: after a pause, or after a crash.
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

    /// The status that a run has from this event on, where the event changes it. A run's status is the fold of this
    /// over its log.
    pub const fn status(&self) -> Option<RunStatus> {
        match self {
            EventKind::Started(_) => Some(RunStatus::Pending),
            // Like a new run, one that continues waits for a slot first.
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
