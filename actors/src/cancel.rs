//! The words of a cancel: what is asked, what is answered, what was done.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    id::{RunId, Timestamp},
    status::RunStatus,
    usage::{Money, Usage},
};

/// Why a run was cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CancelReason {
    /// A caller asked for it.
    Requested,
    /// The run reached its time limit ([`Limits::deadline`](crate::agent::Limits::deadline)).
    Deadline,
    /// The model had not said anything in time ([`Limits::first_token`](crate::agent::Limits::first_token)).
    FirstToken,
    /// The model fell silent for too long ([`Limits::silence`](crate::agent::Limits::silence)).
    Silence,
    /// The run reached a limit of size, tokens, cost, turns or tool calls ([`Limits`](crate::agent::Limits)); `by` says
    /// which.
    Budget,
    /// The session was busy for longer than a run waits for it.
    SessionBusy,
    /// No decision on the paused run came in time.
    PauseExpired,
    /// The client that had asked for the run went away.
    Disconnected,
    /// A newer request took its place.
    Superseded,
    /// Its session was deleted.
    SessionDeleted,
    /// The runtime was shut down.
    Shutdown,
    /// The run that had started it was cancelled.
    Parent(RunId),
    /// Any other reason, in the caller's words.
    Because(Arc<str>),
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CancelReason::Requested => f.write_str("requested"),
            CancelReason::Deadline => f.write_str("deadline"),
            CancelReason::FirstToken => f.write_str("no first token in time"),
            CancelReason::Silence => f.write_str("silent for too long"),
            CancelReason::Budget => f.write_str("budget"),
            CancelReason::SessionBusy => f.write_str("session busy for too long"),
            CancelReason::PauseExpired => f.write_str("no decision in time"),
            CancelReason::Disconnected => f.write_str("client disconnected"),
            CancelReason::Superseded => f.write_str("superseded"),
            CancelReason::SessionDeleted => f.write_str("session deleted"),
            CancelReason::Shutdown => f.write_str("shutdown"),
            CancelReason::Parent(run) => write!(f, "parent run {run} was cancelled"),
            CancelReason::Because(text) => f.write_str(text),
        }
    }
}

/// A cancel, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CancelRequest {
    /// Why.
    pub reason: CancelReason,
    /// Who asked, when that is known.
    #[serde(default)]
    pub by: Option<Arc<str>>,
    /// Whether a cancel of an id that is not known is remembered, so that the run is cancelled as soon as it starts.
    /// Such intents are bounded in number and in age ([`RuntimeConfig`](crate::runtime::RuntimeConfig)).
    #[serde(default)]
    pub remember: bool,
    /// For whom it is remembered: only the start of a run of the same scope ([`NewRun::scope`](crate::NewRun::scope))
    /// is cancelled. `None` is a scope of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Arc<str>>,
}

impl CancelRequest {
    /// A cancel for `reason`, by no named caller.
    pub const fn new(reason: CancelReason) -> CancelRequest {
        CancelRequest {
            reason,
            by: None,
            remember: false,
            scope: None,
        }
    }

    /// Notes who asked.
    pub fn by(mut self, who: impl Into<Arc<str>>) -> CancelRequest {
        self.by = Some(who.into());
        self
    }

    /// Asks for the cancel to be remembered when the run is not known yet.
    pub fn remember(mut self) -> CancelRequest {
        self.remember = true;
        self
    }

    /// The same, for runs that are started in this scope alone, such as those of one user.
    pub fn remember_in(mut self, scope: impl Into<Arc<str>>) -> CancelRequest {
        self.scope = Some(scope.into());
        self.remember()
    }
}

impl Default for CancelRequest {
    fn default() -> CancelRequest {
        CancelRequest::new(CancelReason::Requested)
    }
}

/// The result of a cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum CancelOutcome {
    /// The run ends [`Cancelled`](RunStatus::Cancelled), and nothing that a model produces comes after `seq`.
    Accepted {
        /// The position of the run's `CancelRequested` event.
        seq: u64,
        /// Whether that event is in the store. `false`: the store had not confirmed it within 100 ms; the cancel holds
        /// all the same, unless the process dies before the store answers.
        durable: bool,
    },
    /// An earlier cancel was accepted; this one changed nothing.
    AlreadyCancelling,
    /// The run had ended before; it keeps this status.
    AlreadyEnded {
        /// How it ended.
        status: RunStatus,
    },
    /// No run of this id is known. It was asked to be remembered, and will be: the run is cancelled when it starts.
    Remembered,
    /// No run of this id is known, and nothing was remembered.
    NotFound,
    /// The run has not ended, and it is not this runtime's to end: another one has it, or had it and is gone. Nothing
    /// was cancelled.
    NotHere {
        /// Where the run stood when the store was asked.
        status: RunStatus,
    },
    /// The store could not be read, so that it is not known whether there is such a run. Nothing was cancelled; ask
    /// again. A cancel that was to be [remembered](CancelRequest::remember) is, for a run that has not started yet.
    Unreadable,
}

