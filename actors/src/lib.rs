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
//! * [`CancelRequest`], [`CancelOutcome`] and [`Receipt`](cancel::Receipt) are the words of a cancel.
//! * [`Model`] and [`Store`] are the seams: implement them to bring your own.
//! * [`sim`] is a model that needs no network, for demos, load, and your own tests.
//! * [`runtime`] has what belongs to a server: how to open a store, settings, shutdown, statistics, health.
//! * [`settings`] says how settings are written in a file, and [`error`] has every error.
//! * [`Delivery`](run::Delivery) is how an actor of yours receives the events of a run.

// words: plain data
pub mod cancel;
mod context;
pub mod error;
pub mod event;
pub mod id;
pub mod message;
pub mod outcome;
mod provider;
pub mod settings;
mod status;
mod transcript;
pub mod usage;
pub mod view;

// law: pure
mod machine;

// seams: traits, and what needs no world of its own
pub mod agent;
pub mod model;
pub mod sim;
pub mod store;
pub mod tool;

// actors: tasks, mailboxes, time
mod clock;
mod lock;
mod panics;
pub mod run;
pub mod runtime;

pub use self::{
    agent::Agent,
    cancel::{CancelOutcome, CancelReason, CancelRequest},
    event::{EventKind, RunEvent},
    id::RunId,
    model::Model,
    outcome::Outcome,
    run::Run,
    runtime::{NewRun, Runtime},
    status::RunStatus,
    store::Store,
    tool::{Tool, ToolContext},
};
/// The release of ractor that this crate speaks.
pub use ractor;
