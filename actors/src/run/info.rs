//! A run in memory, as a list shows it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::log::RunLog;
use crate::{
    cancel::Activity,
    id::{RunId, Timestamp},
    status::RunStatus,
    usage::Usage,
};

/// A run that has not ended, as [`Runtime::list`](crate::Runtime::list) shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunInfo {
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
    /// Where it stands.
    pub status: RunStatus,
    /// What it is doing: what a cancel would cut now.
    pub phase: Activity,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Since when it has been running, without a pause. `None` while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_since: Option<Timestamp>,
    /// The position of its last event that is stored.
    pub seq: u64,
    /// When its model last said something in this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_word_at: Option<Timestamp>,
    /// Tokens used so far.
    pub usage: Usage,
}

impl RunLog {
    /// How the run stands at `now`.
    pub(crate) fn info(&self, now: Instant) -> RunInfo {
        let started = self.started();
        let inner = self.lock();
        RunInfo {
            run_id: self.id,
            agent: self.agent.clone(),
            session_id: self.session_id.clone(),
            user_id: started.as_ref().and_then(|run| run.user_id.clone()),
            parent: started.and_then(|run| run.parent),
            status: inner.facts.status(),
            phase: inner.activity(now),
            created_at: inner.facts.started_at(),
            running_since: inner.facts.running_since(),
            seq: inner.outbox.stored(),
            last_word_at: inner.spoke_at.map(|at| self.env.clock.at(at)),
            usage: inner.facts.tally().total(),
        }
    }
}
