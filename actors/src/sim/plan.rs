//! The settings of a storyteller.

use std::{collections::BTreeMap, time::Duration};

use super::{
    gate::{Gate, Probe},
    script::Script,
    story::Source,
};
use crate::model::{ModelError, ModelUsage};

/// What the storyteller will do.
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
    /// The only turn in which `at` applies; unset, it applies in each.
    pub(super) acts_in: Option<u64>,
    /// The calls that are made before the story is told.
    pub(super) script: Script,
    /// Whether conversations are accepted that a provider would refuse.
    pub(super) lenient: bool,
    /// The errors of the first requests, which fail before they connect.
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
