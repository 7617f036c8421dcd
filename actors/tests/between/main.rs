//! What lies between the parts: a promise that each part keeps alone is kept by them together.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod deleting;
mod kin;
mod late;
mod refused;
mod restart;
mod slow;
