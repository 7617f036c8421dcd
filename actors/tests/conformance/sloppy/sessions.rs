//! Sessions: what runs add to them, patches, and lists.

use std::{cmp::Reverse, sync::Arc};

use quell_actors::{
    EventKind, RunEvent, RunId,
    id::Timestamp,
    store::{SessionHead, SessionOrder, SessionPatch, SessionQuery},
    usage::Usage,
};

use super::State;
use crate::flaw::Flaw;

impl State {
    /// Creates the session of a run, and adds what the run's events say.
    pub(super) fn note(&mut self, flaw: Flaw, run: RunId, new: &[RunEvent]) {
        let Some(id) = self.runs[&run].session_id.clone() else {
            return;
        };
        let session = self.sessions.entry(id.clone());
        let session = session.or_insert_with(|| SessionHead::new(id, new[0].at));
        let before = session.clone();
        for event in new {
            match flaw {
                Flaw::TitleOfTheLastRun if event.seq == 1 => session.title = None,
                Flaw::AgentOfTheLastRun if event.seq == 1 => session.agent = None,
                Flaw::UserOfTheLastRun if event.seq == 1 => session.user_id = None,
                Flaw::UsageOfTheLastRun if event.is_last() => session.usage = Usage::default(),
                Flaw::NewestIsTheLast if event.seq == 1 => session.last_run = None,
                _ => {}
            }
            session.apply(event);
            if let (Flaw::TitleIsNotCut, EventKind::Started(started)) = (flaw, &event.kind)
                && before.title.is_none()
            {
                session.title = started.input.get(1).map(|said| said.text().into());
            }
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

    pub(super) fn list_sessions(&self, flaw: Flaw, mut query: SessionQuery) -> Vec<SessionHead> {
        let ids = self.sessions.keys();
        let mut found: Vec<_> = ids.filter_map(|id| self.session(flaw, id)).collect();
        match flaw {
            Flaw::SessionsIgnoreAgent => query.agent = None,
            Flaw::SessionsIgnoreUser => query.user_id = None,
            Flaw::SessionsIgnoreName => query.named = None,
            Flaw::SessionsIgnoreTheTime => query.by = SessionOrder::Created,
            Flaw::SessionsIgnoreOldestFirst => query.oldest_first = false,
            Flaw::SessionsIgnoreSkip => query.skip = 0,
            _ => {}
        }
        let key = |id: &str| match flaw {
            Flaw::SessionsByLanguage => id.to_lowercase(),
            _ => id.to_owned(),
        };
        let past = query.past.take();
        found.retain(|head| {
            past.as_ref().is_none_or(|(at, id)| {
                let (is, was) = ((query.time_of(head), key(&head.session_id)), (*at, key(id)));
                match (flaw, query.oldest_first) {
                    (Flaw::SessionsPagedByTimeAlone, false) => is.0 < was.0,
                    (_, false) => is < was,
                    (_, true) => is > was,
                }
            })
        });
        found.retain(|head| {
            let named = |label: Option<&Arc<str>>| {
                let words = query.named.as_ref();
                words.is_none_or(|words| label.is_some_and(|label| label.contains(&**words)))
            };
            query.holds(head)
                && match flaw {
                    Flaw::NamesAreMatchedByCase => named(head.label()),
                    Flaw::TitlesAreNotMatched => query.named.is_none() || head.name.is_some(),
                    _ => true,
                }
        });
        found.sort_by_key(|head| Reverse((query.time_of(head), key(&head.session_id))));
        if (flaw == Flaw::SessionsOldestFirst) != query.oldest_first {
            found.reverse();
        }
        found.drain(..query.skip.min(found.len()));
        if flaw != Flaw::SessionsIgnoreLimit {
            found.truncate(query.limit);
        }
        found
    }

    pub(super) fn count_sessions(&self, flaw: Flaw, mut query: SessionQuery) -> u64 {
        if flaw != Flaw::CountsOnePage {
            (query.skip, query.limit, query.past) = (0, usize::MAX, None);
        }
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
            Flaw::StateIsForgotten => patch.state = None,
            Flaw::UserCannotBeTakenAway if patch.user_id == Some(None) => patch.user_id = None,
            Flaw::PutTakesTheRest => {
                let SessionPatch {
                    user_id,
                    agent,
                    state,
                    metadata,
                    ..
                } = &mut patch;
                user_id.get_or_insert(None);
                agent.get_or_insert(None);
                state.get_or_insert(None);
                metadata.get_or_insert(None);
            }
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
