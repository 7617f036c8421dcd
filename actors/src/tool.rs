//! The seam to tools: what a model may ask to be done.
//!
//! ```
//! use quell_actors::{Agent, ToolContext, tool, sim::Storyteller};
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Sum {
//!     a: i64,
//!     b: i64,
//! }
//!
//! let add = tool::from_fn("add", "Adds two numbers.", |sum: Sum, _: ToolContext| async move {
//!     Ok(sum.a + sum.b)
//! });
//! let agent = Agent::builder("clerk", Storyteller::endless()).tool(add).build()?;
//! # Ok::<(), quell_actors::error::AgentError>(())
//! ```

mod any;
mod context;
mod fns;

use std::{fmt, future::Future, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::settings::{optional, required};

pub use self::{
    any::{AnyTool, ToolSpec},
    context::{Process, ToolContext},
    fns::{blocking_fn, external, from_fn, from_schema},
};
pub(crate) use self::{
    any::{CallFault, in_bounds, panicked, too_long},
    context::Caller,
};

/// Something a model may ask to be done.
///
/// What an implementation can rely on, and what it owes:
///
/// * The call has been stored as begun before it is begun, and gets exactly one result.
/// * An error, a panic, and arguments that are not of the type `Input` are reported to the model; the run continues.
/// * Each call is a task of its own; the calls of one answer run at the same time.
/// * When the run is cancelled the call is notified ([`ToolContext::cancelled`]) and then treated as its
///   [`OnCancel`] says. **A future that is dropped must leave nothing running.** What blocks its thread cannot be
///   dropped: use [`blocking_fn`] for it.
/// * After a crash it is not known what a call that was running has done. It is not repeated, unless it says that it
///   may be ([`ToolSettings::repeatable`]): [`ToolContext::call_id`] is then the same, to be used as an idempotency
///   key.
pub trait Tool: Send + Sync + 'static {
    /// The name by which the model calls it: 1 to 64 letters, digits, `_` and `-`.
    const NAME: &'static str;
    /// What it does, for the model to read.
    const ABOUT: &'static str;
    /// What it takes. The model is shown its JSON Schema, with its doc comments.
    type Input: DeserializeOwned + JsonSchema + Send + 'static;
    /// What it returns. A string is shown to the model as it is, anything else as JSON.
    type Output: Serialize + Send + 'static;

    /// How its calls are treated.
    fn settings(&self) -> ToolSettings {
        ToolSettings::default()
    }

    /// Does it.
    ///
    /// # Errors
    ///
    /// A [`ToolError`], which the model receives.
    fn call(
        &self,
        input: Self::Input,
        context: ToolContext,
    ) -> impl Future<Output = Result<Self::Output, ToolError>> + Send;
}

/// How the calls of a tool are treated. Zero means zero, and `None` means no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolSettings {
    /// What becomes of a call when its run is cancelled. Default: [`OnCancel::Drop`].
    pub on_cancel: OnCancel,
    /// How long a call may take. When it is over the call is notified and treated as its `on_cancel` says, with a
    /// `Finish` that is not awaited for longer than the cancel limit; the model sees that it timed out. Default: none.
    #[serde(with = "optional")]
    pub timeout: Option<Duration>,
    /// Whether a person has to approve each call: the run is paused until then. Default: no.
    pub confirm: bool,
    /// Whether the caller does it, and not this process: each call pauses the run until the caller gives its output
    /// ([`Decision::Answer`](crate::event::Decision::Answer)). Default: no.
    pub external: bool,
    /// Whether a call whose outcome is not known may be made again. Default: no.
    pub repeatable: bool,
    /// How many bytes of output the model is shown at most; a call with more has failed. Default: 1 MiB. Of how a call
    /// failed it is shown 64 KiB at most, whatever this says.
    pub max_output_bytes: usize,
}

impl Default for ToolSettings {
    fn default() -> ToolSettings {
        ToolSettings {
            on_cancel: OnCancel::Drop,
            timeout: None,
            confirm: false,
            external: false,
            repeatable: false,
            max_output_bytes: 1024 * 1024,
        }
    }
}

/// What becomes of a call when its run is cancelled. In each case it is notified first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCancel {
    /// It is dropped at once.
    #[default]
    Drop,
    /// It is dropped after this time, unless it has finished before.
    Grace(#[serde(with = "required")] Duration),
    /// It is awaited, for as long as the cancel limit of the agent allows ([`Limits`](crate::agent::Limits)), and then
    /// dropped. For what must not be cut in the middle, such as moving money.
    Finish,
}

/// How a tool failed, in words for the model. Any error becomes one by `?`.
#[derive(Clone, PartialEq, Eq)]
pub struct ToolError {
    message: String,
}

impl ToolError {
    /// A failure, in these words.
    pub fn new(message: impl Into<String>) -> ToolError {
        ToolError {
            message: message.into(),
        }
    }

    /// What the model receives.
    pub fn message(&self) -> &str {
        &self.message
    }
}

// Not an error itself, so that any error can become one.
impl<E: std::error::Error> From<E> for ToolError {
    fn from(error: E) -> ToolError {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        ToolError { message }
    }
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ToolError").field(&self.message).finish()
    }
}
