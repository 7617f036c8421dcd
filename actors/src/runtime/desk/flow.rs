//! Who comes next: what a phase occupies, and what becomes of it when it is free.

use std::sync::Arc;

use super::{Desk, Effect, Phase, User, phase::Event};
use crate::id::RunId;

impl Desk {
    /// Something happens to a run: it leaves what its phase occupied, and takes what the next one does. The one place
    /// where a phase is set.
    pub(super) fn step(&mut self, run: RunId, event: Event) {
        let Some(place) = self.runs.get(&run) else {
            return;
        };
        let (before, phase) = (place.phase, place.phase.after(event));
        if phase == before {
            return;
        }
        let (number, turn, parallel) = (place.number, place.turn, place.parallel);
        let child = place
            .parent
            .is_some_and(|parent| self.runs.contains_key(&parent));
        let (user, session) = (place.user.clone(), place.session.clone());
        if let Some(place) = self.runs.get_mut(&run) {
            place.phase = phase;
        }

        match before {
            Phase::Waiting => self.waiting -= 1,
            Phase::Ready => {
                self.ready.remove(&number);
                if self.held.remove(&number).is_some()
                    && let Some(user) = &user
                {
                    self.of_user(user, |user| user.held.remove(&number));
                }
            }
            Phase::Live => {
                self.live -= 1;
                if let Some(user) = &user {
                    self.leaves_slot(user);
                }
            }
            Phase::Pausing | Phase::Ended { .. } => {}
            Phase::Paused => self.under_way += 1,
        }
        match phase {
            Phase::Waiting => self.waiting += 1,
            Phase::Ready => {
                self.ready.insert(number, run);
            }
            Phase::Live => {
                self.live += 1;
                if let Some(user) = &user {
                    self.of_user(user, |user| user.live += 1);
                }
            }
            Phase::Pausing | Phase::Ended { .. } => {}
            Phase::Paused => self.under_way -= 1,
        }
        let Some(id) = session else {
            return;
        };
        let session = self.sessions.entry(id.clone()).or_default();
        match before {
            Phase::Waiting => {
                session.waiting.remove(&turn);
                session.children.remove(&turn);
            }
            Phase::Ready if parallel => {
                session.beside.remove(&run);
            }
            Phase::Ready => session.next = None,
            Phase::Live | Phase::Pausing | Phase::Ended { .. } => {}
            Phase::Paused => {
                self.in_use += usize::from(session.under_way == 0);
                session.under_way += 1;
            }
        }
        if phase.holds() {
            session.holders.insert(run);
        } else {
            session.holders.remove(&run);
        }
        match phase {
            Phase::Waiting => {
                session.waiting.insert(turn, run);
                if child {
                    session.children.insert(turn);
                }
            }
            Phase::Ready if parallel => {
                session.beside.insert(run);
            }
            Phase::Ready => session.next = Some(run),
            Phase::Live | Phase::Pausing | Phase::Ended { .. } => {}
            Phase::Paused => {
                session.under_way -= 1;
                self.in_use -= usize::from(session.under_way == 0);
            }
        }
        self.forget_if_unused(&id);
    }

    /// Gives a session, and free slots, to the next run.
    pub(super) fn promote(&mut self, session: Option<&Arc<str>>, effects: &mut Vec<Effect>) {
        if let Some(id) = session
            && let Some((run, child)) = self.next_of(id)
        {
            if child {
                self.begin(run, effects);
            } else {
                self.take_turn(run, effects);
            }
        }
        self.fill(effects);
        // One that has its turn and no slot is not waited for by one that needs none.
        if let Some(id) = session
            && let Some(session) = self.sessions.get(id)
            && session.holders.is_empty()
            && let Some(turn) = session.children.first()
            && let Some(run) = session.waiting.get(turn)
        {
            self.begin(*run, effects);
        }
    }

    /// The next owner of a free session, and whether it is a child.
    fn next_of(&self, id: &Arc<str>) -> Option<(RunId, bool)> {
        let session = self.sessions.get(id)?;
        if !session.holders.is_empty() || session.next.is_some() {
            return None;
        }
        let (turn, run) = session.waiting.first_key_value()?;
        Some((*run, session.children.contains(turn)))
    }

    /// A run has its turn, and waits for a slot.
    pub(super) fn take_turn(&mut self, run: RunId, effects: &mut Vec<Effect>) {
        self.step(run, Event::Turn);
        effects.push(Effect::Turn(run));
    }

    /// Gives the free slots to those that came first.
    pub(super) fn fill(&mut self, effects: &mut Vec<Effect>) {
        while self.live < self.bounds.live
            && let Some((number, run)) = self.ready.pop_first()
        {
            let user = self.runs.get(&run).and_then(|place| place.user.clone());
            match user {
                Some(user) if self.has_enough(&user) => {
                    self.held.insert(number, run);
                    self.of_user(&user, |user| user.held.insert(number));
                }
                Some(_) | None => self.begin(run, effects),
            }
        }
    }

    /// Whether a user has as many slots as a user may have.
    pub(super) fn has_enough(&self, user: &Arc<str>) -> bool {
        let live = self.users.get(user).map_or(0, |user| user.live);
        self.bounds.live_per_user.is_some_and(|most| live >= most)
    }

    /// A run gets a slot, and with it its session.
    pub(super) fn begin(&mut self, run: RunId, effects: &mut Vec<Effect>) {
        self.step(run, Event::Slot);
        effects.push(Effect::Launch(run));
        let Some(id) = self.runs.get(&run).and_then(|place| place.session.clone()) else {
            return;
        };
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let yields = session.next;
        // Children that waited behind it, or that it waits for, run beside it.
        let children = session.children.iter();
        let children: Vec<_> = children
            .filter_map(|turn| session.waiting.get(turn).copied())
            .collect();
        if let Some(other) = yields {
            self.step(other, Event::Yields);
            effects.push(Effect::Wait(other));
        }
        for child in children {
            let waits = self.phase(child) == Some(Phase::Waiting);
            if waits && self.is_held_by_family(child, &id) {
                self.begin(child, effects);
            }
        }
    }

    /// Whether an ancestor of a run has this session.
    fn is_held_by_family(&self, run: RunId, session: &Arc<str>) -> bool {
        let parent = self.runs.get(&run).and_then(|place| place.parent);
        self.is_held_from(parent, session)
    }

    /// Whether this run, or an ancestor of it, has this session.
    pub(super) fn is_held_from(&self, run: Option<RunId>, session: &Arc<str>) -> bool {
        let mut next = run;
        while let Some(place) = next.and_then(|run| self.runs.get(&run)) {
            if place.phase.holds() && place.session.as_ref() == Some(session) {
                return true;
            }
            next = place.parent;
        }
        false
    }

    /// A run of a user has left its slot: the first of those that waited for that waits for a slot.
    fn leaves_slot(&mut self, id: &Arc<str>) {
        let most = self.bounds.live_per_user.unwrap_or(usize::MAX);
        let next = self.of_user(id, |user| {
            user.live -= 1;
            (user.live < most).then(|| user.held.pop_first()).flatten()
        });
        if let Some(number) = next
            && let Some(run) = self.held.remove(&number)
        {
            self.ready.insert(number, run);
        }
    }

    fn of_user<T>(&mut self, id: &Arc<str>, change: impl FnOnce(&mut User) -> T) -> T {
        let user = self.users.entry(id.clone()).or_default();
        let changed = change(user);
        if user.live == 0 && user.held.is_empty() {
            self.users.remove(id);
        }
        changed
    }
}
