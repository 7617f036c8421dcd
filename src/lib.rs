//! Quell starts, streams and **stops** runs of LLM agents.
//!
//! Every run is an actor. It can be stopped by its id, at any moment and wherever it is: in a queue, connecting, waiting
//! for a silent model, in the middle of a token stream, inside a tool, paused for a person. It ends at once and exactly
//! once, what it had said is kept, and its last event carries a receipt of what the cancel did.
//!
//! ```
//! use quell::{Agent, EventKind, Runtime, sim::Storyteller};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A simulated model. `models::OpenAiChat` asks a real one.
//! let poet = Agent::new("poet", Storyteller::endless());
//! let run = Runtime::new().start(&poet, "Sing of the sea.").await?;
//!
//! let mut events = run.events();
//! while let Some(event) = events.next().await {
//!     match event?.kind {
//!         EventKind::Content { text } => {
//!             print!("{text}");
//!             // From here, from another thread, or by `runtime.cancel(id)`.
//!             run.cancel();
//!         }
//!         EventKind::Cancelled { partial } => println!(" [cut while {}]", partial.receipt.cut),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! * [`Agent`] says who answers, [`Runtime`] starts and finds runs, [`Run`] stands for one of them.
//! * [`RunEvent`] and [`EventKind`] are what a run says, [`Outcome`] is how it ends, and [`view`] shows a whole run.
//! * [`CancelRequest`] and [`CancelOutcome`] are what a cancel asks and returns, [`cancel::Receipt`] is what it did.
//! * [`Model`], [`Tool`] and [`Store`] are traits: implement them to bring your own. [`models`], [`tools`] and [`stores`]
//!   have ours.
//! * [`runtime`] has what belongs to a server: how to open a store, settings, shutdown, statistics, health.
//! * [`settings`] says how settings are written in a file, [`error`] has every error, and [`sim`] a model for tests.
//!
//! The folder `docs` of the repository explains the promises, and `examples` has programs to run.
//!
//! # Features
//!
//! | feature | on by default | adds |
//! |---|---|---|
//! | `http-models` | yes | [`models`]: chat models over HTTP, OpenAI-compatible |
//! | `sqlite` | yes | [`stores`]: one file that outlives the process |
//! | `process-tool` | yes | [`tools`]: tools that are programs; Linux only |
//! | `cli` | yes | the program `quell` |
//! | `conformance` | no | `store::conformance`: the tests that a store of your own has to pass |
//!
//! Without any of them, this crate is `quell-actors`: no network, no disk.

#[cfg(feature = "http-models")]
pub mod models;

#[cfg(feature = "sqlite")]
pub mod stores;

#[cfg(all(feature = "process-tool", target_os = "linux"))]
pub mod tools;

#[doc(inline)]
pub use quell_actors::{
    Agent, CancelOutcome, CancelReason, CancelRequest, EventKind, Model, NewRun, Outcome, Run,
    RunEvent, RunId, RunStatus, Runtime, Store, Tool, ToolContext, agent, cancel, error, event, id,
    message, model, outcome, ractor, run, runtime, settings, sim, store, tool, usage, view,
};
