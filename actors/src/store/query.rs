//! What can be asked of a store beside single runs: lists, in pages.

use std::sync::Arc;

use super::{RunHead, SessionHead};
use crate::{
    id::{RunId, Timestamp},
    status::StatusSet,
};

/// Which runs to list, and in which order: by when they were created and then by their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunQuery {
    /// Only runs of this session.
    pub session_id: Option<Arc<str>>,
    /// Only runs of the agent of this name.
    pub agent: Option<Arc<str>>,
    /// Only runs for this user.
    pub user_id: Option<Arc<str>>,
    /// Only runs of one of these statuses. Default: all.
    pub statuses: StatusSet,
    /// Only runs that no other run has started.
    pub top_level: bool,
    /// Only runs that were created at this moment or later.
    pub from: Option<Timestamp>,
    /// Only runs that were created before this moment.
    pub until: Option<Timestamp>,
    /// The oldest first. Default: the newest.
    pub oldest_first: bool,
    /// Only runs that come after this one in the order that is asked for: the last of the page before.
    pub past: Option<(Timestamp, RunId)>,
    /// How many at most. Default: 100.
    pub limit: usize,
}

impl Default for RunQuery {
    fn default() -> RunQuery {
        RunQuery {
            session_id: None,
            agent: None,
            user_id: None,
            statuses: StatusSet::ALL,
            top_level: false,
            from: None,
            until: None,
            oldest_first: false,
            past: None,
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

    /// All runs for a user.
    pub fn user(id: impl Into<Arc<str>>) -> RunQuery {
        RunQuery {
            user_id: Some(id.into()),
            ..RunQuery::default()
        }
    }

    /// All runs that have not ended.
    pub fn unfinished() -> RunQuery {
        RunQuery::default().statuses(StatusSet::UNFINISHED)
    }

    /// Only runs of these statuses.
    pub fn statuses(mut self, statuses: StatusSet) -> RunQuery {
        self.statuses = statuses;
        self
    }

    /// Only runs that no other run has started.
    pub fn top_level(mut self) -> RunQuery {
        self.top_level = true;
        self
    }

    /// The oldest first.
    pub fn oldest_first(mut self) -> RunQuery {
        self.oldest_first = true;
        self
    }

    /// At most so many.
    pub fn limit(mut self, limit: usize) -> RunQuery {
        self.limit = limit;
        self
    }

    /// The page after the one that ended with `last`.
    pub fn after(mut self, last: &RunHead) -> RunQuery {
        self.past = Some((last.created_at, last.run_id));
        self
    }

    /// Whether a run is among those asked for. The limit plays no part.
    pub fn holds(&self, run: &RunHead) -> bool {
        let is = |wanted: &Option<Arc<str>>, has: Option<&Arc<str>>| {
            wanted.is_none() || wanted.as_ref() == has
        };
        let key = (run.created_at, run.run_id);
        is(&self.session_id, run.session_id.as_ref())
            && is(&self.agent, Some(&run.agent))
            && is(&self.user_id, run.user_id.as_ref())
            && self.statuses.contains(run.status)
            && !(self.top_level && run.parent.is_some())
            && self.from.is_none_or(|from| run.created_at >= from)
            && self.until.is_none_or(|until| run.created_at < until)
            && self.past.is_none_or(|past| match self.oldest_first {
                true => key > past,
                false => key < past,
            })
    }
}

/// What sessions are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SessionOrder {
    /// When they were created.
    #[default]
    Created,
    /// When they were last updated.
    Updated,
}

/// Which sessions to list, and in which order: by a time, and then by the bytes of their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionQuery {
    /// Only sessions with the agent of this name.
    pub agent: Option<Arc<str>>,
    /// Only sessions of this user.
    pub user_id: Option<Arc<str>>,
    /// Only sessions with these words in their [label](SessionHead::label). `a` to `z` are taken for `A` to `Z`.
    pub named: Option<Arc<str>>,
    /// Which time they are ordered by. Default: when they were created.
    pub by: SessionOrder,
    /// Those with the oldest time first. Default: the newest.
    pub oldest_first: bool,
    /// Only sessions that come after this one in the order that is asked for: the last of the page before.
    pub past: Option<(Timestamp, Arc<str>)>,
    /// How many of them are left out at the beginning. A store counts them off, so the time it takes grows with it:
    /// `past` is for a caller that reads many pages.
    pub skip: usize,
    /// How many at most. Default: 100.
    pub limit: usize,
}

impl Default for SessionQuery {
    fn default() -> SessionQuery {
        SessionQuery {
            agent: None,
            user_id: None,
            named: None,
            by: SessionOrder::Created,
            oldest_first: false,
            past: None,
            skip: 0,
            limit: 100,
        }
    }
}

impl SessionQuery {
    /// All sessions of a user.
    pub fn user(id: impl Into<Arc<str>>) -> SessionQuery {
        SessionQuery {
            user_id: Some(id.into()),
            ..SessionQuery::default()
        }
    }

    /// All sessions with an agent.
    pub fn agent(name: impl Into<Arc<str>>) -> SessionQuery {
        SessionQuery {
            agent: Some(name.into()),
            ..SessionQuery::default()
        }
    }

    /// Only those with these words in their label.
    pub fn named(mut self, words: impl Into<Arc<str>>) -> SessionQuery {
        self.named = Some(words.into());
        self
    }

    /// In the order of this time.
    pub fn by(mut self, order: SessionOrder) -> SessionQuery {
        self.by = order;
        self
    }

    /// Those with the oldest time first.
    pub fn oldest_first(mut self) -> SessionQuery {
        self.oldest_first = true;
        self
    }

    /// Without so many at the beginning.
    pub fn skip(mut self, skip: usize) -> SessionQuery {
        self.skip = skip;
        self
    }

    /// At most so many.
    pub fn limit(mut self, limit: usize) -> SessionQuery {
        self.limit = limit;
        self
    }

    /// The page after the one that ended with `last`. Nothing is left out at its beginning.
    pub fn after(mut self, last: &SessionHead) -> SessionQuery {
        self.past = Some((self.time_of(last), last.session_id.clone()));
        self.skip = 0;
        self
    }

    /// Whether a session is among those asked for. What is left out at the beginning, and the limit, play no part.
    pub fn holds(&self, session: &SessionHead) -> bool {
        let is =
            |wanted: &Option<Arc<str>>, has: &Option<Arc<str>>| wanted.is_none() || wanted == has;
        let key = (self.time_of(session), &session.session_id);
        is(&self.agent, &session.agent)
            && is(&self.user_id, &session.user_id)
            && self
                .named
                .as_ref()
                .is_none_or(|words| session.label().is_some_and(|label| has(label, words)))
            && self
                .past
                .as_ref()
                .is_none_or(|(at, id)| match self.oldest_first {
                    true => key > (*at, id),
                    false => key < (*at, id),
                })
    }

    /// The time of a session that the order goes by.
    pub fn time_of(&self, session: &SessionHead) -> Timestamp {
        match self.by {
            SessionOrder::Created => session.created_at,
            SessionOrder::Updated => session.updated_at,
        }
    }
}

fn has(label: &str, words: &str) -> bool {
    let (label, words) = (label.to_ascii_lowercase(), words.to_ascii_lowercase());
    label.contains(&words)
}
