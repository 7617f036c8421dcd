//! Programs as tools, with real processes: their output, and that none of them outlives its call.

#![cfg(all(feature = "process-tool", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

mod begin;
mod cancel;
mod crash;
mod drops;
mod given;
mod left_over;
mod output;
mod remains;
mod resources;
