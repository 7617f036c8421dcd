//! What is known of all runs together: which session they belong to, and which ended first.

use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use super::super::{SessionHead, SessionQuery};
use crate::id::{RunId, Timestamp};

#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) sessions: HashMap<Arc<str>, KeptSession>,
    /// Ended runs by their place: the one that ended first has the lowest.
    pub(super) ended: BTreeMap<u64, RunId>,
    /// Sessions without runs by their place: the one that has been without for longest has the lowest.
    pub(super) idle: BTreeMap<u64, Arc<str>>,
    /// The last place that was given.
    places: u64,
}

#[derive(Debug)]
pub(super) struct KeptSession {
    pub(super) name: Option<Arc<str>>,
    created_at: Timestamp,
    updated_at: Timestamp,
    pub(super) runs: HashSet<RunId>,
    /// Its place among the sessions without runs, while it is one.
    pub(super) idle: Option<u64>,
}

impl Index {
    /// Notes that `run` began in this session, or changed its status, and when.
    pub(super) fn note(&mut self, session: &Arc<str>, run: RunId, at: Timestamp) {
        let session = match self.sessions.entry(session.clone()) {
            Entry::Occupied(kept) => kept.into_mut(),
            Entry::Vacant(place) => place.insert(KeptSession::new(at)),
        };
        session.updated_at = session.updated_at.max(at);
        session.runs.insert(run);
        if let Some(place) = session.idle.take() {
            self.idle.remove(&place);
        }
    }

    /// Gives a run that ended its place among the ended.
    pub(super) fn ended(&mut self, run: RunId) -> Option<u64> {
        let place = self.next_place();
        self.ended.insert(place, run);
        Some(place)
    }

    /// Takes out the run that ended first, when there are more than `keep`.
    pub(super) fn pop_ended_beyond(&mut self, keep: usize) -> Option<RunId> {
        if self.ended.len() <= keep {
            return None;
        }
        self.ended.pop_first().map(|(_, run)| run)
    }

    /// Takes a run out. Its session goes with its last run, unless it has a name.
    pub(super) fn remove(&mut self, run: RunId, session_id: Option<&Arc<str>>, ended: Option<u64>) {
        if let Some(place) = ended {
            self.ended.remove(&place);
        }
        let Some(id) = session_id else {
            return;
        };
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.runs.remove(&run);
        if session.runs.is_empty() {
            if session.name.is_none() {
                self.sessions.remove(id);
            } else {
                self.make_idle(id);
            }
        }
    }

    /// Makes a session where there is none, and names it.
    pub(super) fn name(&mut self, id: Arc<str>, name: Option<Arc<str>>, at: Timestamp) {
        match self.sessions.entry(id.clone()) {
            Entry::Occupied(mut kept) => kept.get_mut().name = name,
            Entry::Vacant(place) => {
                place.insert(KeptSession::new(at)).name = name;
                self.make_idle(&id);
            }
        }
    }

    /// Takes a session out, and answers its runs.
    pub(super) fn remove_session(&mut self, id: &Arc<str>) -> Option<HashSet<RunId>> {
        let session = self.sessions.remove(id)?;
        if let Some(place) = session.idle {
            self.idle.remove(&place);
        }
        Some(session.runs)
    }

    /// Forgets the sessions that have been without runs for longest, beyond `keep` of them.
    pub(super) fn forget_idle_beyond(&mut self, keep: usize) {
        while self.idle.len() > keep
            && let Some((_, id)) = self.idle.pop_first()
        {
            self.sessions.remove(&id);
        }
    }

    pub(super) fn runs_of(&self, session: &Arc<str>) -> Vec<RunId> {
        let session = self.sessions.get(session);
        session.map_or_else(Vec::new, |session| session.runs.iter().copied().collect())
    }

    pub(super) fn session(&self, id: &Arc<str>) -> Option<SessionHead> {
        self.sessions.get(id).map(|session| session.head(id))
    }

    /// The sessions that `query` asks for, in any order and number.
    pub(super) fn sessions(&self, query: &SessionQuery) -> Vec<SessionHead> {
        let heads = self.sessions.iter().map(|(id, session)| session.head(id));
        heads.filter(|head| query.holds(head)).collect()
    }

    fn make_idle(&mut self, id: &Arc<str>) {
        let place = self.next_place();
        if let Some(session) = self.sessions.get_mut(id) {
            session.idle = Some(place);
            self.idle.insert(place, id.clone());
        }
    }

    fn next_place(&mut self) -> u64 {
        self.places += 1;
        self.places
    }
}

impl KeptSession {
    fn new(at: Timestamp) -> KeptSession {
        KeptSession {
            name: None,
            created_at: at,
            updated_at: at,
            runs: HashSet::new(),
            idle: None,
        }
    }

    fn head(&self, id: &Arc<str>) -> SessionHead {
        SessionHead {
            session_id: id.clone(),
            name: self.name.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            runs: self.runs.len() as u64,
        }
    }
}
