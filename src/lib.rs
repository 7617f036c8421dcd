//! Quell: a runtime for runs of LLM agents that can be stopped.

pub use quell_actors::*;

#[cfg(feature = "http-models")]
pub mod models;

#[cfg(feature = "sqlite")]
pub mod stores;
