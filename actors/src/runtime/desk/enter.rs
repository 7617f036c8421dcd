//! How runs come in: new ones, and those that come back.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Desk, Effect, Intent, Phase, Place, phase::Event};
use crate::{
    error::StartError,
    id::{RunId, Timestamp},
    runtime::when_busy::WhenBusy,
};

/// A run that asks to come in.
#[derive(Clone, Debug)]
pub(in crate::runtime) struct Entry {
    pub(in crate::runtime) run: RunId,
    pub(in crate::runtime) session: Option<Arc<str>>,
    pub(in crate::runtime) user: Option<Arc<str>>,
    /// The run that starts it.
    pub(in crate::runtime) parent: Option<RunId>,
    pub(in crate::runtime) how: How,
}

/// What kind of coming in it is.
#[derive(Clone, Debug)]
pub(in crate::runtime) enum How {
    /// A new run.
    Start {
        when_busy: WhenBusy,
        /// Where a cancel of it may be remembered.
        scope: Arc<str>,
        now: (Instant, Timestamp),
    },
    /// A run that was paused here, or is in the store.
    Continue,
    /// A run that another process has left.
    Recover,
}

/// That a run may come in, and how. It holds until the next thing happens.
#[derive(Debug)]
pub(in crate::runtime) struct Admission {
    entry: Entry,
    way: Way,
    /// When a new run is accepted.
    pub(in crate::runtime) at: Timestamp,
    lineage: Lineage,
    /// The remembered cancel that ends it.
    pub(in crate::runtime) intent: Option<Intent>,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    /// It has ended already, by a remembered cancel.
    Over,
    /// It takes its session as soon as there is a slot.
    Next,
    /// It needs a slot, and nothing else.
    Beside,
    /// It needs no slot.
    Now,
    /// It waits for its session.
    Wait,
}

#[derive(Clone, Copy, Debug)]
struct Lineage {
    root: RunId,
    depth: usize,
}

impl Desk {
    /// Whether a run may come in. Changes nothing.
    pub(in crate::runtime) fn admission(&self, entry: Entry) -> Result<Admission, StartError> {
        if self.closed {
            return Err(StartError::ShuttingDown);
        }
        match (self.phase(entry.run), &entry.how) {
            (None, How::Start { .. } | How::Recover) | (Some(Phase::Paused), How::Continue) => {}
            (_, How::Start { .. } | How::Continue | How::Recover) => {
                return Err(StartError::DuplicateRun(entry.run));
            }
        }
        let lineage = self.lineage(&entry)?;
        let (mut at, mut intent) = (Timestamp::default(), None);
        if let How::Start { scope, now, .. } = &entry.how {
            at = self.accepted_at(&entry, now.1)?;
            intent = self.intents.get(scope, entry.run, now.0);
        }
        let way = match intent {
            Some(_) => Way::Over,
            None => self.way(&entry)?,
        };
        Ok(Admission {
            entry,
            way,
            at,
            lineage,
            intent,
        })
    }

    /// Takes a run in.
    pub(in crate::runtime) fn admit(&mut self, admission: &Admission) -> Vec<Effect> {
        let Admission {
            entry,
            way,
            at,
            lineage,
            intent,
        } = admission;
        let mut effects = Vec::new();
        let run = entry.run;
        if let Some(intent) = intent {
            self.intents.take(intent);
        }
        self.insert(entry, *lineage, matches!(way, Way::Beside));
        if let (How::Start { .. }, Some(session)) = (&entry.how, &entry.session) {
            let session = self.sessions.entry(session.clone()).or_default();
            session.accepted(entry.user.as_ref(), *at);
        }
        self.step(run, Event::Enters);
        match way {
            Way::Over => self.step(run, Event::Ends),
            Way::Now => self.begin(run, &mut effects),
            Way::Wait => effects.push(Effect::Wait(run)),
            Way::Next | Way::Beside => {
                self.step(run, Event::Turn);
                self.fill(&mut effects);
            }
        }
        effects
    }

    /// Records a run that another process has left, and that ends: it has its session until that is stored.
    pub(in crate::runtime) fn admit_ending(&mut self, entry: &Entry) {
        let lineage = Lineage {
            root: entry.run,
            depth: 0,
        };
        self.insert(entry, lineage, false);
        for event in [Event::Enters, Event::Slot, Event::Ends] {
            self.step(entry.run, event);
        }
    }

    /// Records a run that is paused in the store.
    pub(in crate::runtime) fn admit_paused(&mut self, run: RunId, session: Option<Arc<str>>) {
        let entry = Entry {
            run,
            session,
            user: None,
            parent: None,
            how: How::Recover,
        };
        let lineage = Lineage {
            root: run,
            depth: 0,
        };
        if !self.runs.contains_key(&run) {
            self.insert(&entry, lineage, false);
        }
    }

