//! Runs under faults on a store in a file: appends fail in every way, and so do models, tools and actors. Afterwards
//! each run has one ending in the store, or was lost and is settled by recovery.
//!
//! A seed decides what happens to which run, and is printed; `QUELL_CRASH_SEED` repeats it, as far as threads allow.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and has figures to show"
)]

mod cast;
#[allow(dead_code, reason = "it serves programs that are killed, too")]
#[path = "../crash/check.rs"]
mod check;
#[allow(dead_code, reason = "it serves programs that are killed, too")]
#[path = "../crash/history.rs"]
mod history;
#[allow(dead_code, reason = "it serves programs that are killed, too")]
#[path = "../crash/lines.rs"]
mod lines;
mod storm;
#[allow(dead_code, reason = "it serves programs that are killed, too")]
#[path = "../crash/support.rs"]
mod support;
mod weather;
