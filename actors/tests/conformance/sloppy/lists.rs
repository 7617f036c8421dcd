//! Lists of runs, and sessions.

use std::{cmp::Reverse, sync::Arc};

use quell_actors::{
    RunEvent, RunId, RunStatus,
    id::Timestamp,
    store::{ReadError, RunHead, RunQuery, SessionHead, SessionQuery},
};

use super::{Session, State};
use crate::flaw::Flaw;

impl State {
    pub(super) fn list(&self, flaw: Flaw, query: RunQuery) -> Result<Vec<RunHead>, ReadError> {
        let graves = self
            .graves
            .iter()
            .filter(|(run, _)| flaw == Flaw::DeleteLeavesList && !self.runs.contains_key(run));
        let mut found = Vec::new();
        for (run, kept) in self.runs.iter().chain(graves) {
            let head = kept.head(flaw, *run)?;
            if head.last > 1 || flaw != Flaw::ListsFromTheSecondAppend {
                found.push(head);
            }
        }
        found.retain(|head| is_wanted(flaw, &query, head));
        found.sort_by_key(|head| Reverse((head.created_at, head.run_id)));
        if flaw == Flaw::SortsById {
            found.sort_by_key(|head| Reverse(head.run_id));
        }
        if flaw == Flaw::OldestFirst {
            found.reverse();
        }
        if flaw == Flaw::ListsTheFirstEpoch {
            found.iter_mut().for_each(|head| head.epoch = 1);
        }
        if flaw != Flaw::ListIgnoresLimit {
            found.truncate(query.limit);
        }
        Ok(found)
    }

    /// Makes the session of a run, and tells it what the run said.
    pub(super) fn note(&mut self, flaw: Flaw, run: RunId, new: &[RunEvent]) {
        let Some(id) = self.runs[&run].session_id.clone() else {
            return;
        };
        let session = self.sessions.entry(id).or_insert_with(|| Session {
            name: None,
            created_at: new[0].at,
            updated_at: new[0].at,
        });
        if new[0].seq == 1 {
            match flaw {
                Flaw::SessionIsCreatedAgain => session.created_at = new[0].at,
                Flaw::FirstRunTakesTheName => session.name = None,
                _ => {}
            }
        }
        let changes = |event: &&RunEvent| {
            event.kind.status().is_some() || flaw == Flaw::SessionIsUpdatedByWords
        };
        if let Some(event) = new.iter().rev().find(changes)
            && flaw != Flaw::SessionIsNeverUpdated
        {
            session.updated_at = session.updated_at.max(event.at);
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
        Some(SessionHead {
            session_id: id.clone(),
            name: session.name.clone(),
            created_at: session.created_at,
            updated_at: session.updated_at,
            runs: runs as u64,
        })
    }

    pub(super) fn list_sessions(&self, flaw: Flaw, query: SessionQuery) -> Vec<SessionHead> {
        let ids = self.sessions.keys();
        let mut found: Vec<_> = ids.filter_map(|id| self.session(flaw, id)).collect();
        let key = |id: &str| match flaw {
            Flaw::SessionsByLanguage => id.to_lowercase(),
            _ => id.to_owned(),
        };
        found.retain(|head| {
            query.before.as_ref().is_none_or(|(at, id)| match flaw {
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

    pub(super) fn name(&mut self, flaw: Flaw, id: Arc<str>, name: Option<Arc<str>>, at: Timestamp) {
        if flaw == Flaw::NamesOnlyWhatIsThere && !self.sessions.contains_key(&id) {
            return;
        }
        let session = self.sessions.entry(id).or_insert_with(|| Session {
            name: None,
            created_at: at,
            updated_at: at,
        });
        let named = session.name.is_some();
        match flaw {
            Flaw::NamesAreForgotten => {}
            Flaw::FirstNameStays if named => {}
            Flaw::NameCannotBeTakenAway if name.is_none() => {}
            Flaw::EmptyNameIsNone => session.name = name.filter(|name| !name.is_empty()),
            _ => session.name = name,
        }
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

fn is_wanted(flaw: Flaw, query: &RunQuery, head: &RunHead) -> bool {
    let mut query = query.clone();
    match flaw {
        Flaw::ListIgnoresSession => query.session_id = None,
        Flaw::ListIgnoresAgent => query.agent = None,
        Flaw::ListsEndedAsUnfinished => query.unfinished = false,
        Flaw::PausedIsFinished if query.unfinished && head.status == RunStatus::Paused => {
            return false;
        }
        Flaw::ListsOnlySessions if head.session_id.is_none() => return false,
        Flaw::PagesByTimeAlone => {
            if let Some((at, _)) = query.before.take() {
                return head.created_at < at && query.holds(head);
            }
        }
        Flaw::SortsById => {
            if let Some((_, id)) = query.before.take() {
                return head.run_id < id && query.holds(head);
            }
        }
        Flaw::PagesRepeat => {
            if let Some(before) = query.before.take() {
                return (head.created_at, head.run_id) <= before && query.holds(head);
            }
        }
        _ => {}
    }
    query.holds(head)
}
