//! The law of a runtime: which runs there are, who has a slot, who a session, and who comes next.
//!
//! Pure: no clock, no task, no lock, no store, no log. Ids, sessions and times go in, a list of [`Effect`]s comes out;
//! the [`Registry`](super::registry::Registry) asks under its lock and performs them after it.
//!
//! * A run is in one [`Phase`], and what it occupies follows from that: `Live` is a slot, `Live`, `Pausing` and an
//!   ending that is not stored yet hold the session. [`Phase::after`] is the table of what each event does to it.
//! * A run takes its session only together with a slot. So no run holds a session and waits, and a child, which needs
//!   no slot, waits only for running runs.
//! * Of a session's runs the one with the lowest turn comes first; of all that wait for a slot the one that came first.
//! * A child runs beside an ancestor that holds its session, and beyond the limit of slots: a run with a slot waits for
//!   it. It is a child until its parent is gone, also while one of the two is paused.
//! * A session belongs to the user of its first run, and its runs are accepted at times that only grow.

mod enter;
mod flow;
mod intents;
mod phase;
mod sessions;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

pub(super) use self::{
    enter::{Admission, Entry, How},
    intents::{Intent, Intents},
    phase::Phase,
    sessions::Stored,
};
use self::{phase::Event, sessions::Session};
use crate::id::RunId;

/// What the law has to know of the settings.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) live: usize,
    pub(super) live_per_user: Option<usize>,
    pub(super) queued: usize,
    pub(super) waiting_in_session: usize,
    pub(super) child_depth: usize,
    pub(super) children: usize,
}

/// What has to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Effect {
    /// The run has a slot: launch it.
    Launch(RunId),
    /// The run waits for its session, from now on.
    Wait(RunId),
    /// The run waits for its session no longer.
    Turn(RunId),
    /// The run has ended before it was launched: drop what was to be launched.
    Drop(RunId),
    /// Cancel the run: a newer one takes its place.
    Supersede(RunId),
    /// The run is paused, and that is stored. With `expires` its time runs.
    Pause { run: RunId, expires: bool },
    /// A paused run has ended, and that is not stored yet.
    Rouse(RunId),
    /// Nothing of the run is left.
    Forget(RunId),
    /// The children of a paused run are gone, and it has no parent.
    Childless(RunId),
    /// No paused run expires any more.
    StopExpiries,
    /// No owner is left to start runs, and no run is left.
    Left,
}

/// One run, and where it stands.
#[derive(Clone, Debug)]
struct Place {
    phase: Phase,
    /// Its number among all that came in.
    number: u64,
    /// Its turn in its session: the lowest comes first.
    turn: i64,
    session: Option<Arc<str>>,
    user: Option<Arc<str>>,
    parent: Option<RunId>,
    /// The first of its ancestors, or itself.
    root: RunId,
    depth: usize,
    /// How many it has started, and not they theirs, that are not gone.
    children: usize,
    /// How many there are below it in all.
    descendants: usize,
    /// It was to take the place of those before it.
    interrupts: bool,
    /// It runs beside the owner of its session.
    parallel: bool,
}

/// The runs of one user.
#[derive(Clone, Debug, Default)]
struct User {
    live: usize,
    /// Those that have their turn, and wait until another run of the user leaves its slot.
    held: BTreeSet<u64>,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub(super) struct Desk {
    bounds: Bounds,
    runs: HashMap<RunId, Place>,
    sessions: HashMap<Arc<str>, Session>,
    users: HashMap<Arc<str>, User>,
    /// How many have a slot.
    live: usize,
    /// Those that wait for a slot, by their numbers.
    ready: BTreeMap<u64, RunId>,
    /// Those that wait for another run of their user, likewise.
    held: BTreeMap<u64, RunId>,
    /// How many wait for a session.
    waiting: usize,
    /// How many are not paused.
    under_way: usize,
    /// How many sessions have a run that is not paused, and how many are being deleted.
    in_use: usize,
    deleting: usize,
    /// How many have come in so far.
    entered: u64,
    pub(super) intents: Intents,
    closed: bool,
    /// No owner is left to start runs.
    abandoned: bool,
}

impl Desk {
    pub(super) fn new(bounds: Bounds, intents: Intents) -> Desk {
        Desk {
            bounds,
            runs: HashMap::new(),
            sessions: HashMap::new(),
            users: HashMap::new(),
            live: 0,
            ready: BTreeMap::new(),
            held: BTreeMap::new(),
            waiting: 0,
            under_way: 0,
            in_use: 0,
            deleting: 0,
            entered: 0,
            intents,
            closed: false,
            abandoned: false,
        }
    }

