//! What a storyteller is set up to do.

use std::{collections::BTreeMap, time::Duration};

use super::{
    gate::{Gate, Probe},
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
