//! The judge: one log for each run, shared by the run's handle, its actor and the supervisor.
//!
//! Under one short lock it decides what happened and in which order, by the law of [`machine`](crate::machine). It has
//! two marks: what is *decided*, and what is *stored*. Readers see up to the second one. Carrying events from the first
//! mark to the second is [`flush`](super::flush)'s work.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{runtime::Handle, time::Instant};
use tracing::Span;

use super::{
    flush::Batch,
    poke::Poke,
    tally::Tally,
    waiters::{Waiters, Woken},
};
use crate::{
    cancel::{CancelReason, CancelRequest, Cut},
    clock::Clock,
    event::{CancelRequested, EventKind, ModelRequestCompleted, Started, StatusChange},
    id::{RunId, Timestamp},
    lock::locked,
    machine::{Effect, End, Input, State, step},
    model::ModelUsage,
    outcome::{ErrorReason, FinishReason},
    status::RunStatus,
    store::{AppendError, DynStore, RunHead, Tape},
};

/// A model that has been silent for this long counts as silent, and no longer as streaming.
const SILENT: Duration = Duration::from_secs(1);

/// What an event counts towards `max_log_bytes`, beside its words.
const EVENT_BYTES: u64 = 64;

/// Who keeps the runs of a runtime, as a log sees it. Called without the log's lock.
pub(crate) trait Keeper: Send + Sync {
    /// The run has ended: its slot is free.
    fn ended(&self, run: RunId);
    /// Nothing of the run is under way any more: its ending is stored, or the store is lost.
    fn settled(&self, run: RunId);
    /// The run's status changed, and that is stored.
    fn changed(&self, change: StatusChange);
}

/// What all logs of a runtime share.
pub(crate) struct House {
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
    pub(crate) house: Arc<House>,
    pub(super) keeper: Arc<dyn Keeper>,
    max_bytes: u64,
    inner: Mutex<Inner>,
}

pub(super) struct Inner {
    pub(super) state: State,
    pub(super) decided: u64,
    pub(super) stored: u64,
    /// An append is in flight.
    pub(super) flushing: bool,
    /// The store has not confirmed for a while, and is asked again.
    pub(super) stuck: bool,
    /// The store was given up, for this reason.
    pub(super) lost: Option<AppendError>,
    /// The actor waits for the store.
    pub(super) wants_room: bool,
    pub(super) waiters: Waiters,
    /// Status changes that are decided and not stored yet.
    pub(super) changes: Vec<StatusChange>,
    pub(super) tally: Tally,
    pub(super) cancel: Option<Cancel>,
    status: RunStatus,
    bytes: u64,
    request: (u32, u32),
    spoke_at: Option<Instant>,
    span: Span,
}

/// A cancel that was accepted.
#[derive(Clone)]
pub(super) struct Cancel {
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    pub(super) since: Instant,
    pub(super) reason: CancelReason,
    pub(super) by: Option<Arc<str>>,
    pub(super) cut: Cut,
}

/// How the log answers its actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Verdict {
    /// It is written down; go on.
    Go,
    /// It is written down; wait for room before the model is read further.
    Full,
    /// It is not: the run is to stop, or has.
    Stop,
}

/// How the log answers a cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Accepted { seq: u64 },
    AlreadyCancelling,
    AlreadyEnded(RunStatus),
}

/// How a run is to end, if the law lets it.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The model finished.
    Completed(FinishReason),
    /// Something failed for good.
    Failed(ErrorReason, String),
    /// A cancel was accepted, and everything that was at work has been dropped.
    Quiet,
}

impl Ending {
    /// The store was lost. Nobody is shown this ending: it will not be stored.
    pub(crate) fn store_lost(error: &AppendError) -> Ending {
        Ending::Failed(ErrorReason::Interrupted, error.to_string())
    }
}

impl RunLog {
    /// The log of a new run, with `Started` decided and not stored yet.
    pub(crate) fn start(
        id: RunId,
        started: Started,
        max_bytes: u64,
        house: Arc<House>,
        keeper: Arc<dyn Keeper>,
    ) -> Arc<RunLog> {
        let span = tracing::info_span!(
            "run",
            run_id = %id,
            agent = %started.agent,
            status = tracing::field::Empty,
        );
        let log = RunLog {
            id,
            agent: started.agent.clone(),
            session_id: started.session_id.clone(),
            poke: Poke::default(),
            tape: Arc::new(Tape::new(id, 0)),
            house,
            keeper,
            max_bytes,
            inner: Mutex::new(Inner::new(State::Queued, RunStatus::Pending, 0, span)),
        };
        let now = Instant::now();
        log.write(&mut log.lock(), now, EventKind::Started(Arc::new(started)));
        Arc::new(log)
    }

    /// The log of a run that is only in the store. One that has no ending there, and is not known here, is nobody's.
    pub(crate) fn stored_only(
        head: &RunHead,
        house: Arc<House>,
        keeper: Arc<dyn Keeper>,
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
            house,
            keeper,
            max_bytes: 0,
            inner: Mutex::new(inner),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        locked(&self.inner)
    }

