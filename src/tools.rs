//! Tools that act outside this process.
//!
//! [`ProcessTool`] runs a program. It needs Linux: only `/proc` and pidfds say for certain which processes of a group
//! are left, and whose they are. On other systems this module does not exist.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod process;

pub use process::{LeftOver, ProcessTool, end_left_over};
