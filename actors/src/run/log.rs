//! The judge: one log for each run, shared by the run's handle, its actor and the supervisor.
//!
//! Under one short lock it decides what happened and in which order, by the law of [`machine`](crate::machine). It has
//! two marks: what is *decided*, and what is *stored*. Readers see up to the second one. Carrying events from the first
//! mark to the second is [`flush`](super::flush)'s work.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, Weak},
    time::Duration,
};

use tokio::{runtime::Handle, time::Instant};
use tracing::Span;

use super::{
    alarm::Alarm,
    counters::Counters,
    facts::Facts,
    outbox::{self, Outbox},
    poke::Poke,
    steers::Steers,
    together::Together,
    waiters::{Waiters, Woken},
};
use crate::{
    agent::{Agent, Limits},
    clock::Clock,
    event::{EventKind, Started, StatusChange},
    id::{RunId, Timestamp},
    lock::locked,
    machine::{Effect, Input, State, step},
    status::RunStatus,
    store::{DynStore, Tape},
    usage::Prices,
};

/// Who keeps the runs of a runtime, as a log sees it. Called without the log's lock, with the log itself: its id may be
/// that of a newer run by then.
pub(crate) trait RunHost: Send + Sync {
    /// The run's ending is decided: its slot is free.
    fn ended(&self, run: &RunLog);
    /// The run's pause is decided: its slot is free. By now it may be stored, or the run may have ended.
    fn paused(&self, run: &RunLog);
    /// The run's pause is stored, and nobody was shown that yet; or the store was lost before. Its session is free.
    fn pause_stored(&self, run: &RunLog);
    /// Nothing of the run is under way any more: its ending is stored, and nobody was shown that yet; or the store was
    /// lost. Its session is free.
    fn settled(&self, run: &RunLog);
    /// Whether a store that was lost is still worth waiting for: the runtime has not been shut down.
    fn waits_for_store(&self) -> bool;
    /// The run's status changed, and that is stored.
    fn changed(&self, change: StatusChange);
}

/// What all logs of a runtime share.
pub(crate) struct RuntimeEnv {
    pub(crate) clock: Clock,
    pub(crate) store: Arc<dyn DynStore>,
    pub(crate) tokio: Handle,
    /// How long a store that does not confirm is asked again.
    pub(crate) store_patience: Duration,
    /// Cancels that wait for the ending of their run, to be stored with it.
    pub(crate) together: Together,
    pub(crate) counters: Counters,
    pub(crate) alarm: Alarm,
}

/// The log of one run.
pub(crate) struct RunLog {
    pub(crate) id: RunId,
    pub(crate) agent: Arc<str>,
    pub(crate) session_id: Option<Arc<str>>,
    pub(crate) poke: Poke,
    pub(crate) tape: Arc<Tape>,
    pub(crate) env: Arc<RuntimeEnv>,
    pub(super) host: Arc<dyn RunHost>,
    /// What the run is held to. Not set while its agent is not known, as after a crash.
    terms: OnceLock<Terms>,
    /// Names this log among all that ever wrote to the run: part of its batch ids.
    pub(super) nonce: u64,
    inner: Mutex<Inner>,
}

/// What the agent of a run holds it to.
struct Terms {
    limits: Arc<Limits>,
    prices: Option<Prices>,
}

impl Terms {
    fn of(agent: &Agent) -> Terms {
        Terms {
            limits: agent.shared_limits(),
            prices: agent.prices().copied(),
        }
    }
}

/// What the lock of a log guards.
pub(super) struct Inner {
    state: State,
    pub(super) facts: Facts,
    pub(super) outbox: Outbox,
    /// The actor waits for the store.
    pub(super) wants_room: bool,
    /// Status changes that are decided and not stored yet.
    pub(super) changes: Vec<StatusChange>,
    pub(super) waiters: Waiters,
    /// Messages from outside that the model has not been told yet.
    pub(super) steers: Steers,
    pub(super) children: Children,
    /// When the model last said something.
    pub(super) spoke_at: Option<Instant>,
    /// When a cancel was accepted.
    pub(super) cancelled_at: Option<Instant>,
    pub(super) span: Span,
}

impl RunLog {
    /// The log of a new run, which holds nothing until the run is accepted.
    pub(crate) fn start(
        id: RunId,
        started: &Started,
        agent: &Agent,
        env: Arc<RuntimeEnv>,
        host: Arc<dyn RunHost>,
    ) -> Arc<RunLog> {
        let span = run_span(id, &started.agent);
        let inner = Inner::new(
            State::Queued,
            Facts::new(RunStatus::Pending),
            Outbox::at(0, 1),
            span,
        );
        let head = (id, started.agent.clone(), started.session_id.clone());
        let tape = Tape::new(id, 0);
        Arc::new(RunLog::new(head, tape, Some(agent), (env, host), inner))
    }

    /// The run is accepted, at `at` or later. Decided and not stored yet.
    pub(crate) fn accept(&self, started: Started, at: Timestamp) {
        let mut inner = self.lock();
        inner.facts.begin_at(at);
        let kind = EventKind::Started(Arc::new(started));
        self.write(&mut inner, Instant::now(), kind);
    }

