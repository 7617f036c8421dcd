//! What is known of all runs together: the lists that they are in, their sessions, and which ended first.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    ops::Bound,
    sync::Arc,
};

use uuid::Uuid;

use super::super::{RunHead, RunQuery, SessionHead, SessionOrder, SessionPatch, SessionQuery};
use crate::{
    event::RunEvent,
    id::{RunId, Timestamp},
    status::StatusSet,
};

/// Where a run stands in a list: when it was created, and which one it is.
pub(super) type RunKey = (Timestamp, RunId);

/// A list of runs. A page is read from the shortest one that has all that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum List {
    All,
    Unfinished,
    Session(Arc<str>),
    Agent(Arc<str>),
    User(Arc<str>),
}

#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) lists: HashMap<List, BTreeSet<RunKey>>,
    pub(super) sessions: HashMap<Arc<str>, KeptSession>,
    pub(super) by_created: BTreeSet<(Timestamp, Arc<str>)>,
    pub(super) by_updated: BTreeSet<(Timestamp, Arc<str>)>,
    /// Ended runs by their place: the one that ended first has the lowest.
    pub(super) ended: BTreeMap<u64, RunId>,
    /// Sessions without runs by their place: the one that has been without for longest has the lowest.
    pub(super) idle: BTreeMap<u64, Arc<str>>,
    /// The last place that was given.
    places: u64,
}

#[derive(Debug)]
pub(super) struct KeptSession {
    pub(super) head: SessionHead,
    /// Its place among the sessions without runs, while it is one.
    pub(super) idle: Option<u64>,
}

impl Index {
    /// Records what was appended to a run: its head from then on, whether it begins with that, and the events that
    /// change its status. Returns its place among the ended runs, if it has ended.
    pub(super) fn note(
        &mut self,
        run: &RunHead,
        begins: bool,
        changes: &[RunEvent],
    ) -> Option<u64> {
        let key = (run.created_at, run.run_id);
        if begins {
            for list in lists_of(run) {
                self.lists.entry(list).or_default().insert(key);
            }
        }
        if let Some(id) = &run.session_id {
            self.change_session(id, run.created_at, |session| {
                changes.iter().for_each(|event| session.apply(event));
            });
        }
        run.status.is_ended().then(|| {
            self.leave(&List::Unfinished, &key);
            self.places += 1;
            self.ended.insert(self.places, run.run_id);
            self.places
        })
    }

    /// Takes out the run that ended first, when there are more than `keep`.
    pub(super) fn pop_ended_beyond(&mut self, keep: usize) -> Option<RunId> {
        if self.ended.len() <= keep {
            return None;
        }
        self.ended.pop_first().map(|(_, run)| run)
    }

    /// Takes a run out. Its session goes with its last run, unless something was put to it.
    pub(super) fn remove(&mut self, run: &RunHead, ended: Option<u64>) {
        let key = (run.created_at, run.run_id);
        for list in lists_of(run) {
            self.leave(&list, &key);
        }
        if let Some(place) = ended {
            self.ended.remove(&place);
        }
        if let Some(id) = &run.session_id
            && self.sessions.contains_key(id)
        {
            let bare = self.change_session(id, run.created_at, |session| {
                session.forget_run();
                session.is_bare()
            });
            if bare {
                self.drop_session(id);
            }
        }
    }

    /// Puts something to a session, which is made where there is none.
    pub(super) fn put_session(&mut self, id: &Arc<str>, patch: SessionPatch, at: Timestamp) {
        self.change_session(id, at, |session| session.put(patch));
    }

    /// Changes a session, which is made where there is none.
    fn change_session<T>(
        &mut self,
        id: &Arc<str>,
        at: Timestamp,
        change: impl FnOnce(&mut SessionHead) -> T,
    ) -> T {
        let session = match self.sessions.entry(id.clone()) {
            Entry::Occupied(kept) => kept.into_mut(),
            Entry::Vacant(place) => {
                self.by_created.insert((at, id.clone()));
                self.by_updated.insert((at, id.clone()));
                place.insert(KeptSession {
                    head: SessionHead::new(id.clone(), at),
                    idle: None,
                })
            }
        };
        let before = session.head.updated_at;
        let changed = change(&mut session.head);
        let (after, runs) = (session.head.updated_at, session.head.runs);
        if after != before {
            self.by_updated.remove(&(before, id.clone()));
            self.by_updated.insert((after, id.clone()));
        }
        match session.idle {
            None if runs == 0 => {
                self.places += 1;
                session.idle = Some(self.places);
                self.idle.insert(self.places, id.clone());
            }
            Some(place) if runs > 0 => {
                session.idle = None;
                self.idle.remove(&place);
            }
            None | Some(_) => {}
        }
        changed
    }

    /// Takes a session out, which has no runs any more.
    pub(super) fn drop_session(&mut self, id: &Arc<str>) -> bool {
        let Some(KeptSession { head, idle }) = self.sessions.remove(id) else {
            return false;
        };
        self.by_created.remove(&(head.created_at, id.clone()));
        self.by_updated.remove(&(head.updated_at, id.clone()));
        if let Some(place) = idle {
            self.idle.remove(&place);
        }
        true
    }