    /// Gives the run a slot. `false`: it has ended before.
    pub(crate) fn admit(&self) -> bool {
        self.take(Input::Admitted) == Effect::Record
    }

    /// The model has answered.
    pub(crate) fn connected(&self) {
        if self.take(Input::Connected) == Effect::Record {
            self.lock().tally.connected();
        }
    }

    /// An input that leaves no event.
    fn take(&self, input: Input) -> Effect {
        let mut inner = self.lock();
        let (state, effect) = step(inner.state, input);
        inner.state = state;
        effect
    }

    /// The model is about to be asked, with so many bytes of messages.
    pub(crate) fn asks(self: &Arc<Self>, turn: u32, attempt: u32, bytes: u64) -> Verdict {
        let mut inner = self.lock();
        let (state, effect) = step(inner.state, Input::Asks);
        if effect != Effect::Record {
            return Verdict::Stop;
        }
        inner.state = state;
        inner.request = (turn, attempt);
        inner.tally.ask(bytes);
        self.write(
            &mut inner,
            Instant::now(),
            EventKind::ModelRequestStarted { turn, attempt },
        );
        self.go_on(inner)
    }

    /// The model said `text`, aloud or, with `reasoning`, to itself.
    pub(crate) fn spoke(
        self: &Arc<Self>,
        text: Arc<str>,
        reasoning: bool,
        now: Instant,
    ) -> Verdict {
        let mut inner = self.lock();
        let (state, effect) = step(inner.state, Input::Spoke);
        if effect != Effect::Record {
            return Verdict::Stop;
        }
        let bytes = inner
            .bytes
            .saturating_add(text.len() as u64)
            .saturating_add(EVENT_BYTES);
        if bytes > self.max_bytes {
            drop(inner);
            let limit = CancelRequest::new(CancelReason::Budget).by("max_log_bytes");
            self.cancel(&limit);
            return Verdict::Stop;
        }
        inner.state = state;
        inner.bytes = bytes;
        inner.spoke_at = Some(now);
        inner.tally.said(text.len() as u64);
        let kind = if reasoning {
            EventKind::ReasoningContent { text }
        } else {
            EventKind::Content { text }
        };
        self.write(&mut inner, now, kind);
        self.go_on(inner)
    }

    /// The provider gave a number of tokens.
    pub(crate) fn reported(&self, usage: ModelUsage) {
        self.lock().tally.reported(usage);
    }