    /// Notes a run that occupies nothing yet, like a paused one; one that was paused stays as it is, under a new
    /// number.
    fn insert(&mut self, entry: &Entry, lineage: Lineage, parallel: bool) {
        self.entered += 1;
        let number = self.entered;
        let late = i64::try_from(number).unwrap_or(i64::MAX);
        let interrupts = match &entry.how {
            How::Start { when_busy, .. } => *when_busy == WhenBusy::Interrupt,
            How::Continue | How::Recover => false,
        };
        // The last of those that interrupt comes first, and before all that wait.
        let turn = if interrupts { -late } else { late };
        if let Some(place) = self.runs.get_mut(&entry.run) {
            place.number = number;
            place.turn = turn;
            place.interrupts = interrupts;
            place.parallel = parallel;
            return;
        }
        let place = Place {
            phase: Phase::Paused,
            number,
            turn,
            session: entry.session.clone(),
            user: entry.user.clone(),
            parent: entry.parent,
            root: lineage.root,
            depth: lineage.depth,
            children: 0,
            descendants: 0,
            interrupts,
            parallel,
        };
        self.runs.insert(entry.run, place);
        if let Some(parent) = entry.parent.and_then(|parent| self.runs.get_mut(&parent)) {
            parent.children += 1;
        }
        if lineage.root != entry.run
            && let Some(root) = self.runs.get_mut(&lineage.root)
        {
            root.descendants += 1;
        }
    }

    /// Where a run stands in its family.
    fn lineage(&self, entry: &Entry) -> Result<Lineage, StartError> {
        if let Some(place) = self.runs.get(&entry.run) {
            return Ok(Lineage {
                root: place.root,
                depth: place.depth,
            });
        }
        let Some(id) = entry.parent else {
            return Ok(Lineage {
                root: entry.run,
                depth: 0,
            });
        };
        let parent = self.runs.get(&id).ok_or(StartError::ParentEnded(id))?;
        match parent.phase {
            Phase::Ended { .. } => return Err(StartError::ParentEnded(id)),
            Phase::Waiting | Phase::Ready | Phase::Live | Phase::Pausing | Phase::Paused => {}
        }
        let depth = parent.depth + 1;
        if depth > self.bounds.child_depth {
            return Err(StartError::TooDeep {
                most: self.bounds.child_depth,
            });
        }
        let root = self.runs.get(&parent.root);
        if root.is_some_and(|root| root.descendants >= self.bounds.children) {
            return Err(StartError::TooManyChildren {
                most: self.bounds.children,
            });
        }
        Ok(Lineage {
            root: parent.root,
            depth,
        })
    }

    /// When a new run is accepted, if its session takes it.
    fn accepted_at(&self, entry: &Entry, now: Timestamp) -> Result<Timestamp, StartError> {
        let Some(id) = &entry.session else {
            return Ok(now);
        };
        let Some(session) = self.sessions.get(id) else {
            return Ok(now);
        };
        match (session.owner(), &entry.user) {
            (None, _) => {}
            (Some(owner), Some(user)) if owner == user => {}
            (Some(_), _) => return Err(StartError::ForeignSession(id.clone())),
        }
        Ok(session.next_time(now))
    }

    /// How a run comes in, or why it does not.
    fn way(&self, entry: &Entry) -> Result<Way, StartError> {
        let when_busy = match &entry.how {
            How::Start { when_busy, .. } => *when_busy,
            How::Continue | How::Recover => WhenBusy::Queue,
        };
        let parent = match self.runs.get(&entry.run) {
            Some(paused) => paused.parent,
            None => entry.parent,
        };
        let parent = parent.filter(|parent| self.runs.contains_key(parent));
        let is_child = parent.is_some();
        let now_or = |way| if is_child { Way::Now } else { way };
        let Some(id) = &entry.session else {
            self.check_slots(entry, is_child)?;
            return Ok(now_or(Way::Next));
        };
        let Some(session) = self.sessions.get(id) else {
            self.check_slots(entry, is_child)?;
            return Ok(now_or(Way::Next));
        };
        if session.deleting {
            return Err(StartError::SessionDeleted(id.clone()));
        }
        // A run that waited for one that waits for it would wait for ever.
        if self.is_held_from(parent, id) {
            return Ok(Way::Now);
        }
        // Nor does a child wait for those that have no slot.
        let is_busy = match is_child {
            true => !session.holders.is_empty(),
            false => session.is_busy(),
        };
        match (is_busy, when_busy) {
            (false, _) => {
                self.check_slots(entry, is_child)?;
                Ok(now_or(Way::Next))
            }
            (true, WhenBusy::Parallel) => {
                self.check_slots(entry, is_child)?;
                Ok(now_or(Way::Beside))
            }
            (true, WhenBusy::Reject) => Err(StartError::SessionBusy(id.clone())),
            (true, WhenBusy::Queue | WhenBusy::Interrupt) => {
                self.check_queue()?;
                if session.waiting.len() >= self.bounds.waiting_in_session {
                    return Err(StartError::SessionQueueFull(id.clone()));
                }
                Ok(Way::Wait)
            }
        }
    }

    /// Whether there is a slot for a run, or a place in the queue for one.
    fn check_slots(&self, entry: &Entry, is_child: bool) -> Result<(), StartError> {
        let user_has_enough = entry
            .user
            .as_ref()
            .is_some_and(|user| self.has_enough(user));
        if is_child || (self.live < self.bounds.live && !user_has_enough) {
            return Ok(());
        }
        self.check_queue()
    }

    fn check_queue(&self) -> Result<(), StartError> {
        let queued = self.ready.len() + self.held.len() + self.waiting;
        if queued >= self.bounds.queued {
            return Err(StartError::QueueFull {
                live: self.live,
                queued,
            });
        }
        Ok(())
    }
}
