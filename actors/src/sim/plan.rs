//! What a storyteller is set up to do.

use std::{collections::BTreeMap, time::Duration};

use super::{
    gate::{Gate, Probe},
    script::Script,
    story::Source,
};
use crate::model::{ModelError, ModelUsage};

/// What the storyteller is to do.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) source: Source,
    pub(super) seed: u64,
    pub(super) pace: Duration,
    pub(super) jitter: f64,
    pub(super) connect_after: Duration,
    pub(super) first_after: Option<Duration>,
    pub(super) thinking: Source,
    pub(super) at: BTreeMap<u64, Vec<Act>>,
    /// The turn in which that happens; in each, unless set.
    pub(super) acts_in: Option<u64>,
    /// The tools that are called before the story is told.
    pub(super) script: Script,
    /// A conversation that no provider would take is taken.
    pub(super) lenient: bool,
    /// How the first requests fail, before they connect.
    pub(super) refusals: Vec<ModelError>,
    pub(super) gate: Option<Gate>,
    pub(super) probe: Probe,
}

/// What happens before a word.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Report(ModelUsage),
    Stall,
    Fail(ModelError),
    CutOff,
    Panic,
}
