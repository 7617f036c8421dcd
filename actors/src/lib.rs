//! Runs of LLM agents, as actors that can be **stopped**.
//!
//! A run is started, streamed and cancelled by its id, at any moment and wherever it is: waiting in a queue, connecting,
//! waiting for a silent model, in the middle of its stream, asleep before a retry. It ends at once, exactly once, with
//! what it had said kept, and its last event carries a receipt of what was done.
//!
//! ```
//! use quell_actors::{Agent, EventKind, Runtime, sim::Storyteller};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let poet = Agent::new("poet", Storyteller::endless());
//! let run = Runtime::new().start(&poet, "Sing of the sea.").await?;
//!
//! let mut events = run.events();
//! let mut words = 0;
//! while let Some(event) = events.next().await {
//!     match event?.kind {
//!         EventKind::Content { .. } => {
//!             words += 1;
//!             if words == 10 {
//!                 run.cancel().await;
//!             }
//!         }
//!         EventKind::Cancelled { partial } => {
//!             println!("{} (cut while {})", partial.text, partial.receipt.cut);
//!         }
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! This crate knows no network and no disk. The crate `quell` re-exports all of it and adds models over HTTP.
//!
//! # Where to look
//!
//! * [`Agent`] says who answers, [`Runtime`] starts runs, [`Run`] stands for one.
//! * [`RunEvent`] and [`EventKind`] are what a run says, [`Outcome`] is how it ends.
//! * [`CancelRequest`], [`CancelOutcome`] and [`Receipt`] are the words of a cancel.
//! * [`Model`] and [`Store`] are the seams: implement them to bring your own.
//! * [`sim`] is a model that needs no network, for demos, load, and your own tests.
//! * [`Delivery`] is how an actor of yours hears a run.

// words: plain data, and the only things that are serialised
mod cancel;
mod error;
mod event;
mod id;
mod message;
mod outcome;
mod status;
mod transcript;
mod usage;

// law: pure
mod machine;

// seams: traits, and what has no world of its own
mod agent;
mod model;
pub mod sim;
pub mod store;
pub mod tool;

// actors: tasks, mailboxes, time
mod clock;
mod lock;
mod panics;
mod run;
mod runtime;

pub use agent::{Agent, AgentBuilder, Interrupted, Limits, OnCrash, RetryPolicy};
pub use cancel::{CancelOutcome, CancelReason, CancelRequest, Cut, Receipt, ToolEnd, ToolReceipt};
pub use error::{AgentError, ContinueError, EventsError, SessionError, StartError};
pub use event::{
    CancelRequested, Continued, Decision, EventKind, ModelRequestCompleted, Paused, RunEvent,
    Started, StatusChange, ToolCallCompleted, ToolCallError, ToolCallProcess, ToolCallProgress,
    ToolFault,
};
pub use id::{InvalidRunId, RunId, Timestamp};
pub use message::{Message, ToolCall};
pub use model::{
    Model, ModelChunk, ModelError, ModelErrorKind, ModelRequest, ModelUsage, Retry, ToolCallDelta,
};
pub use outcome::{ErrorReason, FinishReason, Outcome, Partial, Reply, RunError};
/// The release of ractor that this crate speaks.
pub use ractor;
pub use run::{CancelOnDrop, Delivery, EventStream, Run, SteerOutcome};
pub use runtime::{
    Decisions, NewRun, Recover, Recovered, RunInfo, Runtime, RuntimeConfig, Shutdown,
    ShutdownReport, WhenBusy, Which,
};
pub use status::RunStatus;
pub use store::{MemoryStore, RunHead, RunQuery, SessionHead, SessionQuery, Store};
pub use tool::{AnyTool, OnCancel, Tool, ToolContext, ToolError, ToolSettings, ToolSpec};
pub use usage::{Money, Prices, Usage, UsageSource};
