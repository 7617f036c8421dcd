//! A program as a tool.
//!
//! From the outside in: settings and the model's input (`settings`, `input`, `environment`); one call (`call`, which
//! starts at the `gate` and bounds the `output`); the `group` of processes that a call owns; and the clean-up after a
//! crash (`left_over`). `proc` reads `/proc`.

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

/// The environment variable that holds a call's mark.
const MARK: &str = "QUELL_CALL";
