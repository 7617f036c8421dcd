//! What was seen is kept: programs that are killed at any moment, their file, and who comes after them.
//!
//! The program that is killed is this very executable, told what to do by [`orders`]. It prints everything that its
//! subscribers see, unbuffered; the test reads that, kills it, and holds the file to it.
//!
//! The moments come from a seed, which is printed; `QUELL_CRASH_SEED` brings them back, as far as two processes can.
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

/// No test: the program that is killed, when it was started as one.
#[test]
fn child_program() {
    if let Some(orders) = orders::Orders::taken() {
        program::obey(&orders);
    }
}