    /// Forgets the sessions that have been without runs for longest, beyond `keep` of them.
    pub(super) fn forget_idle_beyond(&mut self, keep: usize) {
        while self.idle.len() > keep
            && let Some((_, id)) = self.idle.pop_first()
        {
            self.drop_session(&id);
        }
    }

    /// The runs of a session.
    pub(super) fn runs_of(&self, session: &Arc<str>) -> Vec<RunId> {
        let list = self.lists.get(&List::Session(session.clone()));
        list.into_iter().flatten().map(|(_, run)| *run).collect()
    }

    /// The next runs among which those are that `query` asks for, at most `most`, in its order. Fewer: there are no
    /// more.
    pub(super) fn next_runs(&self, query: &RunQuery, most: usize) -> Vec<RunKey> {
        let Some((list, range)) = self.shortest(query).zip(range_of(query)) else {
            return Vec::new();
        };
        let range = list.range(range).copied();
        match query.oldest_first {
            true => range.take(most).collect(),
            false => range.rev().take(most).collect(),
        }
    }

    /// The shortest list that has all that `query` asks for; `None` when there is nothing.
    fn shortest(&self, query: &RunQuery) -> Option<&BTreeSet<RunKey>> {
        let unfinished = query.statuses.is_within(StatusSet::UNFINISHED);
        let lists = [
            Some(List::All),
            unfinished.then_some(List::Unfinished),
            query.session_id.clone().map(List::Session),
            query.agent.clone().map(List::Agent),
            query.user_id.clone().map(List::User),
        ];
        let lists = lists.into_iter().flatten();
        let lists = lists.map(|list| self.lists.get(&list));
        lists.min_by_key(|list| list.map_or(0, BTreeSet::len))?
    }

    pub(super) fn session(&self, id: &Arc<str>) -> Option<SessionHead> {
        self.sessions.get(id).map(|session| session.head.clone())
    }

    /// The sessions that `query` asks for.
    pub(super) fn sessions(&self, query: &SessionQuery) -> Vec<SessionHead> {
        let order = match query.by {
            SessionOrder::Created => &self.by_created,
            SessionOrder::Updated => &self.by_updated,
        };
        let past = query.past.clone();
        let (lower, upper) = match query.oldest_first {
            true => (
                past.map_or(Bound::Unbounded, Bound::Excluded),
                Bound::Unbounded,
            ),
            false => (
                Bound::Unbounded,
                past.map_or(Bound::Unbounded, Bound::Excluded),
            ),
        };
        let range = order.range((lower, upper));
        match query.oldest_first {
            true => self.page_of_sessions(range, query),
            false => self.page_of_sessions(range.rev(), query),
        }
    }

    fn page_of_sessions<'a>(
        &self,
        keys: impl Iterator<Item = &'a (Timestamp, Arc<str>)>,
        query: &SessionQuery,
    ) -> Vec<SessionHead> {
        keys.filter_map(|(_, id)| self.sessions.get(id))
            .map(|session| &session.head)
            .filter(|head| query.holds(head))
            .skip(query.skip)
            .take(query.limit)
            .cloned()
            .collect()
    }

    /// How many sessions `query` asks for, whatever page of them.
    pub(super) fn count_sessions(&self, mut query: SessionQuery) -> u64 {
        query.past = None;
        let heads = self.sessions.values().map(|session| &session.head);
        heads.filter(|head| query.holds(head)).count() as u64
    }

    fn leave(&mut self, list: &List, key: &RunKey) {
        if let Some(runs) = self.lists.get_mut(list) {
            runs.remove(key);
            if runs.is_empty() {
                self.lists.remove(list);
            }
        }
    }
}

/// The lists that a run is in. When it ends it leaves that of the unfinished.
fn lists_of(run: &RunHead) -> impl Iterator<Item = List> {
    let lists = [
        Some(List::All),
        Some(List::Unfinished),
        run.session_id.clone().map(List::Session),
        Some(List::Agent(run.agent.clone())),
        run.user_id.clone().map(List::User),
    ];
    lists.into_iter().flatten()
}

/// Between which runs of a list those lie that `query` asks for; `None` when there can be none.
fn range_of(query: &RunQuery) -> Option<(Bound<RunKey>, Bound<RunKey>)> {
    let first_at = |at| (at, RunId::from(Uuid::nil()));
    let (older, newer) = match query.oldest_first {
        true => (query.past, None),
        false => (None, query.past),
    };
    let from = query.from.map(first_at);
    // A run past another was created at the same moment or later, so it is past that moment's first.
    let lower = match older.max(from) {
        Some(key) if older == Some(key) => Bound::Excluded(key),
        Some(key) => Bound::Included(key),
        None => Bound::Unbounded,
    };
    let upper = [newer, query.until.map(first_at)]
        .into_iter()
        .flatten()
        .min();
    let empty = older
        .max(from)
        .zip(upper)
        .is_some_and(|(lower, upper)| lower >= upper);
    (!empty).then_some((lower, upper.map_or(Bound::Unbounded, Bound::Excluded)))
}
