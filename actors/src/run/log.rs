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
    judge::Steers,
    open_calls::OpenCalls,
    poke::Poke,
    tally::Tally,
    waiters::{Waiters, Woken},
};
use crate::{
    agent::Agent,
    cancel::{Activity, CancelReason},
    clock::Clock,
    event::{EventKind, Started, StatusChange},
    id::{RunId, Timestamp},
    lock::locked,
    machine::{End, State},
    status::RunStatus,
    store::{AppendError, DynStore, RunHead, Tape},
    usage::{Money, Prices},
};

/// Who keeps the runs of a runtime, as a log sees it. Called without the log's lock, with the log itself: its id may be
/// that of a newer run by then.
pub(crate) trait RunHost: Send + Sync {
    /// The run's ending is decided: its slot is free.
    fn ended(&self, run: &RunLog);
    /// The run's pause is decided: its slot is free.
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
    /// Not set while nobody knows the run's agent, as after a crash.
    pub(super) limits: OnceLock<LogLimits>,
    /// Names this log among all that ever wrote to the run: part of its batch ids.
    pub(super) nonce: u64,
    pub(super) inner: Mutex<Inner>,
}

/// What a log holds its run to.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogLimits {
    pub(super) max_bytes: u64,
    pub(super) max_turns: Option<u32>,
    pub(super) max_tool_calls: Option<u32>,
    pub(super) max_tokens: Option<u64>,
    pub(super) max_cost: Option<Money>,
    pub(super) prices: Option<Prices>,
    pub(super) pause_expiry: Option<Duration>,
}

impl LogLimits {
    /// Those of a run that nobody works for.
    const NONE: LogLimits = LogLimits {
        max_bytes: u64::MAX,
        max_turns: None,
        max_tool_calls: None,
        max_tokens: None,
        max_cost: None,
        prices: None,
        pause_expiry: None,
    };

    pub(super) fn of(agent: &Agent) -> LogLimits {
        let limits = agent.limits();
        LogLimits {
            max_bytes: limits.max_log_bytes,
            max_turns: limits.max_turns,
            max_tool_calls: limits.max_tool_calls,
            max_tokens: limits.max_tokens,
            max_cost: limits.max_cost,
            prices: agent.prices().copied(),
            pause_expiry: limits.pause_expiry,
        }
    }
}

pub(super) struct Inner {
    pub(super) state: State,
    /// The generation of ownership that the store is told, and whether the next append takes the run over.
    pub(super) epoch: u64,
    pub(super) acquires: bool,
    /// The append in flight does.
    pub(super) acquiring: bool,
    pub(super) decided: u64,
    /// The time of the last event.
    pub(super) last_at: Timestamp,
    pub(super) stored: u64,
    /// An append is in flight.
    pub(super) flushing: bool,
    /// The store has not confirmed for a while, and is asked again.
    pub(super) stuck: bool,
    /// The store was given up, for this reason.
    pub(super) lost: Option<AppendError>,
    /// The actor waits for the store.
    pub(super) wants_room: bool,
    /// Calls of tools without a result.
    pub(super) open: OpenCalls,
    /// Words from outside that the model has not been told yet.
    pub(super) steers: Steers,
    /// Runs that this one has started, as far as they are still in memory.
    pub(super) children: Vec<(RunId, Weak<RunLog>)>,
    /// Those that had to be cancelled with it.
    pub(super) cut_children: Vec<RunId>,
    /// How long the run was at work before it was last paused.
    pub(super) worked: Duration,
    pub(super) waiters: Waiters,
    /// Status changes that are decided and not stored yet.
    pub(super) changes: Vec<StatusChange>,
    pub(super) tally: Tally,
    pub(super) cancel: Option<Cancel>,
    pub(super) status: RunStatus,
    pub(super) bytes: u64,
    /// The request under way: which turn, which attempt.
    pub(super) request: (u32, u32),
    pub(super) spoke_at: Option<Instant>,
    pub(super) span: Span,
}

