//! A program as a tool.
//!
//! From the outside in: what is set and what the model gives (`settings`, `input`, `environment`), one call (`call`, which
//! begins at the `gate` and keeps the `output` within bounds), the `group` of processes that a call owns, and what comes
//! after a crash (`left_over`). `proc` reads what the system says of processes.

mod call;
mod environment;
mod gate;
mod group;
mod input;
mod left_over;
mod output;
mod proc;
mod settings;

pub use self::{
    left_over::{LeftOver, end_left_over},
    settings::ProcessTool,
};

/// The variable of the environment that a call's mark is in.
const MARK: &str = "QUELL_CALL";
