//! How runs end, and what is kept of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{cancel::Receipt, status::RunStatus, usage::Usage};

/// Why a model stopped speaking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// It had said what it had to say.
    Stop,
    /// It reached its limit of tokens.
    Length,
    /// It wants tools to be called.
    ToolCalls,
    /// A filter of the provider stopped it.
    ContentFilter,
    /// It refused to answer; what it said is the refusal.
    Refusal,
    /// The request failed; the event says how.
    Failed,
    /// A reason this release has no word for, as the provider spelled it.
    Other(Arc<str>),
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reply {
    /// What the model said, in all its turns. An answer that a crash had cut, and that was asked for again, is not part
    /// of it.
    pub text: String,
    /// What it thought aloud, where the provider shows that.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    /// Why it stopped.
    pub finish: FinishReason,
    /// Tokens used.
    pub usage: Usage,
}

impl Reply {
    /// An answer with these words, and nothing thought aloud.
    pub fn new(text: impl Into<String>, finish: FinishReason, usage: Usage) -> Reply {
        Reply {
            text: text.into(),
            reasoning: String::new(),
            finish,
            usage,
        }
    }
}

/// What a cancelled run had said, and what its cancel did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Partial {
    /// What the model had said until then.
    pub text: String,
    /// What it had thought aloud until then.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    /// What the cancel did.
    pub receipt: Receipt,
}

impl Partial {
    /// These words, nothing thought aloud, and what the cancel did.
    pub fn new(text: impl Into<String>, receipt: Receipt) -> Partial {
        Partial {
            text: text.into(),
            reasoning: String::new(),
            receipt,
        }
    }

    /// The same, with what was thought aloud.
    pub fn reasoning(mut self, reasoning: impl Into<String>) -> Partial {
        self.reasoning = reasoning.into();
        self
    }
}

/// What kind of thing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorReason {
    /// The model, or the way to it, failed.
    Model,
    /// The model's stream ended in the middle of an answer.
    Truncated,
    /// The model called a tool, and its agent has none.
    UnexpectedToolCall,
    /// What was said before in the session could not be read.
    History,
    /// A model panicked.
    Panicked,
    /// The run's actor was killed, or ended in a way it should not.
    Killed,
    /// The process ended during the run.
    Interrupted,
}

/// How a run failed, and what it had said until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct RunError {
    /// What kind of thing failed.
    pub reason: ErrorReason,
    /// What happened, for a person to read.
    pub message: String,
    /// What the model had said until then.
    pub text: String,
    /// What it had thought aloud until then.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    /// Tokens used.
    pub usage: Usage,
}

impl RunError {
    /// A failure of a run that had said `text` and thought nothing aloud.
    pub fn new(
        reason: ErrorReason,
        message: impl Into<String>,
        text: impl Into<String>,
        usage: Usage,
    ) -> RunError {
        RunError {
            reason,
            message: message.into(),
            text: text.into(),
            reasoning: String::new(),
            usage,
        }
    }
}

/// How a run ended. A cancelled run is no error: it has a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The model finished its answer.
    Completed(Arc<Reply>),
    /// The run was cancelled.
    Cancelled(Arc<Partial>),
    /// The run failed.
    Error(Arc<RunError>),
}

impl Outcome {
    /// The status of a run that ended so.
    pub const fn status(&self) -> RunStatus {
        match self {
            Outcome::Completed(_) => RunStatus::Completed,
            Outcome::Cancelled(_) => RunStatus::Cancelled,
            Outcome::Error(_) => RunStatus::Error,
        }
    }

    /// What the model said, whole or in part.
    pub fn text(&self) -> &str {
        match self {
            Outcome::Completed(reply) => &reply.text,
            Outcome::Cancelled(partial) => &partial.text,
            Outcome::Error(error) => &error.text,
        }
    }

    /// Tokens used.
    pub fn usage(&self) -> Usage {
        match self {
            Outcome::Completed(reply) => reply.usage,
            Outcome::Cancelled(partial) => partial.receipt.usage,
            Outcome::Error(error) => error.usage,
        }
    }
}
