//! What was seen is kept: programs that are killed at any time, their file, and the programs that open it next.
//!
//! The killed program is this test's own executable, with a task from [`orders`]. It prints everything that its
//! subscribers see, unbuffered. The test reads that, kills the program, and compares the file with the lines.
//!
//! A seed chooses the times of the kills, and is printed. `QUELL_CRASH_SEED` repeats them, as far as two processes
//! allow.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and has figures to show"
)]

mod agents;
mod check;
mod child;
mod closing;
mod history;
mod kills;
mod lines;
mod opening;
mod orders;
mod planted;
mod program;
#[path = "../programs/mod.rs"]
mod programs;
mod support;
mod two;
mod waited;

/// Not a test: the killed program, if this process was started as one.
#[test]
fn child_program() {
    if let Some(orders) = orders::Orders::taken() {
        program::obey(&orders);
    }
}
