//! When a run ends by itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    settings::{optional, required},
    usage::Money,
};

/// When a run ends by itself, [`Cancelled`](crate::RunStatus::Cancelled) with a reason of its own. Zero means zero: a
/// run with a deadline or a first token of zero ends before its model is asked. `None` means no limit,
/// and is written `"none"`: see [`settings`](crate::settings).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// How long a run may run. Waiting for a slot does not count. Default: none.
    #[serde(with = "optional")]
    pub deadline: Option<Duration>,
    /// How long a model may take, from each request, until it says something. Keep-alives do not count as saying
    /// something. Default: 5 minutes.
    #[serde(with = "optional")]
    pub first_token: Option<Duration>,
    /// How long a model may be silent between two words. Keep-alives do not count. Default: 2 minutes.
    #[serde(with = "optional")]
    pub silence: Option<Duration>,
    /// How large a run's log may grow, from its first request on: 64 bytes for each event, and the bytes of its words
    /// and of the faults of failed requests. What would go beyond is not taken. The run's ending is always taken.
    /// Default: 16 MiB.
    pub max_log_bytes: u64,
    /// How often the model may be asked; repeated attempts do not count. Default: 50.
    #[serde(with = "optional")]
    pub max_turns: Option<u32>,
    /// How many calls of tools there may be. An answer that asks for more ends the run before any of its calls is
    /// begun. Default: none.
    #[serde(with = "optional")]
    pub max_tool_calls: Option<u32>,
    /// How many tokens a run may use, in and out, over all its requests. They are counted as they come: by the
    /// provider's number where it has given one, else estimated at four bytes a token. Default: none.
    #[serde(with = "optional")]
    pub max_tokens: Option<u64>,
    /// What a run may cost, by the agent's [`Prices`](crate::usage::Prices). Default: none.
    #[serde(with = "optional")]
    pub max_cost: Option<Money>,
    /// How long tools that must finish ([`OnCancel::Finish`](crate::tool::OnCancel)) are awaited when the run is
    /// cancelled. Default: 30 seconds.
    #[serde(with = "required")]
    pub cancel_limit: Duration,
    /// How long a paused run waits for a decision before it is cancelled. Default: no limit.
    #[serde(with = "optional")]
    pub pause_expiry: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            deadline: None,
            first_token: Some(Duration::from_secs(5 * 60)),
            silence: Some(Duration::from_secs(2 * 60)),
            max_log_bytes: 16 * 1024 * 1024,
            max_turns: Some(50),
            max_tool_calls: None,
            max_tokens: None,
            max_cost: None,
            cancel_limit: Duration::from_secs(30),
            pause_expiry: None,
        }
    }
}
