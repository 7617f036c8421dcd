//! How a run ended, for who counts runs and does not read them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    cancel::{Activity, CancelReason},
    outcome::{ErrorReason, FinishReason, Outcome},
    usage::{Money, Prices, Usage},
};

/// Why a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndReason {
    /// The model finished its answer.
    Finished(FinishReason),
    /// It was cancelled.
    Cancelled(CancelReason),
    /// It failed.
    Failed(ErrorReason),
}

impl EndReason {
    /// A word for it, without what the reason itself says. There is a bounded number of them, as labels of metrics
    /// need.
    pub const fn label(&self) -> &'static str {
        match self {
            EndReason::Finished(finish) => match finish {
                FinishReason::Stop => "stop",
                FinishReason::Length => "length",
                FinishReason::ToolCalls => "tool_calls",
                FinishReason::ContentFilter => "content_filter",
                FinishReason::Refusal => "refusal",
                FinishReason::Failed => "failed",
                FinishReason::Other(_) => "other",
            },
            EndReason::Cancelled(reason) => match reason {
                CancelReason::Requested => "requested",
                CancelReason::Deadline => "deadline",
                CancelReason::FirstToken => "first_token",
                CancelReason::Silence => "silence",
                CancelReason::Budget => "budget",
                CancelReason::SessionBusy => "session_busy",
                CancelReason::PauseExpired => "pause_expired",
                CancelReason::Disconnected => "disconnected",
                CancelReason::Superseded => "superseded",
                CancelReason::SessionDeleted => "session_deleted",
                CancelReason::Shutdown => "shutdown",
                CancelReason::Parent(_) => "parent",
                CancelReason::Because(_) => "because",
            },
            EndReason::Failed(reason) => match reason {
                ErrorReason::Model => "model",
                ErrorReason::Truncated => "truncated",
                ErrorReason::UnexpectedToolCall => "unexpected_tool_call",
                ErrorReason::History => "history",
                ErrorReason::Panicked => "panicked",
                ErrorReason::Killed => "killed",
                ErrorReason::Interrupted => "interrupted",
            },
        }
    }
}

/// How a run ended: what its last event says of it, without what the model said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ended {
    /// Why.
    pub reason: EndReason,
    /// What the cancel cut, if it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Activity>,
    /// How long the cancel took until nothing of the run was running, if it was cancelled.
    #[serde(rename = "took_us", default, with = "micros")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took: Option<Duration>,
    /// Tokens used.
    pub usage: Usage,
    /// What they cost, when the agent has prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Money>,
    /// From the first request until the model first said something, in whole milliseconds. `None`: it said nothing.
    #[serde(rename = "first_word_us", default, with = "micros")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_word: Option<Duration>,
    /// In how many turns the model was asked.
    pub turns: u32,
    /// How many calls of tools were begun.
    pub calls: u32,
}

impl Ended {
    /// What the outcome says, and the `prices`.
    pub(crate) fn of(outcome: &Outcome, prices: Option<&Prices>) -> Ended {
        let usage = outcome.usage();
        let receipt = match outcome {
            Outcome::Cancelled(partial) => Some(&partial.receipt),
            Outcome::Completed(_) | Outcome::Error(_) => None,
        };
        Ended {
            reason: match outcome {
                Outcome::Completed(reply) => EndReason::Finished(reply.finish.clone()),
                Outcome::Cancelled(partial) => EndReason::Cancelled(partial.receipt.reason.clone()),
                Outcome::Error(error) => EndReason::Failed(error.reason),
            },
            cut: receipt.map(|receipt| receipt.cut),
            took: receipt.map(|receipt| receipt.took),
            usage,
            cost: prices.map(|prices| prices.cost(&usage)),
            first_word: None,
            turns: 0,
            calls: 0,
        }
    }
}

/// Durations as whole microseconds.
mod micros {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        time: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let micros = time.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        micros.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let micros = Option::<u64>::deserialize(from)?;
        Ok(micros.map(Duration::from_micros))
    }
}
