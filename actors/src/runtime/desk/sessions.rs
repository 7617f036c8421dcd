//! Sessions: who has one, who waits for it, whose it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::Desk;
use crate::id::{RunId, Timestamp};

/// What the store knows of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::runtime) struct Stored {
    pub(in crate::runtime) owner: Option<Arc<str>>,
    /// When the newest of its runs was accepted.
    pub(in crate::runtime) newest: Timestamp,
}

/// A session of which a run is under way, or is about to start, or that is being deleted.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    /// Runs that may be running, or whose ending or pause is not stored yet.
    pub(super) holders: BTreeSet<RunId>,
    /// The run that has its turn, and waits for a slot.
    pub(super) next: Option<RunId>,
    /// Runs that wait for a slot and for nothing else, whichever run has the session.
    pub(super) beside: BTreeSet<RunId>,
    /// Those that wait for the session, by their turns.
    pub(super) waiting: BTreeMap<i64, RunId>,
    /// The turns of those of them that are children.
    pub(super) children: BTreeSet<i64>,
    /// How many of its runs are not paused.
    pub(super) under_way: usize,
    /// How many starts are about to ask for it.
    visits: usize,
    /// What is stored of it. `None`: not read yet.
    known: Option<Stored>,
    pub(super) deleting: bool,
}

impl Session {
    /// Whether a run of it has not ended and is not paused.
    pub(super) fn is_busy(&self) -> bool {
        !self.holders.is_empty() || self.next.is_some() || !self.waiting.is_empty()
    }

    /// The runs that have it, or would if there were slots.
    pub(super) fn at_work(&self) -> impl Iterator<Item = RunId> {
        let holders = self.holders.iter().chain(&self.beside);
        holders.copied().chain(self.next)
    }

    pub(super) fn owner(&self) -> Option<&Arc<str>> {
        self.known.as_ref()?.owner.as_ref()
    }

    /// When a run is accepted that comes `now`: later than all before it.
    pub(super) fn next_time(&self, now: Timestamp) -> Timestamp {
        let newest = self
            .known
            .as_ref()
            .map_or(0, |known| known.newest.as_millis());
        now.max(Timestamp::from_millis(newest.saturating_add(1)))
    }

    /// A run of `user` was accepted. The first user of a session is its owner.
    pub(super) fn accepted(&mut self, user: Option<&Arc<str>>, at: Timestamp) {
        let known = self.known.get_or_insert_default();
        known.newest = known.newest.max(at);
        if known.owner.is_none() {
            known.owner = user.cloned();
        }
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.under_way > 0
    }

    fn is_needed(&self) -> bool {
        self.under_way > 0 || self.visits > 0 || self.deleting
    }
}

impl Desk {
    /// A start is about to ask for a session, which is kept in mind until it has left. Returns whether the store has to
    /// be asked about it first.
    pub(in crate::runtime) fn visit(&mut self, id: &Arc<str>) -> bool {
        let session = self.sessions.entry(id.clone()).or_default();
        session.visits += 1;
        session.known.is_none()
    }

    /// What the store knows of a session. What has happened here since it was asked is newer.
    pub(in crate::runtime) fn session_read(&mut self, id: &Arc<str>, stored: Stored) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.accepted(stored.owner.as_ref(), stored.newest);
        }
    }

    /// The start has asked.
    pub(in crate::runtime) fn leave_visit(&mut self, id: &Arc<str>) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.visits = session.visits.saturating_sub(1);
        }
        self.forget_if_unused(id);
    }

    /// A session takes no runs from here on: it is being deleted. `false`: it is already.
    pub(in crate::runtime) fn begin_deleting(&mut self, id: &Arc<str>) -> bool {
        let session = self.sessions.entry(id.clone()).or_default();
        let is_first = !std::mem::replace(&mut session.deleting, true);
        self.deleting += usize::from(is_first);
        is_first
    }

    /// It was deleted, or not; the next run has to look.
    pub(in crate::runtime) fn end_deleting(&mut self, id: &Arc<str>) {
        if let Some(session) = self.sessions.get_mut(id) {
            self.deleting -= usize::from(session.deleting);
            session.deleting = false;
            session.known = None;
        }
        self.forget_if_unused(id);
    }

    pub(in crate::runtime) fn is_deleting(&self, id: &str) -> bool {
        self.sessions
            .get(id)
            .is_some_and(|session| session.deleting)
    }

    /// Whether a run of a session is under way.
    pub(in crate::runtime) fn is_in_use(&self, id: &str) -> bool {
        self.sessions.get(id).is_some_and(Session::is_in_use)
    }

    pub(super) fn forget_if_unused(&mut self, id: &Arc<str>) {
        if self
            .sessions
            .get(id)
            .is_some_and(|session| !session.is_needed())
        {
            self.sessions.remove(id);
        }
    }
}
