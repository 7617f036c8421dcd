//! What can happen to the law, and what is expected of it.

use std::collections::BTreeSet;

use super::*;

/// What happens, to runs by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Enter(Option<&'static str>, WhenBusy),
    User(&'static str),
    Child(usize, Option<&'static str>),
    Stored(usize),
    Refused(usize),
    Ends(usize),
    Settles(usize),
    Pauses(usize),
    PauseStored(usize),
    Continues(usize),
    Deletes,
    Deleted,
    Closes,
}

/// How a run's log sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Seen {
    Open,
    Pausing,
    Paused,
    Ended,
    Gone,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) seen: Seen,
    pub(super) stored: bool,
    pub(super) launched: bool,
    /// It has begun, and its ending or pause is not stored.
    pub(super) holds: bool,
    pub(super) parent: Option<usize>,
    /// It may be beside others.
    pub(super) parallel: bool,
}

/// The law, and what is expected of it.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) desk: Desk,
    pub(super) now: (Instant, Timestamp),
    pub(super) models: Vec<Model>,
    pub(super) deleting: bool,
    pub(super) history: Vec<Step>,
}

impl World {
    pub(super) fn new(bounds: Bounds) -> World {
        World {
            desk: desk(bounds),
            now: (Instant::now(), Timestamp::from_millis(1)),
            models: Vec::new(),
            deleting: false,
            history: Vec::new(),
        }
    }

    pub(super) fn start(
        &mut self,
        session: Option<&str>,
        user: Option<&str>,
        parent: Option<usize>,
        busy: WhenBusy,
    ) -> Result<Vec<Effect>, StartError> {
        let entry = Entry {
            run: id(self.models.len()),
            session: session.map(Arc::from),
            user: user.map(Arc::from),
            parent: parent.map(id),
            how: How::Start {
                when_busy: busy,
                scope: "".into(),
                now: self.now,
            },
        };
        let admission = self.desk.admission(entry)?;
        self.models.push(Model {
            seen: Seen::Open,
            stored: false,
            launched: false,
            holds: false,
            parent,
            parallel: busy == WhenBusy::Parallel,
        });
        Ok(self.desk.admit(&admission))
    }

    fn goes_on(&mut self, run: usize) -> Result<Vec<Effect>, StartError> {
        let place = &self.desk.runs[&id(run)];
        let entry = Entry {
            run: id(run),
            session: place.session.clone(),
            user: place.user.clone(),
            parent: place.parent,
            how: How::Continue,
        };
        let admission = self.desk.admission(entry)?;
        let model = &mut self.models[run];
        (model.seen, model.launched, model.parallel) = (Seen::Open, false, false);
        Ok(self.desk.admit(&admission))
    }

    /// Has something happen, and checks what comes of it. `false`: it was refused, and nothing has changed.
    pub(super) fn take(&mut self, step: Step) -> bool {
        self.history.push(step);
        let before = self.desk.counts();
        let ready = self.desk.ready.values().copied().collect();
        let effects = match step {
            Step::Enter(session, busy) => self.start(session, None, None, busy),
            Step::User(user) => self.start(None, Some(user), None, WhenBusy::Queue),
            Step::Child(parent, session) => {
                self.start(session, None, Some(parent), WhenBusy::Queue)
            }
            Step::Continues(run) => self.goes_on(run),
            Step::Stored(run) => {
                self.models[run].stored = true;
                Ok(self.desk.start_stored(id(run)))
            }
            Step::Refused(run) => {
                (self.models[run].seen, self.models[run].holds) = (Seen::Gone, false);
                Ok(self.desk.settled(id(run)))
            }
            Step::Ends(run) => {
                self.models[run].seen = Seen::Ended;
                Ok(self.desk.ended(id(run)))
            }
            Step::Settles(run) => {
                (self.models[run].seen, self.models[run].holds) = (Seen::Gone, false);
                Ok(self.desk.settled(id(run)))
            }
            Step::Pauses(run) => {
                self.models[run].seen = Seen::Pausing;
                Ok(self.desk.paused(id(run)))
            }
            Step::PauseStored(run) => {
                (self.models[run].seen, self.models[run].holds) = (Seen::Paused, false);
                Ok(self.desk.pause_stored(id(run)))
            }
            Step::Deletes => {
                self.deleting = self.desk.begin_deleting(&"a".into());
                Ok(Vec::new())
            }
            Step::Deleted => {
                self.deleting = false;
                self.desk.end_deleting(&"a".into());
                Ok(Vec::new())
            }
            Step::Closes => Ok(self.desk.close()),
        };
        let Ok(effects) = effects else {
            assert_eq!(self.desk.counts(), before, "{:?}", self.history);
            return false;
        };
        for effect in effects {
            self.perform(step, effect, &ready);
        }
        self.check();
        true
    }

