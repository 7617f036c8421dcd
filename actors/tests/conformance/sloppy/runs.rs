//! Appending to runs, reading and deleting them.

use quell_actors::{
    EventKind, RunEvent, RunId, RunStatus,
    store::{AppendError, BatchId, Events, Expected, ReadError, RunHead},
    usage::Usage,
};

use super::{Kept, State};
use crate::flaw::Flaw;

impl State {
    pub(super) fn append(
        &mut self,
        flaw: Flaw,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: &Events,
    ) -> Result<u64, AppendError> {
        let new: Vec<RunEvent> = events.iter().collect();
        if !self.runs.contains_key(&run) {
            let kept = self.begin(flaw, run, expected, batch, &new)?;
            let Some(kept) = kept else {
                return Ok(events.last());
            };
            self.runs.insert(run, kept);
        }
        let kept = self.runs.get_mut(&run).unwrap();
        let last = kept.last();
        let retried = match flaw {
            Flaw::ForgetsBatches => false,
            Flaw::AcquireIsNotRetried => kept.batch == batch && !expected.acquire,
            _ => kept.batch == batch,
        };
        if retried {
            kept.epoch += u64::from(expected.acquire && flaw == Flaw::RetriedAcquireFencesAgain);
            return Ok(last);
        }
        let goes_on = match flaw {
            Flaw::UniqueKeyOnly | Flaw::AppendsAfterTheEnd => true,
            Flaw::AcquireTakesEndedRuns => expected.acquire,
            _ => false,
        };
        if kept.has_ended() && !goes_on {
            return Err(AppendError::Ended { last });
        }
        if !kept.in_place(flaw, expected, events) {
            match flaw {
                Flaw::StoresHalf => {
                    let fresh = new.into_iter().filter(|event| event.seq > last);
                    kept.events.extend(fresh);
                }
                Flaw::StoresTheRest if events.first() <= last => {
                    let fresh = new.into_iter().filter(|event| event.seq > last);
                    kept.events.extend(fresh);
                }
                Flaw::BelievesRefused => kept.batch = batch,
                Flaw::RefusedAcquireFences => kept.epoch += u64::from(expected.acquire),
                _ => {}
            }
            let epoch = kept.epoch;
            return Err(AppendError::Fenced { epoch, last });
        }
        kept.epoch = match flaw {
            Flaw::AcquireDoesNotFence => kept.epoch,
            Flaw::AcquireIgnoresEpoch => kept.epoch + u64::from(expected.acquire),
            Flaw::AppendTakesOver | Flaw::AppendTakesOverAgain => {
                expected.epoch_after().max(kept.epoch)
            }
            _ => kept.epoch + u64::from(expected.acquire),
        };
        kept.batch = batch;
        if !(expected.acquire && flaw == Flaw::AcquireStoresNothing) {
            kept.events.extend(new.iter().cloned());
            kept.events.sort_by_key(|event| event.seq);
        }
        let last = kept.last();
        self.note(flaw, run, &new);
        Ok(last)
    }

    /// A run without stored events, unless it must not start like this. `None`: the append counts as done.
    fn begin(
        &mut self,
        flaw: Flaw,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        new: &[RunEvent],
    ) -> Result<Option<Kept>, AppendError> {
        let fenced = Err(AppendError::Fenced { epoch: 0, last: 0 });
        let grave = self.graves.get(&run);
        let mut session_id = new.iter().find_map(|event| match &event.kind {
            EventKind::Started(started) => started.session_id.clone(),
            _ => None,
        });
        let mut events = Vec::new();
        if let Some(grave) = grave {
            match flaw {
                Flaw::DeletedComesBack => return Ok(Some(grave.clone())),
                Flaw::DeletedBatchIsRemembered if grave.batch == batch => return Ok(None),
                Flaw::DeletedIdIsBurnt => return fenced,
                Flaw::AnewInTheOldSession => session_id = grave.session_id.clone(),
                Flaw::AnewWithTheOldEvents => events = grave.events.clone(),
                _ => {}
            }
        }
        let begins = expected.last == 0 && new[0].seq == 1 && !expected.acquire;
        let lets = match flaw {
            Flaw::UniqueKeyOnly => true,
            Flaw::AcquireMakesRuns => expected.acquire,
            _ => false,
        };
        if !begins && !lets {
            return fenced;
        }
        if flaw == Flaw::AnewWithTheOldEvents {
            events.retain(|event| event.seq > new.len() as u64);
        }
        let mut kept = Kept {
            epoch: expected.epoch,
            batch: BatchId(0),
            session_id,
            events: Vec::new(),
        };
        if !events.is_empty() {
            // Events of the old run remain behind those of the new one.
            kept.events = new.iter().cloned().chain(events).collect();
            kept.batch = batch;
        }
        Ok(Some(kept))
    }

