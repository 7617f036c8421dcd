//! The store in one SQLite file: its results, the content of the file, and what is left when the process, the disk or
//! the file itself fails.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod backup;
mod damage;
mod deleting;
mod failing;
mod folding;
mod keeping;
mod model;
mod old;
mod opening;
mod reading;
mod support;