    /// The request failed and is to be repeated after `pause`.
    pub(crate) fn broke(self: &Arc<Self>, fault: String, pause: Duration) -> Verdict {
        let mut inner = self.lock();
        let (state, effect) = step(inner.state, Input::Broke);
        if effect != Effect::Record {
            return Verdict::Stop;
        }
        inner.state = state;
        let usage = inner.tally.refused();
        let (turn, attempt) = inner.request;
        let completed = ModelRequestCompleted {
            turn,
            attempt,
            finish: FinishReason::Failed,
            usage,
            fault: Some(fault),
            retry_in_ms: Some(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
        };
        let kind = EventKind::ModelRequestCompleted(Arc::new(completed));
        self.write(&mut inner, Instant::now(), kind);
        self.go_on(inner)
    }

    /// Asks the run to stop. What is decided here holds, whoever is scheduled when. The actor is told at once; the
    /// event is left for the ending's append, which follows within the time it takes to drop what is at work.
    pub(crate) fn cancel(self: &Arc<Self>, request: &CancelRequest) -> Decision {
        let mut inner = self.lock();
        let now = Instant::now();
        let cut = inner.cut(now);
        let (state, effect) = step(inner.state, Input::Cancel);
        if effect == Effect::Refuse {
            return match inner.state.status() {
                RunStatus::Cancelling => Decision::AlreadyCancelling,
                status => Decision::AlreadyEnded(status),
            };
        }
        let seq = inner.decided + 1;
        inner.cancel = Some(Cancel {
            seq,
            at: self.house.clock.at(now),
            since: now,
            reason: request.reason.clone(),
            by: request.by.clone(),
            cut,
        });
        let cancel = Arc::new(CancelRequested {
            reason: request.reason.clone(),
            by: request.by.clone(),
        });
        self.write(&mut inner, now, EventKind::CancelRequested { cancel });
        match effect {
            Effect::End(end) => self.finish(inner, state, end, Ending::Quiet),
            Effect::Drop | Effect::Record | Effect::Refuse => {
                inner.state = state;
                drop(inner);
                self.poke.poke();
            }
        }
        Decision::Accepted { seq }
    }

    /// Ends the run. The first ending wins; `false`: there was one before, or the law does not have this one now.
    pub(crate) fn end(self: &Arc<Self>, ending: Ending) -> bool {
        let inner = self.lock();
        let input = match &ending {
            Ending::Completed(_) => Input::Finished,
            Ending::Failed(..) => Input::Failed,
            Ending::Quiet => Input::Quiet,
        };
        let (state, effect) = step(inner.state, input);
        let Effect::End(end) = effect else {
            return false;
        };
        self.finish(inner, state, end, ending);
        true
    }

    /// Closes the log: the one place where a run becomes an ended one.
    fn finish(
        self: &Arc<Self>,
        mut inner: MutexGuard<'_, Inner>,
        state: State,
        end: End,
        ending: Ending,
    ) {
        let now = Instant::now();
        inner.state = state;
        for kind in self.last_words(&mut inner, now, end, ending) {
            self.write(&mut inner, now, kind);
        }
        let span = std::mem::replace(&mut inner.span, Span::none());
        let status = inner.status;
        let lost = inner.lost.is_some();
        let batch = self.next_batch(&mut inner);
        drop(inner);

        span.record("status", status.as_str());
        drop(span);
        self.poke.poke();
        self.keeper.ended(self.id);
        if lost {
            self.keeper.settled(self.id);
        }
        self.carry(batch);
    }

    /// What stands at the end of the log.
    fn last_words(
        &self,
        inner: &mut Inner,
        now: Instant,
        end: End,
        ending: Ending,
    ) -> Vec<EventKind> {
        let words = self.tape.words();
        super::ending::compose(inner, words, now, end, ending)
    }

    /// Appends an event. Decided from here on.
    fn write(&self, inner: &mut Inner, now: Instant, kind: EventKind) {
        let at = self.house.clock.at(now);
        inner.decided += 1;
        if let Some(status) = kind.status()
            && (status != inner.status || inner.decided == 1)
        {
            inner.status = status;
            inner.changes.push(StatusChange {
                run_id: self.id,
                agent: self.agent.clone(),
                session_id: self.session_id.clone(),
                seq: inner.decided,
                at,
                status,
            });
        }
        self.tape.push(at, kind);
    }

    /// Sends what was written on its way to the store, and says how the actor is to go on.
    fn go_on(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>) -> Verdict {
        let batch = self.next_batch(&mut inner);
        drop(inner);
        if (batch.is_some() && self.carry(batch)) || self.has_room() {
            Verdict::Go
        } else {
            Verdict::Full
        }
    }

    /// The next append, unless there is nothing to store or one is in flight.
    pub(super) fn next_batch(self: &Arc<Self>, inner: &mut Inner) -> Option<Batch> {
        if inner.flushing || inner.lost.is_some() || inner.stored == inner.decided {
            return None;
        }
        inner.flushing = true;
        Some(Batch::new(self, inner.stored, inner.decided))
    }

    /// Wakes whoever waits for a position up to `seq`; everybody, when the log will not grow.
    pub(super) fn woken(inner: &mut Inner) -> Woken {
        let over = inner.lost.is_some()
            || (matches!(inner.state, State::Ended(_)) && inner.stored == inner.decided);
        let up_to = if over { u64::MAX } else { inner.stored };
        inner.waiters.up_to(up_to)
    }

    /// The run's status now, which may be ahead of its stored events.
    pub(crate) fn status(&self) -> RunStatus {
        self.lock().state.status()
    }

    /// Whether the actor has to stop: a cancel was accepted, the run has ended, or its store was lost.
    pub(crate) fn must_stop(&self) -> Option<Stop> {
        let inner = self.lock();
        if let Some(lost) = &inner.lost {
            return Some(Stop::StoreLost(lost.clone()));
        }
        match inner.state {
            State::Cancelling | State::Ended(_) => Some(Stop::Cancelled),
            State::Queued
            | State::Ready
            | State::Connecting
            | State::Waiting
            | State::Streaming
            | State::Resting => None,
        }
    }

    /// The span of the run; disabled once the run has ended.
    pub(crate) fn span(&self) -> Span {
        self.lock().span.clone()
    }
}

/// Why an actor has to stop.
#[derive(Debug)]
pub(crate) enum Stop {
    Cancelled,
    StoreLost(AppendError),
}

impl Inner {
    fn new(state: State, status: RunStatus, position: u64, span: Span) -> Inner {
        Inner {
            state,
            decided: position,
            stored: position,
            flushing: false,
            stuck: false,
            lost: None,
            wants_room: false,
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

    /// The request under way: which turn, which attempt.
    pub(super) fn request(&self) -> (u32, u32) {
        self.request
    }

    /// What a cancel at `now` would cut.
    fn cut(&self, now: Instant) -> Cut {
        match self.state {
            State::Queued => Cut::Pending,
            State::Ready | State::Cancelling | State::Ended(_) => Cut::Starting,
            State::Connecting => Cut::Connecting,
            State::Waiting => Cut::FirstToken,
            State::Streaming => match self.spoke_at {
                Some(at) if now.saturating_duration_since(at) >= SILENT => Cut::Silent,
                Some(_) | None => Cut::Streaming,
            },
            State::Resting => Cut::Retrying,
        }
    }
}