    pub(super) fn read(
        &self,
        flaw: Flaw,
        run: RunId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RunEvent>, ReadError> {
        let grave = self.graves.get(&run);
        let kept = self.runs.get(&run);
        let kept = kept.or(grave.filter(|_| flaw == Flaw::DeleteLeavesEvents));
        let Some(kept) = kept else {
            return match flaw {
                Flaw::DeletedReadsEmpty => Ok(Vec::new()),
                _ => Err(ReadError::Expired { first: after + 1 }),
            };
        };
        let limit = limit + usize::from(flaw == Flaw::ReadsBeyondTheLimit);
        let events = kept.events.iter().filter(|event| event.seq > after);
        let mut page: Vec<_> = events.take(limit).cloned().collect();
        if flaw == Flaw::ReadsBackwards {
            page.reverse();
        }
        Ok(page)
    }

    pub(super) fn delete(&mut self, flaw: Flaw, run: RunId) -> bool {
        let spares = flaw == Flaw::DeleteSparesLiveRuns;
        if self
            .runs
            .get(&run)
            .is_some_and(|kept| spares && !kept.has_ended())
        {
            return true;
        }
        let Some(kept) = self.runs.remove(&run) else {
            return false;
        };
        if let Some(id) = &kept.session_id {
            let has_more = self
                .runs
                .values()
                .any(|kept| kept.session_id.as_ref() == Some(id));
            let stays = self.sessions.get_mut(id).is_some_and(|kept| {
                if flaw == Flaw::DeletedRunTakesTheUsage {
                    kept.usage = Usage::default();
                }
                let named = kept.name.is_some() && flaw != Flaw::LastRunTakesTheName;
                let put = kept.state.is_some() || kept.metadata.is_some();
                named || (put && flaw != Flaw::LastRunTakesTheState)
            });
            if !has_more && !stays {
                self.sessions.remove(id);
            }
        }
        self.graves.insert(run, kept);
        true
    }
}

impl Kept {
    fn last(&self) -> u64 {
        self.events.last().map_or(0, |event| event.seq)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.events.iter().any(RunEvent::is_last)
    }

    fn in_place(&self, flaw: Flaw, expected: Expected, events: &Events) -> bool {
        let last = self.last();
        let epoch = self.epoch == expected.epoch;
        let position = expected.last == last && events.first() == last + 1;
        let taken = |seq| self.events.iter().any(|event| event.seq == seq);
        match flaw {
            Flaw::UniqueKeyOnly => !events.iter().any(|event| taken(event.seq)),
            Flaw::TakesGaps => expected.last >= last && events.first() > last,
            Flaw::IgnoresEpoch => position,
            Flaw::AcquireIgnoresEpoch => position && (epoch || expected.acquire),
            Flaw::AcquireIgnoresPosition => epoch && (position || expected.acquire),
            Flaw::AppendTakesOver => position && (epoch || self.epoch + 1 == expected.epoch),
            Flaw::AppendTakesOverAgain => {
                position && (epoch || (self.epoch > 1 && self.epoch + 1 == expected.epoch))
            }
            _ => epoch && position,
        }
    }

    pub(super) fn head(&self, flaw: Flaw, run_id: RunId) -> Result<RunHead, ReadError> {
        let Some(first) = self.events.first() else {
            return Err(ReadError::Failed("no start".into()));
        };
        let EventKind::Started(started) = &first.kind else {
            return Err(ReadError::Failed("no start".into()));
        };
        let mut head = RunHead::new(run_id, started, first.at);
        for event in &self.events {
            head.apply(event);
        }
        head.epoch = self.epoch;
        head.session_id = self.session_id.clone();
        let changes = self
            .events
            .last()
            .is_some_and(|last| last.kind.status().is_some());
        match flaw {
            Flaw::StatusStaysPending => head.status = RunStatus::Pending,
            Flaw::StatusOfTheLastEvent if !changes => head.status = RunStatus::Pending,
            Flaw::LosesTheSession => head.session_id = None,
            Flaw::CreatedIsUpdated => head.created_at = head.updated_at,
            Flaw::UpdatedIsCreated => head.updated_at = head.created_at,
            Flaw::LosesTheUser => head.user_id = None,
            Flaw::LosesTheParent => head.parent = None,
            // The rest stays: only the numbers are removed.
            Flaw::LosesTheUsage => head.usage = head.usage.map(|_| Usage::default()),
            Flaw::LosesTheCut => head.cut = None,
            _ => {}
        }
        Ok(head)
    }
}
