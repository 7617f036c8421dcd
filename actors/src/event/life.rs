//! What events say of a run's life: how it began, waited, went on, and was cancelled.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Ended;
use crate::{
    cancel::{Activity, CancelReason},
    context::Context,
    id::{RunId, Timestamp},
    message::{Message, ToolCall},
    provider::ModelName,
    status::RunStatus,
};

/// What was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Started {
    /// The name of the agent.
    pub agent: Arc<str>,
    /// The session the run belongs to, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Arc<str>>,
    /// The user the run is for, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Arc<str>>,
    /// The run that started it, if any: when that one ends, this one is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunId>,
    /// The model that the agent had when the run was accepted, if that has a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
    /// What the caller handed to the run beside its input, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Arc<Context>>,
    /// What was asked, without the agent's own instructions.
    pub input: Vec<Message>,
}

impl Started {
    /// A run of this agent, without session or user.
    pub fn new(agent: impl Into<Arc<str>>, input: Vec<Message>) -> Started {
        Started {
            agent: agent.into(),
            session_id: None,
            user_id: None,
            parent: None,
            model: None,
            context: None,
            input,
        }
    }

    /// The same, in this session.
    pub fn session(mut self, id: impl Into<Arc<str>>) -> Started {
        self.session_id = Some(id.into());
        self
    }

    /// The same, for this user.
    pub fn user(mut self, id: impl Into<Arc<str>>) -> Started {
        self.user_id = Some(id.into());
        self
    }
}

/// A run that waits for a person's decision, or for what its caller is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Paused {
    /// The calls that wait, and for what.
    pub calls: Vec<WaitingCall>,
    /// When the run is cancelled unless it continues before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl Paused {
    /// A pause of no end.
    pub fn new(calls: Vec<WaitingCall>) -> Paused {
        Paused {
            calls,
            expires_at: None,
        }
    }

    /// The same, until then.
    pub fn until(mut self, at: Timestamp) -> Paused {
        self.expires_at = Some(at);
        self
    }
}

/// A call that a paused run waits with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WaitingCall {
    /// The call. Its fields stand beside the others when serialised.
    #[serde(flatten)]
    pub call: Arc<ToolCall>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "WaitsFor::is_approval")]
    pub waits_for: WaitsFor,
}

impl WaitingCall {
    /// A call that waits for this.
    pub fn new(call: impl Into<Arc<ToolCall>>, waits_for: WaitsFor) -> WaitingCall {
        WaitingCall {
            call: call.into(),
            waits_for,
        }
    }
}

/// What a call waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WaitsFor {
    /// A person has to approve it ([`ToolSettings::confirm`](crate::tool::ToolSettings::confirm)).
    #[default]
    Approval,
    /// The caller does it, and has to give its output
    /// ([`ToolSettings::external`](crate::tool::ToolSettings::external)).
    Answer,
}

impl WaitsFor {
    fn is_approval(&self) -> bool {
        *self == WaitsFor::Approval
    }
}

/// A run that continues.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Continued {
    /// Who decided, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
    /// What was decided of which call. Empty after a crash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<(Arc<str>, Decision)>,
}

impl Continued {
    /// Continues with these decisions.
    pub fn new(decisions: Vec<(Arc<str>, Decision)>) -> Continued {
        Continued {
            by: None,
            decisions,
        }
    }

    /// The same, decided by this person.
    pub fn by(mut self, who: impl Into<Arc<str>>) -> Continued {
        self.by = Some(who.into());
        self
    }
}

/// What is decided of a call that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decision {
    /// The tool is called.
    Approve,
    /// The tool is called with these arguments, a JSON object, in place of the model's. From then on the model is shown
    /// its call with them.
    ApproveWith(Arc<str>),
    /// The tool is not called; the model receives this text.
    Reject(Arc<str>),
    /// The tool is not called: this is its output.
    Answer(Arc<str>),
}

/// A cancel that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CancelRequested {
    /// Why.
    pub reason: CancelReason,
    /// Who asked, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
    /// What the run was doing, when that was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Activity>,
}

impl CancelRequested {
    /// A cancel for this reason, by no named caller.
    pub fn new(reason: CancelReason) -> CancelRequested {
        CancelRequested {
            reason,
            by: None,
            cut: None,
        }
    }

    /// The same, by this person.
    pub fn by(mut self, who: impl Into<Arc<str>>) -> CancelRequested {
        self.by = Some(who.into());
        self
    }
}

/// The status of a run changed. What `Runtime::subscribe` delivers: the life of every run, without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StatusChange {
    /// Which run.
    pub run_id: RunId,
    /// The name of its agent.
    pub agent: Arc<str>,
    /// Its session, if any.
    pub session_id: Option<Arc<str>>,
    /// The user it is for, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Arc<str>>,
    /// The run that started it, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunId>,
    /// The position of the event that changed the status.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// The status from then on.
    pub status: RunStatus,
    /// How the run ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Arc<Ended>>,
}

impl StatusChange {
    /// A change of the run that began so.
    pub fn new(
        run_id: RunId,
        started: &Started,
        seq: u64,
        at: Timestamp,
        status: RunStatus,
    ) -> StatusChange {
        StatusChange {
            run_id,
            agent: started.agent.clone(),
            session_id: started.session_id.clone(),
            user_id: started.user_id.clone(),
            parent: started.parent,
            seq,
            at,
            status,
            ending: None,
        }
    }
}