impl CancelOutcome {
    /// Whether this very call is what ends the run.
    pub const fn is_accepted(self) -> bool {
        matches!(self, CancelOutcome::Accepted { .. })
    }
}

/// What the run was at when its cancel was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activity {
    /// It waited for a free slot; no model was asked.
    Pending,
    /// It had a slot, and no model had been asked yet.
    Starting,
    /// A model had been asked, and had not answered yet.
    Connecting,
    /// The model had answered, and had not said anything yet.
    FirstToken,
    /// The model was speaking: its last word was less than a second old.
    Streaming,
    /// The model had spoken, and had been silent for a second or longer.
    Silent,
    /// It was asleep before asking the model again.
    Retrying,
    /// Tools were running.
    Tool,
    /// It waited for a person's decision.
    Paused,
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Activity::Pending => "waiting in the queue",
            Activity::Starting => "starting",
            Activity::Connecting => "connecting to the model",
            Activity::FirstToken => "waiting for the first token",
            Activity::Streaming => "streaming",
            Activity::Silent => "waiting for a silent model",
            Activity::Retrying => "asleep before a retry",
            Activity::Tool => "waiting for tools",
            Activity::Paused => "waiting for a person's decision",
        })
    }
}

/// What a cancel did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Receipt {
    /// When the cancel was accepted.
    pub requested_at: Timestamp,
    /// The position of the `CancelRequested` event.
    pub seq: u64,
    /// Why.
    pub reason: CancelReason,
    /// Who asked, when that is known.
    pub by: Option<Arc<str>>,
    /// What was cut.
    pub cut: Activity,
    /// From the acceptance of the cancel until all work of the run was dropped, its connection included. In
    /// whole microseconds when serialised.
    #[serde(rename = "took_us", with = "micros")]
    pub took: Duration,
    /// Tokens used, and where that number comes from.
    pub usage: Usage,
    /// What they cost, when the agent has [`Prices`](crate::usage::Prices).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Money>,
    /// The calls of tools that were open when the cancel was accepted, and how each ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolReceipt>,
    /// The runs that this one had started and that had not ended; all were cancelled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<RunId>,
    /// Something that failed on the way. The run is cancelled nevertheless.
    pub fault: Option<String>,
}

impl Receipt {
    /// What a cancel by no named caller did, without further details. The other fields are public.
    pub fn new(
        requested_at: Timestamp,
        seq: u64,
        reason: CancelReason,
        cut: Activity,
        took: Duration,
        usage: Usage,
    ) -> Receipt {
        Receipt {
            requested_at,
            seq,
            reason,
            by: None,
            cut,
            took,
            usage,
            cost: None,
            tools: Vec::new(),
            children: Vec::new(),
            fault: None,
        }
    }
}

/// How a cancel ended one call of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolReceipt {
    /// Which call.
    pub id: Arc<str>,
    /// Which tool.
    pub name: Arc<str>,
    /// How it ended.
    pub end: ToolEnd,
}

impl ToolReceipt {
    /// How this call ended.
    pub fn new(id: impl Into<Arc<str>>, name: impl Into<Arc<str>>, end: ToolEnd) -> ToolReceipt {
        ToolReceipt {
            id: id.into(),
            name: name.into(),
            end,
        }
    }
}

/// How a call of a tool ended when its run was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToolEnd {
    /// It finished by itself, well or not, and its result is in the log.
    Finished,
    /// It was dropped, and nothing of it is running any more.
    Stopped,
    /// It did not stop, and may still be running. What it returns is ignored.
    Abandoned,
    /// It had not begun.
    NotStarted,
    /// The process ended while it was running: what it did is not known.
    Unknown,
}

impl fmt::Display for ToolEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ToolEnd::Finished => "finished",
            ToolEnd::Stopped => "stopped",
            ToolEnd::Abandoned => "abandoned",
            ToolEnd::NotStarted => "not started",
            ToolEnd::Unknown => "unknown",
        })
    }
}

/// Durations as whole microseconds.
mod micros {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(took: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(took.as_micros()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_micros)
    }
}
