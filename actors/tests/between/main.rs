//! Promises that several parts must keep together, although each part keeps them alone.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod deleting;
mod kin;
mod late;
mod phantom;
mod refused;
mod restart;
mod slow;
mod unstored;
