//! Sessions: what runs say of them, what is put to them, and lists.

use std::{cmp::Reverse, sync::Arc};

use quell_actors::{
    RunEvent, RunId,
    id::Timestamp,
    store::{SessionHead, SessionPatch, SessionQuery},
};

use super::State;
use crate::flaw::Flaw;

impl State {
    /// Makes the session of a run, and has it take in what the run said.
    pub(super) fn note(&mut self, flaw: Flaw, run: RunId, new: &[RunEvent]) {
        let Some(id) = self.runs[&run].session_id.clone() else {
            return;
        };
        let session = self.sessions.entry(id.clone());
        let session = session.or_insert_with(|| SessionHead::new(id, new[0].at));
        let before = session.clone();
        for event in new {
            session.apply(event);
        }
        if new[0].seq == 1 {
            match flaw {
                Flaw::SessionIsCreatedAgain => session.created_at = new[0].at,
                Flaw::FirstRunTakesTheName => session.name = None,
                _ => {}
            }
        }
        match flaw {
            Flaw::SessionIsNeverUpdated => session.updated_at = before.updated_at,
            Flaw::SessionIsUpdatedByWords => session.updated_at = new[new.len() - 1].at,
            _ => {}
        }
    }

    pub(super) fn session(&self, flaw: Flaw, id: &Arc<str>) -> Option<SessionHead> {
        let session = self.sessions.get(id)?;
        let of_session = |session: &Option<Arc<str>>| session.as_ref() == Some(id);
        let runs = self
            .runs
            .values()
            .filter(|kept| of_session(&kept.session_id));
        let graves = self
            .graves
            .values()
            .filter(|kept| of_session(&kept.session_id));
        let runs = match flaw {
            Flaw::CountsOneRun => runs.count().min(1),
            Flaw::CountsAllRuns => self.runs.len(),
            Flaw::DeleteLeavesCount => runs.count() + graves.count(),
            _ => runs.count(),
        };
        let mut session = session.clone();
        session.runs = runs as u64;
        Some(session)
    }

    pub(super) fn list_sessions(&self, flaw: Flaw, query: SessionQuery) -> Vec<SessionHead> {
        let ids = self.sessions.keys();
        let mut found: Vec<_> = ids.filter_map(|id| self.session(flaw, id)).collect();
        let key = |id: &str| match flaw {
            Flaw::SessionsByLanguage => id.to_lowercase(),
            _ => id.to_owned(),
        };
        found.retain(|head| {
            query.past.as_ref().is_none_or(|(at, id)| match flaw {
                Flaw::SessionsPagedByTimeAlone => head.created_at < *at,
                _ => (head.created_at, key(&head.session_id)) < (*at, key(id)),
            })
        });
        found.sort_by_key(|head| Reverse((head.created_at, key(&head.session_id))));
        if flaw == Flaw::SessionsOldestFirst {
            found.reverse();
        }
        if flaw != Flaw::SessionsIgnoreLimit {
            found.truncate(query.limit);
        }
        found
    }

    pub(super) fn count_sessions(&self, flaw: Flaw, mut query: SessionQuery) -> u64 {
        (query.skip, query.limit, query.past) = (0, usize::MAX, None);
        self.list_sessions(flaw, query).len() as u64
    }

    pub(super) fn put(&mut self, flaw: Flaw, id: Arc<str>, mut patch: SessionPatch, at: Timestamp) {
        if flaw == Flaw::NamesOnlyWhatIsThere && !self.sessions.contains_key(&id) {
            return;
        }
        let session = self.sessions.entry(id.clone());
        let session = session.or_insert_with(|| SessionHead::new(id, at));
        let named = session.name.is_some();
        match flaw {
            Flaw::NamesAreForgotten => patch.name = None,
            Flaw::FirstNameStays if named => patch.name = None,
            Flaw::NameCannotBeTakenAway if patch.name == Some(None) => patch.name = None,
            Flaw::EmptyNameIsNone if patch.name == Some(Some("".into())) => {
                patch.name = Some(None);
            }
            _ => {}
        }
        session.put(patch);
        if flaw == Flaw::NamingCreatesAgain {
            session.created_at = at;
        }
    }

    pub(super) fn delete_session(&mut self, flaw: Flaw, id: &Arc<str>) -> bool {
        let of_session = self.runs.iter().filter(|(_, kept)| {
            kept.session_id.as_ref() == Some(id) || flaw == Flaw::DeletedSessionTakesAll
        });
        let gone: Vec<RunId> = of_session
            .filter(|(_, kept)| match flaw {
                Flaw::DeletedSessionSparesRuns => false,
                Flaw::DeletedSessionSparesLiveRuns => kept.has_ended(),
                _ => true,
            })
            .map(|(run, _)| *run)
            .collect();
        if gone.is_empty() && flaw == Flaw::DeletedSessionNeedsRuns {
            return false;
        }
        let known = self.sessions.contains_key(id);
        for run in gone {
            self.delete(flaw, run);
        }
        match (flaw, self.sessions.get_mut(id)) {
            (Flaw::DeletedSessionKeepsItsName, Some(session)) if session.name.is_some() => {}
            (Flaw::DeletedSessionIsStillListed, Some(session)) => session.name = None,
            _ => drop(self.sessions.remove(id)),
        }
        known
    }
}
