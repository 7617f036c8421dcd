//! Runs of LLM agents as actors that can be stopped.
mod agent;
mod cancel;
mod error;
mod event;
mod id;
mod message;
mod model;
mod outcome;
mod status;

pub use agent::{Agent, AgentBuilder, Limits, RetryPolicy};
pub use cancel::{CancelOutcome, CancelReason, CancelRequest, Cut, Receipt};
pub use error::{AgentError, EventsError, StartError};
pub use event::{
    CancelRequested, EventKind, ModelRequestCompleted, RunEvent, Started, StatusChange,
    ToolCallCompleted, ToolCallError,
};
pub use id::{InvalidRunId, RunId, Timestamp};
pub use message::{Message, ToolCall};
pub use model::{
    Model, ModelChunk, ModelError, ModelErrorKind, ModelRequest, ModelUsage, Retry, ToolCallDelta,
};
pub use outcome::{
    ErrorReason, FinishReason, Outcome, Partial, Reply, RunError, Usage, UsageSource,
};
pub use status::RunStatus;