    fn number(run: RunId) -> usize {
        usize::try_from(Uuid::from(run).as_u128() - 1).expect("the ids of a test are small")
    }

    fn perform(&mut self, step: Step, effect: Effect, ready: &HashSet<RunId>) {
        let history = &self.history;
        match effect {
            Effect::Launch(run) => {
                let model = &mut self.models[World::number(run)];
                assert_eq!(model.seen, Seen::Open, "{run} is launched: {history:?}");
                assert!(!model.launched, "{run} is launched twice: {history:?}");
                (model.launched, model.holds) = (true, true);
                self.check_order(run, ready.contains(&run));
            }
            Effect::Supersede(run) => {
                let Step::Stored(newer) = step else {
                    panic!("{run} is superseded by what is not stored: {history:?}");
                };
                let (old, new) = (&self.desk.runs[&run], &self.desk.runs[&id(newer)]);
                assert!(old.number < new.number && old.session == new.session);
            }
            Effect::Forget(run) | Effect::Pause { run, .. } | Effect::Drop(run) => {
                let seen = self.models[World::number(run)].seen;
                assert!(seen != Seen::Open && seen != Seen::Pausing, "{history:?}");
            }
            Effect::Wait(_)
            | Effect::Turn(_)
            | Effect::Rouse(_)
            | Effect::Childless(_)
            | Effect::StopExpiries
            | Effect::Left => {}
        }
    }

    /// A run begins: nobody was before it, and nobody else has its session. One that had its turn already is not overtaken
    /// by one that interrupts, which cancels it when its start is stored.
    fn check_order(&self, run: RunId, had_turn: bool) {
        let (place, history) = (&self.desk.runs[&run], &self.history);
        let model = &self.models[World::number(run)];
        let is_child = place.parent.is_some();
        let first = self.desk.ready.keys().next();
        assert!(
            is_child || first.is_none_or(|first| place.number < *first),
            "{run} has the slot of one that came before: {history:?}"
        );
        let Some(session) = &place.session else {
            return;
        };
        for (other, theirs) in &self.desk.runs {
            if theirs.session.as_ref() != Some(session) || *other == run {
                continue;
            }
            let waits = matches!(theirs.phase, Phase::Waiting | Phase::Ready);
            let holds = self.models[World::number(*other)].holds;
            let interrupts = had_turn && theirs.interrupts;
            let beside = interrupts
                || is_child
                || theirs.parent.is_some()
                || place.parallel
                || theirs.parallel;
            assert!(
                beside || !waits || place.turn < theirs.turn,
                "{run} begins before {other}: {history:?}"
            );
            assert!(
                model.parallel || !holds || self.are_kin(run, *other),
                "{run} begins beside {other}: {history:?}"
            );
        }
    }

    /// Whether one is an ancestor of the other, or an ancestor that has the session has started both.
    fn are_kin(&self, one: RunId, other: RunId) -> bool {
        let ancestors = |run| {
            let next = |run: &usize| self.models[*run].parent;
            std::iter::successors(Some(World::number(run)), next).collect::<HashSet<_>>()
        };
        let (of_one, of_other) = (ancestors(one), ancestors(other));
        of_one.intersection(&of_other).next().is_some()
    }

