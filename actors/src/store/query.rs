//! What can be asked of a store beside single runs: lists, in pages.

use std::sync::Arc;

use super::RunHead;
use crate::id::{RunId, Timestamp};

/// Which runs to list: the newest first, by when they were created and then by their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunQuery {
    /// Only runs of this session.
    pub session_id: Option<Arc<str>>,
    /// Only runs of the agent of this name.
    pub agent: Option<Arc<str>>,
    /// Only runs that have not ended.
    pub unfinished: bool,
    /// Only runs older than this one: the last of the page before.
    pub before: Option<(Timestamp, RunId)>,
    /// How many at most. Default: 100.
    pub limit: usize,
}

impl Default for RunQuery {
    fn default() -> RunQuery {
        RunQuery {
            session_id: None,
            agent: None,
            unfinished: false,
            before: None,
            limit: 100,
        }
    }
}

impl RunQuery {
    /// All runs of a session.
    pub fn session(id: impl Into<Arc<str>>) -> RunQuery {
        RunQuery {
            session_id: Some(id.into()),
            ..RunQuery::default()
        }
    }

    /// All runs of an agent.
    pub fn agent(name: impl Into<Arc<str>>) -> RunQuery {
        RunQuery {
            agent: Some(name.into()),
            ..RunQuery::default()
        }
    }

    /// All runs that have not ended.
    pub fn unfinished() -> RunQuery {
        RunQuery {
            unfinished: true,
            ..RunQuery::default()
        }
    }

    /// At most so many.
    pub fn limit(mut self, limit: usize) -> RunQuery {
        self.limit = limit;
        self
    }

    /// The page after the one that ended with `last`.
    pub fn after(mut self, last: &RunHead) -> RunQuery {
        self.before = Some((last.created_at, last.run_id));
        self
    }

    /// Whether a run is among those asked for. The limit plays no part.
    pub fn holds(&self, run: &RunHead) -> bool {
        let session = self.session_id.as_ref();
        let agent = self.agent.as_ref();
        session.is_none_or(|session| run.session_id.as_ref() == Some(session))
            && agent.is_none_or(|agent| run.agent == *agent)
            && !(self.unfinished && run.status.is_ended())
            && self
                .before
                .is_none_or(|before| (run.created_at, run.run_id) < before)
    }
}

/// Which sessions to list: the newest first, by when they were created and then by their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionQuery {
    /// Only sessions older than this one: the last of the page before.
    pub before: Option<(Timestamp, Arc<str>)>,
    /// How many at most. Default: 100.
    pub limit: usize,
}

impl Default for SessionQuery {
    fn default() -> SessionQuery {
        SessionQuery {
            before: None,
            limit: 100,
        }
    }
}

impl SessionQuery {
    /// At most so many.
    pub fn limit(mut self, limit: usize) -> SessionQuery {
        self.limit = limit;
        self
    }

    /// The page after the one that ended with `last`.
    pub fn after(mut self, last: &SessionHead) -> SessionQuery {
        self.before = Some((last.created_at, last.session_id.clone()));
        self
    }

    /// Whether a session is among those asked for. The limit plays no part.
    pub fn holds(&self, session: &SessionHead) -> bool {
        self.before
            .as_ref()
            .is_none_or(|(at, id)| (session.created_at, &session.session_id) < (*at, id))
    }
}

/// A session: a conversation that goes on over many runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionHead {
    /// Which session.
    pub session_id: Arc<str>,
    /// What people call it, where it was given a name.
    pub name: Option<Arc<str>>,
    /// When it was made: the time of its first run's first event, unless it was made before.
    pub created_at: Timestamp,
    /// The time of the last event of any of its runs that changed the run's status.
    pub updated_at: Timestamp,
    /// How many runs it has.
    pub runs: u64,
}
