//! A simulated model that needs no network: for demos, load tests and your own tests.
//!
//! [`Storyteller`] produces its text word by word, at a set pace; the same seed gives the same text. At any word it can
//! stall, fail, break off, panic or report usage, and it can call tools. It refuses conversations that a provider would
//! refuse, by the rules of [`check_chat`]. With a [`Gate`] a test decides when each chunk comes. A [`Probe`] counts the
//! open streams, which proves that a cancel has reached the model.
//!
//! ```
//! use quell_actors::{Agent, Outcome, Runtime, sim::Storyteller};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = Storyteller::new("and the sea and the sea").stall_at(3);
//! let probe = model.probe();
//! let run = Runtime::new().start(&Agent::new("poet", model), "Sing.").await?;
//!
//! let mut events = run.events_from(5);
//! events.next().await; // the third word
//! run.cancel().await;
//! assert_eq!(probe.open(), 0);
//! assert!(matches!(run.outcome().await?, Outcome::Cancelled(partial) if partial.text == "and the sea "));
//! # Ok(())
//! # }
//! ```

mod chat;
mod gate;
mod plan;
mod script;
mod story;
mod storyteller;
mod stream;

pub use self::{
    chat::{ChatFault, check_chat},
    gate::{Gate, Probe},
    storyteller::Storyteller,
};