    /// The start of a run is stored. If it was to take the place of others, they are cancelled now, and not before.
    pub(super) fn start_stored(&self, run: RunId) -> Vec<Effect> {
        let Some(place) = self.runs.get(&run) else {
            return Vec::new();
        };
        let session = place.session.as_ref().and_then(|id| self.sessions.get(id));
        let (Phase::Waiting, true, Some(session)) = (place.phase, place.interrupts, session) else {
            return Vec::new();
        };
        // One that came later, and got the session first, stays: it is the newer request.
        let older = |other: &RunId| {
            let other = self.runs.get(other);
            other.is_some_and(|other| {
                let works = matches!(other.phase, Phase::Ready | Phase::Live);
                works && other.number < place.number
            })
        };
        session
            .at_work()
            .filter(older)
            .map(Effect::Supersede)
            .collect()
    }

    /// The run has ended: its slot is free.
    pub(super) fn ended(&mut self, run: RunId) -> Vec<Effect> {
        self.happens(run, Event::Ends)
    }

    /// The run is paused: its slot is free.
    pub(super) fn paused(&mut self, run: RunId) -> Vec<Effect> {
        self.happens(run, Event::Pauses)
    }

    /// That the run is paused is stored, or will be when the store is back: its session is free.
    pub(super) fn pause_stored(&mut self, run: RunId) -> Vec<Effect> {
        self.happens(run, Event::PauseStored)
    }

    /// Nothing of the run is under way any more, and it is not paused: all of its place is free.
    pub(super) fn settled(&mut self, run: RunId) -> Vec<Effect> {
        let Some(place) = self.runs.get(&run) else {
            return Vec::new();
        };
        let (session, parent, root) = (place.session.clone(), place.parent, place.root);
        let mut effects = vec![Effect::Forget(run)];
        self.step(run, Event::Settles);
        self.runs.remove(&run);
        if let Some(root) = self.runs.get_mut(&root) {
            root.descendants = root.descendants.saturating_sub(1);
        }
        if let Some(id) = parent
            && let Some(parent) = self.runs.get_mut(&id)
        {
            parent.children = parent.children.saturating_sub(1);
            if parent.phase == Phase::Paused && parent.children == 0 && !self.has_family(id) {
                effects.push(Effect::Childless(id));
            }
        }
        self.promote(session.as_ref(), &mut effects);
        self.leave(&mut effects);
        effects
    }

    /// Something happens to a run; the rest follows from its phase.
    fn happens(&mut self, run: RunId, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(place) = self.runs.get(&run) else {
            return effects;
        };
        let (before, session) = (place.phase, place.session.clone());
        let after = before.after(event);
        if after == before {
            return effects;
        }
        match (before, after) {
            (Phase::Waiting | Phase::Ready, Phase::Ended { .. }) => effects.push(Effect::Drop(run)),
            (Phase::Paused, Phase::Ended { .. }) => effects.push(Effect::Rouse(run)),
            (_, Phase::Paused) => effects.push(Effect::Pause {
                run,
                expires: self.may_expire(),
            }),
            (
                _,
                Phase::Waiting | Phase::Ready | Phase::Live | Phase::Pausing | Phase::Ended { .. },
            ) => {}
        }
        self.step(run, event);
        self.promote(session.as_ref(), &mut effects);
        self.leave(&mut effects);
        effects
    }

    /// Accepts no more runs. No paused one expires any more: they are for the next owner of the store.
    pub(super) fn close(&mut self) -> Vec<Effect> {
        self.closed = true;
        vec![Effect::StopExpiries]
    }

    /// The last handle of the runtime is gone.
    pub(super) fn abandon(&mut self) -> Vec<Effect> {
        self.abandoned = true;
        let mut effects = vec![Effect::StopExpiries];
        self.leave(&mut effects);
        effects
    }

    fn leave(&self, effects: &mut Vec<Effect>) {
        if self.abandoned && self.under_way == 0 {
            effects.push(Effect::Left);
        }
    }

    /// Whether paused runs expire.
    pub(super) fn may_expire(&self) -> bool {
        !self.closed && !self.abandoned
    }

    /// Whether runs are accepted.
    pub(super) fn is_accepting(&self) -> bool {
        !self.closed
    }

    /// Whether no run is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way == 0
    }

    /// Where a run stands.
    pub(super) fn phase(&self, run: RunId) -> Option<Phase> {
        self.runs.get(&run).map(|place| place.phase)
    }

    /// Whether a parent or children of a run are not gone: one has to be able to cancel the other.
    pub(super) fn has_family(&self, run: RunId) -> bool {
        self.runs.get(&run).is_some_and(|place| {
            let parent = place
                .parent
                .is_some_and(|parent| self.runs.contains_key(&parent));
            place.children > 0 || parent
        })
    }

    /// How much there is of what.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            under_way: self.under_way,
            live: self.live,
            queued: self.ready.len() + self.held.len(),
            waiting: self.waiting,
            sessions: self.in_use,
            paused: self.runs.len() - self.under_way,
            deleting: self.deleting,
        }
    }
}

/// How much there is of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) under_way: usize,
    pub(super) live: usize,
    /// They wait for a slot.
    pub(super) queued: usize,
    /// They wait for their session.
    pub(super) waiting: usize,
    pub(super) sessions: usize,
    pub(super) paused: usize,
    pub(super) deleting: usize,
}