    /// A log that is held to the limits of `agent`, where that is known.
    pub(super) fn new(
        (id, name, session_id): (RunId, Arc<str>, Option<Arc<str>>),
        tape: Tape,
        agent: Option<&Agent>,
        (env, host): (Arc<RuntimeEnv>, Arc<dyn RunHost>),
        inner: Inner,
    ) -> RunLog {
        RunLog {
            id,
            agent: name,
            session_id,
            poke: Poke::default(),
            tape: Arc::new(tape),
            env,
            host,
            terms: agent
                .map(|agent| Terms::of(agent).into())
                .unwrap_or_default(),
            nonce: nonce(),
            inner: Mutex::new(inner),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        locked(&self.inner)
    }

    /// The limits that the run is held to, if it is to any.
    pub(super) fn limits(&self) -> Option<&Limits> {
        self.terms.get().map(|terms| &*terms.limits)
    }

    /// What the run's tokens cost, when that is known.
    pub(super) fn prices(&self) -> Option<&Prices> {
        self.terms.get()?.prices.as_ref()
    }

    /// Holds the run to the limits of `agent`, unless it is held to some already.
    pub(crate) fn limit(&self, agent: &Agent) {
        self.terms.get_or_init(|| Terms::of(agent));
    }

    /// Appends an event. Decided from here on. Its time is not before that of the event before it.
    pub(super) fn write(&self, inner: &mut Inner, now: Instant, kind: EventKind) {
        let at = self.env.clock.at(now).max(inner.facts.last_at());
        inner.outbox.apply(outbox::Input::Decided);
        let seq = inner.outbox.decided();
        let before = inner.facts.status();
        inner.facts.apply(seq, at, &kind);
        let outcome = kind.outcome();
        self.tape.push(at, kind);
        let status = inner.facts.status();
        if (status != before || seq == 1)
            && let Some(started) = self.started()
        {
            let mut change = StatusChange::new(self.id, &started, seq, at, status);
            let ended = outcome.map(|outcome| inner.facts.ended(&outcome, self.prices()));
            change.ending = ended.map(Arc::new);
            inner.changes.push(change);
        }
    }

    /// The run's status now, which may be ahead of its stored events.
    pub(crate) fn status(&self) -> RunStatus {
        self.lock().facts.status()
    }

    /// What was accepted. `None` for a log that does not hold its run from the start.
    pub(crate) fn started(&self) -> Option<Arc<Started>> {
        match self.tape.get(1)?.kind {
            EventKind::Started(started) => Some(started),
            _ => None,
        }
    }

    /// The run that started it, if any. Only for a log that holds its run from the start.
    pub(crate) fn parent(&self) -> Option<RunId> {
        self.started()?.parent
    }

    /// How long the run had been running before it was last paused or cut by a crash.
    pub(super) fn worked(&self) -> Duration {
        self.lock().facts.worked()
    }

    /// The span of the run; disabled once the run has ended.
    pub(crate) fn span(&self) -> Span {
        self.lock().span.clone()
    }
}

/// The span of a running run.
pub(super) fn run_span(id: RunId, agent: &str) -> Span {
    tracing::info_span!("run", run_id = %id, agent, status = tracing::field::Empty)
}

/// A unique number: the random half of a fresh id.
pub(super) fn nonce() -> u64 {
    let [_, _, _, _, _, _, _, _, half @ ..] = *RunId::new().as_bytes();
    u64::from_be_bytes(half)
}

impl Inner {
    pub(super) fn new(state: State, facts: Facts, outbox: Outbox, span: Span) -> Inner {
        Inner {
            state,
            facts,
            outbox,
            wants_room: false,
            changes: Vec::new(),
            waiters: Waiters::default(),
            steers: Steers::default(),
            children: Children::default(),
            spoke_at: None,
            cancelled_at: None,
            span,
        }
    }

    /// Where the run stands, as the law sees it.
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// What the law makes of `input`, without taking it.
    pub(super) fn would(&self, input: Input) -> Effect {
        step(self.state, input).1
    }

    /// Takes `input`: the one place where the run moves from state to state.
    pub(super) fn take(&mut self, input: Input) -> Effect {
        let (state, effect) = step(self.state, input);
        self.state = state;
        effect
    }

    /// Takes `input`, and says whether the law has it now.
    pub(super) fn apply(&mut self, input: Input) -> bool {
        self.take(input) == Effect::Record
    }

    /// Whether nothing runs of the run: it has ended, or it is paused.
    pub(super) fn rests(&self) -> bool {
        matches!(self.state, State::Paused | State::Ended(_))
    }

    /// Whether the run has ended and all of it is stored: the log will not grow.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.state, State::Ended(_)) && self.outbox.is_stored()
    }

    /// Takes out the tasks that wait for what is stored by now; all of them, when there will be no more.
    pub(super) fn woken(&mut self) -> Woken {
        let over = self.outbox.lost().is_some() || self.is_settled();
        let up_to = match over {
            true => u64::MAX,
            false => self.outbox.stored(),
        };
        self.waiters.up_to(up_to)
    }
}

/// The runs that a run has started.
#[derive(Default)]
pub(super) struct Children {
    /// Those that are in memory, and a few that no longer are.
    started: Vec<(RunId, Weak<RunLog>)>,
    /// How many may stand there before it is worth looking for those that are gone.
    room: usize,
    /// Those that had to be cancelled with it.
    cut: Vec<RunId>,
}

impl Children {
    pub(super) fn add(&mut self, child: &Arc<RunLog>) {
        if self.started.len() >= self.room {
            self.started.retain(|(_, child)| child.strong_count() > 0);
            self.room = 2 * self.started.len() + 8;
        }
        self.started.push((child.id, Arc::downgrade(child)));
    }

    /// Takes out those that have not ended: they are cancelled with their parent.
    pub(super) fn take(&mut self) -> Vec<Arc<RunLog>> {
        let started = std::mem::take(&mut self.started).into_iter();
        let left = started.filter_map(|(_, child)| child.upgrade());
        let left: Vec<_> = left.filter(|child| !child.status().is_ended()).collect();
        self.cut.extend(left.iter().map(|child| child.id));
        left
    }

    pub(super) fn cut(&self) -> &[RunId] {
        &self.cut
    }
}
