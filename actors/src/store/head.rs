//! Where a stored run stands: what is known of it without its events.

use std::sync::Arc;

use crate::{
    cancel::Activity,
    event::{EventKind, RunEvent, Started},
    id::{RunId, Timestamp},
    status::RunStatus,
    usage::Usage,
};

/// Where a stored run stands. All of it but the epoch is a fold of the run's events: [`new`](RunHead::new) takes the
/// first one and [`apply`](RunHead::apply) takes each in turn, the first one included.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunHead {
    /// Which run.
    pub run_id: RunId,
    /// The name of its agent.
    pub agent: Arc<str>,
    /// Its session, if any.
    pub session_id: Option<Arc<str>>,
    /// The user it is for, if any.
    pub user_id: Option<Arc<str>>,
    /// The run that started it, if any.
    pub parent: Option<RunId>,
    /// Its status after its last event.
    pub status: RunStatus,
    /// The position of its last event.
    pub last: u64,
    /// The generation of ownership.
    pub epoch: u64,
    /// The time of its first event.
    pub created_at: Timestamp,
    /// The time of its last event.
    pub updated_at: Timestamp,
    /// What it used, once it has ended.
    pub usage: Option<Usage>,
    /// What a cancel interrupted, once the run has ended by one.
    pub cut: Option<Activity>,
}

impl RunHead {
    /// A run of which nothing is stored yet: its last position is 0, its epoch 1.
    pub fn new(run_id: RunId, started: &Started, at: Timestamp) -> RunHead {
        RunHead {
            run_id,
            agent: started.agent.clone(),
            session_id: started.session_id.clone(),
            user_id: started.user_id.clone(),
            parent: started.parent,
            status: RunStatus::Pending,
            last: 0,
            epoch: 1,
            created_at: at,
            updated_at: at,
            usage: None,
            cut: None,
        }
    }

    /// Records the run's next event.
    pub fn apply(&mut self, event: &RunEvent) {
        self.apply_kind(event.seq, event.at, &event.kind);
    }

    pub(super) fn apply_kind(&mut self, seq: u64, at: Timestamp, kind: &EventKind) {
        self.last = seq;
        self.updated_at = at;
        if let Some(status) = kind.status() {
            self.status = status;
            self.usage = used(kind);
            self.cut = match kind {
                EventKind::Cancelled { partial } => Some(partial.receipt.cut),
                _ => None,
            };
        }
    }
}

/// What the run has used, by its ending.
pub(super) fn used(kind: &EventKind) -> Option<Usage> {
    match kind {
        EventKind::Completed { reply } => Some(reply.usage),
        EventKind::Cancelled { partial } => Some(partial.receipt.usage),
        EventKind::Error { error } => Some(error.usage),
        EventKind::Started(_)
        | EventKind::ModelRequestStarted { .. }
        | EventKind::Content { .. }
        | EventKind::ReasoningContent { .. }
        | EventKind::ModelRequestCompleted(_)
        | EventKind::ToolCallStarted(_)
        | EventKind::ToolCallProgress(_)
        | EventKind::ToolCallProcess(_)
        | EventKind::ToolCallCompleted(_)
        | EventKind::ToolCallError(_)
        | EventKind::Steered { .. }
        | EventKind::CancelRequested { .. }
        | EventKind::Paused(_)
        | EventKind::Continued(_) => None,
    }
}
