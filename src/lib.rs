//! Quell: a runtime for runs of LLM agents that can be stopped.

pub use quell_actors::*;

#[cfg(feature = "http-models")]
pub mod models;

#[cfg(feature = "sqlite")]
pub mod stores;

#[cfg(all(feature = "process-tool", target_os = "linux"))]
pub mod tools;
