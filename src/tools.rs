//! Tools that touch the world.
//!
//! [`ProcessTool`] runs a program. It needs Linux: what is left of a group of processes, and whose it is, can be told for
//! sure only by `/proc` and pidfds. Elsewhere this module is not there.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod process;

pub use process::{LeftOver, ProcessTool, end_left_over};