    /// What holds at all times.
    pub(super) fn check(&self) {
        let (desk, history) = (&self.desk, &self.history);
        let in_phase = |phase: Phase| {
            let runs = desk.runs.iter();
            let runs = runs.filter(move |(_, place)| place.phase == phase);
            runs.map(|(run, _)| *run).collect::<BTreeSet<_>>()
        };
        let live = in_phase(Phase::Live);
        assert_eq!(desk.live, live.len(), "{history:?}");
        let own = live.iter().filter(|run| desk.runs[run].parent.is_none());
        assert!(own.count() <= desk.bounds.live, "{history:?}");
        let queued: BTreeSet<_> = desk
            .ready
            .values()
            .chain(desk.held.values())
            .copied()
            .collect();
        assert_eq!(queued, in_phase(Phase::Ready), "{history:?}");
        assert!(
            desk.ready.is_empty() || desk.live >= desk.bounds.live,
            "a slot is free: {history:?}"
        );
        assert_eq!(desk.waiting, in_phase(Phase::Waiting).len(), "{history:?}");
        let paused = in_phase(Phase::Paused).len();
        assert_eq!(desk.under_way, desk.runs.len() - paused, "{history:?}");
        let in_use = desk.sessions.values().filter(|session| session.is_in_use());
        assert_eq!(desk.in_use, in_use.count(), "{history:?}");
        assert_eq!(desk.deleting, usize::from(self.deleting), "{history:?}");

        let mut held = BTreeSet::new();
        for session in desk.sessions.values() {
            let waiting: BTreeSet<_> = session.waiting.values().copied().collect();
            held.extend(session.holders.iter().chain(&waiting).copied());
            held.extend(session.beside.iter().copied().chain(session.next));
            let is_free = session.holders.is_empty() && session.next.is_none();
            assert!(
                waiting.is_empty() || !is_free,
                "nobody has it, and some wait: {history:?}"
            );
            assert!(
                session.next.is_none() || session.holders.is_empty(),
                "{history:?}"
            );
            assert!(
                session.children.is_empty() || !session.holders.is_empty(),
                "{history:?}"
            );
            assert!(
                session
                    .holders
                    .iter()
                    .all(|run| desk.runs[run].phase.holds())
            );
        }
        let sessions = desk.runs.iter().filter(|(_, place)| {
            let waits = matches!(place.phase, Phase::Waiting | Phase::Ready);
            place.session.is_some() && (waits || place.phase.holds())
        });
        assert_eq!(held, sessions.map(|(run, _)| *run).collect(), "{history:?}");
        for (number, model) in self.models.iter().enumerate() {
            let phase = desk.phase(id(number));
            let fits = match model.seen {
                Seen::Open => match phase {
                    Some(Phase::Live) => model.launched,
                    Some(Phase::Waiting | Phase::Ready) => !model.launched,
                    Some(Phase::Pausing | Phase::Paused | Phase::Ended { .. }) | None => false,
                },
                Seen::Pausing => phase == Some(Phase::Pausing),
                Seen::Paused => phase == Some(Phase::Paused),
                Seen::Ended => matches!(phase, Some(Phase::Ended { .. })),
                Seen::Gone => phase.is_none(),
            };
            assert!(fits, "{number} is {phase:?}, and {model:?}: {history:?}");
        }
    }

    /// Runs come to their ends, each once those that it waits for have; nobody is left then.
    pub(super) fn drain(mut self) {
        loop {
            let may_end = |run: &usize| {
                let is_open = match self.models[*run].seen {
                    Seen::Open => self.models[*run].launched,
                    Seen::Pausing | Seen::Paused | Seen::Ended => true,
                    Seen::Gone => false,
                };
                let mut children = self
                    .models
                    .iter()
                    .filter(|model| model.parent == Some(*run));
                is_open && children.all(|child| child.seen == Seen::Gone)
            };
            let Some(run) = (0..self.models.len()).find(may_end) else {
                break;
            };
            self.take(Step::Settles(run));
        }
        let history = &self.history;
        assert!(
            self.models.iter().all(|model| model.seen == Seen::Gone),
            "some wait for ever: {history:?}"
        );
        if self.deleting {
            self.desk.end_deleting(&"a".into());
        }
        let counts = self.desk.counts();
        let nothing = desk(self.desk.bounds.clone()).counts();
        assert_eq!(counts, nothing, "{history:?}");
        assert!(
            self.desk.sessions.is_empty() && self.desk.users.is_empty(),
            "{history:?}"
        );
    }

    /// What tells this state from others: equal ones have equal futures, since all else follows, which is checked.
    pub(super) fn key(&self) -> String {
        let mut numbers: Vec<_> = self.desk.runs.values().map(|place| place.number).collect();
        numbers.sort_unstable();
        let rank = |number: u64| numbers.partition_point(|other| *other < number);
        let runs = self.models.iter().enumerate().map(|(number, model)| {
            let place = self.desk.runs.get(&id(number)).map(|place| {
                let (turn, number) = (place.turn.signum(), rank(place.number));
                (
                    place.phase,
                    &place.session,
                    number,
                    turn,
                    place.parallel,
                    place.interrupts,
                )
            });
            (
                model.seen,
                model.stored,
                model.parent,
                model.parallel,
                place,
            )
        });
        let runs: Vec<_> = runs.collect();
        format!("{runs:?} {} {}", self.deleting, self.desk.closed)
    }
}
