//! What events say of answers and of calls of tools.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{message::ToolCall, outcome::FinishReason, provider::ProviderParts, usage::Usage};

/// The end of one answer of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
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
    /// What the provider wants to be given back with this answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Arc<ProviderParts>>,
    /// How the request failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// How long the run sleeps before the next attempt, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
}

impl ModelRequestCompleted {
    /// The end of an answer that asks for nothing.
    pub fn new(
        turn: u32,
        attempt: u32,
        finish: FinishReason,
        usage: Usage,
    ) -> ModelRequestCompleted {
        ModelRequestCompleted {
            turn,
            attempt,
            finish,
            usage,
            calls: Vec::new(),
            provider: None,
            fault: None,
            retry_in_ms: None,
        }
    }

    /// The same, of an answer that asks for these tools.
    pub fn calls(mut self, calls: Vec<Arc<ToolCall>>) -> ModelRequestCompleted {
        self.calls = calls;
        self
    }

    /// The same, of a request that failed, and is made again after so many milliseconds.
    pub fn retried(mut self, fault: impl Into<String>, in_ms: u64) -> ModelRequestCompleted {
        self.fault = Some(fault.into());
        self.retry_in_ms = Some(in_ms);
        self
    }
}

/// What a tool returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolCallCompleted {
    /// Which call.
    pub id: Arc<str>,
    /// What the model receives.
    pub output: Arc<str>,
}

impl ToolCallCompleted {
    /// The output of this call.
    pub fn new(id: impl Into<Arc<str>>, output: impl Into<Arc<str>>) -> ToolCallCompleted {
        ToolCallCompleted {
            id: id.into(),
            output: output.into(),
        }
    }
}

/// How a tool failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolCallError {
    /// Which call.
    pub id: Arc<str>,
    /// What kind of failure.
    pub kind: ToolFault,
    /// What the model receives.
    pub error: Arc<str>,
}

impl ToolCallError {
    /// The failure of this call.
    pub fn new(
        id: impl Into<Arc<str>>,
        kind: ToolFault,
        error: impl Into<Arc<str>>,
    ) -> ToolCallError {
        ToolCallError {
            id: id.into(),
            kind,
            error: error.into(),
        }
    }
}

/// Why a call of a tool has no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
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
    /// The run failed while the tool was running.
    NotFinished,
    /// The process ended while the tool was running: what it did, and whether, is not known.
    UnknownOutcome,
}

/// How far a tool is, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolCallProgress {
    /// Which call.
    pub id: Arc<str>,
    /// What the tool said.
    pub text: Arc<str>,
}

impl ToolCallProgress {
    /// Words of this call.
    pub fn new(id: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> ToolCallProgress {
        ToolCallProgress {
            id: id.into(),
            text: text.into(),
        }
    }
}

/// A program that a tool runs, in a process group of its own. Stored before the program is begun, so that recovery
/// after a crash can find what is left of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
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

impl ToolCallProcess {
    /// A program without a mark.
    pub fn new(
        id: impl Into<Arc<str>>,
        group: u32,
        started: u64,
        boot: impl Into<Arc<str>>,
    ) -> ToolCallProcess {
        ToolCallProcess {
            id: id.into(),
            group,
            started,
            boot: boot.into(),
            mark: None,
        }
    }

    /// The same, with this mark.
    pub fn mark(mut self, mark: impl Into<Arc<str>>) -> ToolCallProcess {
        self.mark = Some(mark.into());
        self
    }
}
