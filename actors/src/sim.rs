//! A model that needs no network: for demos, for load, and for tests of your own.
//!
//! [`Storyteller`] speaks word by word, at a pace, and is deterministic by its seed. It can stall, fail, cut its answer
//! off, panic and report usage at any chunk you choose, and call tools. It refuses a conversation that a provider would
//! refuse, by the rules of [`check_chat`]. A [`Gate`] lets a test decide when each chunk comes, and a
//! [`Probe`] tells how many of its streams are open, which is what proves that a cancel has reached the model.
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
