//! Lists of runs, and sessions.

use std::cmp::Reverse;

use quell_actors::{
    RunStatus,
    id::Timestamp,
    store::{ReadError, RunHead, RunQuery, StatusSet},
};

use super::State;
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
        if query.oldest_first && flaw != Flaw::OldestFirstIsIgnored {
            found.reverse();
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
}

fn is_wanted(flaw: Flaw, query: &RunQuery, head: &RunHead) -> bool {
    let mut query = query.clone();
    match flaw {
        Flaw::ListIgnoresSession => query.session_id = None,
        Flaw::ListIgnoresAgent => query.agent = None,
        Flaw::ListIgnoresUser => query.user_id = None,
        Flaw::ListIgnoresStatuses if query.statuses != StatusSet::UNFINISHED => {
            query.statuses = StatusSet::ALL;
        }
        Flaw::ListIgnoresParents => query.top_level = false,
        Flaw::ListIgnoresFrom => query.from = None,
        Flaw::ListIgnoresUntil => query.until = None,
        Flaw::FromIsExcluded => query.from = query.from.map(one_later),
        Flaw::UntilIsIncluded => query.until = query.until.map(one_later),
        Flaw::OldestFirstIsIgnored | Flaw::OldestFirstPagesBack => query.oldest_first = false,
        Flaw::ListsEndedAsUnfinished => query.statuses = StatusSet::ALL,
        Flaw::PausedIsFinished
            if query.statuses == StatusSet::UNFINISHED && head.status == RunStatus::Paused =>
        {
            return false;
        }
        Flaw::ListsOnlySessions if head.session_id.is_none() => return false,
        Flaw::PagesByTimeAlone => {
            if let Some((at, _)) = query.past.take() {
                return head.created_at < at && query.holds(head);
            }
        }
        Flaw::SortsById => {
            if let Some((_, id)) = query.past.take() {
                return head.run_id < id && query.holds(head);
            }
        }
        Flaw::PagesRepeat => {
            if let Some(before) = query.past.take() {
                return (head.created_at, head.run_id) <= before && query.holds(head);
            }
        }
        _ => {}
    }
    query.holds(head)
}

fn one_later(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis() + 1)
}