/// A cancel that was accepted.
pub(super) struct Cancel {
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    pub(super) since: Instant,
    pub(super) reason: CancelReason,
    pub(super) by: Option<Arc<str>>,
    pub(super) cut: Activity,
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
        let log = RunLog {
            id,
            agent: started.agent.clone(),
            session_id: started.session_id.clone(),
            poke: Poke::default(),
            tape: Arc::new(Tape::new(id, 0)),
            env,
            host,
            limits: LogLimits::of(agent).into(),
            nonce: nonce(),
            inner: Mutex::new(Inner::new(State::Queued, RunStatus::Pending, 0, span)),
        };
        Arc::new(log)
    }

    /// The run is accepted, at `at` or later. Decided and not stored yet.
    pub(crate) fn accept(&self, started: Started, at: Timestamp) {
        let mut inner = self.lock();
        inner.last_at = at;
        let kind = EventKind::Started(Arc::new(started));
        self.write(&mut inner, Instant::now(), kind);
    }

    /// The log of a run that is only in the store. One that has no ending there, and is not known here, is nobody's.
    pub(crate) fn stored_only(
        head: &RunHead,
        env: Arc<RuntimeEnv>,
        host: Arc<dyn RunHost>,
    ) -> Arc<RunLog> {
        let (state, lost) = match head.status {
            RunStatus::Completed => (State::Ended(End::Completed), None),
            RunStatus::Cancelled => (State::Ended(End::Cancelled), None),
            RunStatus::Error => (State::Ended(End::Error), None),
            RunStatus::Pending | RunStatus::Running | RunStatus::Cancelling | RunStatus::Paused => {
                let unowned = AppendError::Unavailable("nobody is at work for the run".into());
                (State::Ended(End::Error), Some(unowned))
            }
        };
        let mut inner = Inner::new(state, head.status, head.last, Span::none());
        inner.lost = lost;
        Arc::new(RunLog {
            id: head.run_id,
            agent: head.agent.clone(),
            session_id: head.session_id.clone(),
            poke: Poke::default(),
            tape: Arc::new(Tape::new(head.run_id, head.last)),
            env,
            host,
            limits: OnceLock::new(),
            nonce: nonce(),
            inner: Mutex::new(inner),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        locked(&self.inner)
    }

    /// What the log holds its run to.
    pub(super) fn limits(&self) -> &LogLimits {
        static NONE: LogLimits = LogLimits::NONE;
        self.limits.get().unwrap_or(&NONE)
    }

    /// Holds the run to the limits of `agent`, unless it is held to some already.
    pub(crate) fn limit(&self, agent: &Agent) {
        self.limits.get_or_init(|| LogLimits::of(agent));
    }

    /// Appends an event. Decided from here on.
    pub(super) fn write(&self, inner: &mut Inner, now: Instant, kind: EventKind) {
        // The times of a run never run backwards, whatever the clock has shown another process.
        let at = self.env.clock.at(now).max(inner.last_at);
        inner.last_at = at;
        inner.decided += 1;
        let status = kind.status();
        self.tape.push(at, kind);
        if let Some(status) = status
            && (status != inner.status || inner.decided == 1)
        {
            inner.status = status;
            if let Some(started) = self.started() {
                let change = StatusChange::new(self.id, &started, inner.decided, at, status);
                inner.changes.push(change);
            }
        }
    }

    /// The run's status now, which may be ahead of its stored events.
    pub(crate) fn status(&self) -> RunStatus {
        self.lock().status
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

    /// How long the run had been at work before it was last paused.
    pub(super) fn worked(&self) -> Duration {
        self.lock().worked
    }

    /// The span of the run; disabled once the run has ended.
    pub(crate) fn span(&self) -> Span {
        self.lock().span.clone()
    }
}

/// The span of a run at work.
pub(super) fn run_span(id: RunId, agent: &str) -> Span {
    tracing::info_span!("run", run_id = %id, agent, status = tracing::field::Empty)
}

/// A number that nobody else has: the random half of a fresh id.
pub(super) fn nonce() -> u64 {
    let [_, _, _, _, _, _, _, _, half @ ..] = *RunId::new().as_bytes();
    u64::from_be_bytes(half)
}

impl Inner {
    /// Whether nobody works for the run, and that is stored: it waits for a person.
    pub(super) fn is_paused_and_stored(&self) -> bool {
        self.state == State::Paused && self.stored == self.decided
    }

    /// Whether the run has ended and all of it is stored: the log will not grow.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.state, State::Ended(_)) && self.stored == self.decided
    }

    /// Takes out whoever waits for what is stored by now; everybody, when there will be no more.
    pub(super) fn woken(&mut self) -> Woken {
        let over = self.lost.is_some() || self.is_settled();
        let up_to = if over { u64::MAX } else { self.stored };
        self.waiters.up_to(up_to)
    }

    pub(super) fn new(state: State, status: RunStatus, position: u64, span: Span) -> Inner {
        Inner {
            state,
            epoch: 1,
            acquires: false,
            acquiring: false,
            decided: position,
            last_at: Timestamp::default(),
            stored: position,
            flushing: false,
            stuck: false,
            lost: None,
            wants_room: false,
            open: OpenCalls::default(),
            steers: Steers::default(),
            children: Vec::new(),
            cut_children: Vec::new(),
            worked: Duration::ZERO,
            waiters: Waiters::default(),
            changes: Vec::new(),
            tally: Tally::default(),
            cancel: None,
            status,
            bytes: 0,
            request: (0, 0),
            spoke_at: None,
            span,
        }
    }
}
