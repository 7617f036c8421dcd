//! The chat completions model against a server scripted by the test, over real sockets.

#![cfg(feature = "http-models")]
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod back;
mod calls;
mod cancel;
mod connections;
mod framing;
mod requests;
mod secrets;
mod statuses;
