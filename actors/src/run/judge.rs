//! The judge's decisions: what a run's actor, its handles and its guard may do to its log.
//!
//! Each is one step of the law, taken under the log's lock.

use std::{
    sync::{Arc, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;
use tracing::Span;

use super::{
    ending::{self, Ending},
    log::{Cancel, Inner, RunLog},
};
use crate::{
    cancel::{CancelReason, CancelRequest, Cut},
    event::{CancelRequested, EventKind, ModelRequestCompleted},
    machine::{Effect, End, Input, State, step},
    model::ModelUsage,
    outcome::FinishReason,
    status::RunStatus,
    store::AppendError,
};

/// A model that has been silent for this long counts as silent, and no longer as streaming.
const SILENT: Duration = Duration::from_secs(1);

/// What an event counts towards `max_log_bytes`, beside its words.
pub(super) const EVENT_BYTES: u64 = 64;

/// The name of the limit on a log's size, as a cancel for it says.
pub(super) const MAX_LOG_BYTES: &str = "max_log_bytes";

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

/// Why an actor has to stop.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A cancel was accepted, for this reason.
    Cancelled(CancelReason),
    /// The run has ended without its actor.
    Ended,
    StoreLost(AppendError),
}

impl RunLog {
    /// Sends what was written on its way to the store, and says how the actor is to go on.
    pub(super) fn go_on(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>) -> Verdict {
        let batch = self.next_batch(&mut inner);
        drop(inner);
        if (batch.is_some() && self.carry(batch)) || self.has_room() {
            Verdict::Go
        } else {
            Verdict::Full
        }
    }

    /// Whether the actor has to stop: a cancel was accepted, the run has ended, or its store was lost.
    pub(crate) fn must_stop(&self) -> Option<Stop> {
        let inner = self.lock();
        if let Some(lost) = &inner.lost
            && !matches!(inner.state, State::Ended(_))
        {
            return Some(Stop::StoreLost(lost.clone()));
        }
        match inner.state {
            State::Ended(_) => Some(Stop::Ended),
            State::Cancelling => {
                let reason = inner.cancel.as_ref().map(|cancel| cancel.reason.clone());
                Some(Stop::Cancelled(reason.unwrap_or(CancelReason::Requested)))
            }
            State::Queued
            | State::Ready
            | State::Connecting
            | State::Waiting
            | State::Streaming
            | State::Resting
            | State::Calling
            | State::Paused => None,
        }
    }

    /// Gives the run a slot, unless it has ended before.
    pub(crate) fn admit(&self) {
        self.take(Input::Admitted);
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
        if self.limits().max_turns.is_some_and(|most| turn > most) {
            return self.over_budget(inner, "max_turns");
        }
        if !self.fits(&mut inner, 0) {
            return self.over_budget(inner, MAX_LOG_BYTES);
        }
        inner.tally.ask(bytes);
        if let Some(limit) = self.spent(&inner) {
            // What was not asked is not counted.
            inner.tally.broken();
            return self.over_budget(inner, limit);
        }
        inner.state = state;
        inner.request = (turn, attempt);
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
        if !self.fits(&mut inner, text.len()) {
            return self.over_budget(inner, MAX_LOG_BYTES);
        }
        inner.state = state;
        inner.spoke_at = Some(now);
        inner.tally.said(text.len() as u64);
        let kind = if reasoning {
            EventKind::ReasoningContent { text }
        } else {
            EventKind::Content { text }
        };
        self.write(&mut inner, now, kind);
        if let Some(limit) = self.spent(&inner) {
            return self.over_budget(inner, limit);
        }
        self.go_on(inner)
    }

    /// The model said so many bytes of a call of a tool: no event, but an answer that must not be repeated, and tokens.
    pub(crate) fn spoke_call(self: &Arc<Self>, bytes: u64, now: Instant) -> Verdict {
        let mut inner = self.lock();
        let (state, effect) = step(inner.state, Input::Spoke);
        if effect != Effect::Record {
            return Verdict::Stop;
        }
        inner.state = state;
        inner.spoke_at = Some(now);
        inner.tally.said(bytes);
        match self.spent(&inner) {
            Some(limit) => self.over_budget(inner, limit),
            None => Verdict::Go,
        }
    }

    /// The limit on tokens or cost that the run is over, by what is counted so far.
    fn spent(&self, inner: &Inner) -> Option<&'static str> {
        let limits = self.limits();
        if limits.max_tokens.is_none() && limits.max_cost.is_none() {
            return None;
        }
        let usage = inner.tally.total();
        if limits.max_tokens.is_some_and(|most| usage.tokens() > most) {
            return Some("max_tokens");
        }
        let cost = limits.prices?.cost(&usage);
        limits
            .max_cost
            .filter(|most| cost > *most)
            .map(|_| "max_cost")
    }

    /// Counts an event with so many bytes of words, if it still fits into the log.
    pub(super) fn fits(&self, inner: &mut Inner, words: usize) -> bool {
        let bytes = inner
            .bytes
            .saturating_add(words as u64)
            .saturating_add(EVENT_BYTES);
        let fits = bytes <= self.limits().max_bytes;
        if fits {
            inner.bytes = bytes;
        }
        fits
    }

    /// Cancels the run for a limit that it has reached.
    pub(super) fn over_budget(
        self: &Arc<Self>,
        inner: MutexGuard<'_, Inner>,
        limit: &'static str,
    ) -> Verdict {
        drop(inner);
        self.cancel(&CancelRequest::new(CancelReason::Budget).by(limit));
        Verdict::Stop
    }

    /// The provider gave a number of tokens.
    pub(crate) fn reported(self: &Arc<Self>, usage: ModelUsage) -> Verdict {
        let mut inner = self.lock();
        inner.tally.reported(usage);
        match self.spent(&inner) {
            Some(limit) => self.over_budget(inner, limit),
            None => Verdict::Go,
        }
    }

    /// The request failed and is to be repeated after `pause`.
    pub(crate) fn broke(self: &Arc<Self>, fault: String, pause: Duration) -> Verdict {
        let mut inner = self.lock();
        let (state, effect) = step(inner.state, Input::Broke);
        if effect != Effect::Record {
            return Verdict::Stop;
        }
        if !self.fits(&mut inner, fault.len()) {
            return self.over_budget(inner, MAX_LOG_BYTES);
        }
        inner.state = state;
        let usage = inner.tally.broken();
        let (turn, attempt) = inner.request;
        let completed = ModelRequestCompleted {
            turn,
            attempt,
            finish: FinishReason::Failed,
            usage,
            calls: Vec::new(),
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
        self.cancel_as(self.lock(), request)
    }

    /// The same, of a run that is paused. One that is not stays as it is.
    pub(crate) fn cancel_paused(self: &Arc<Self>, request: &CancelRequest) {
        let inner = self.lock();
        if inner.state == State::Paused {
            self.cancel_as(inner, request);
        }
    }

    fn cancel_as(
        self: &Arc<Self>,
        mut inner: MutexGuard<'_, Inner>,
        request: &CancelRequest,
    ) -> Decision {
        let now = Instant::now();
        let cut = inner.cut(now);
        let (state, effect) = step(inner.state, Input::Cancel);
        if effect == Effect::Refuse {
            return match inner.status {
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
                let steers = inner.steers.take();
                let children = inner.orphans();
                drop(inner);
                steers.too_late(RunStatus::Cancelling);
                // Tools that wait for children are at work until their children end: the poke comes first.
                self.poke.poke();
                self.cancel_children(children);
            }
        }
        Decision::Accepted { seq }
    }

    /// Takes a run up as a child. `false`: this one is to stop, or has.
    pub(crate) fn adopt(&self, child: &Arc<RunLog>) -> bool {
        let mut inner = self.lock();
        if matches!(inner.state, State::Cancelling | State::Ended(_)) || inner.lost.is_some() {
            return false;
        }
        inner.children.retain(|(_, child)| child.strong_count() > 0);
        inner.children.push((child.id, Arc::downgrade(child)));
        true
    }

    fn cancel_children(&self, children: Vec<Arc<RunLog>>) {
        let request = CancelRequest::new(CancelReason::Parent(self.id));
        for child in children {
            child.cancel(&request);
        }
    }

    /// Ends the run. The first ending wins; `false`: there was one before, or the law does not have this one now.
    pub(crate) fn end(self: &Arc<Self>, ending: Ending) -> bool {
        let inner = self.lock();
        let input = match &ending {
            Ending::Completed(_) => Input::Finished,
            Ending::Failed(..) | Ending::Crashed => Input::Failed,
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
        let mut error = None;
        let words = self.tape.words();
        let (steers, children) = (inner.steers.take(), inner.orphans());
        let prices = self.limits().prices.as_ref();
        for kind in ending::compose(&mut inner, words, now, end, ending, prices) {
            if let EventKind::Error { error: failure } = &kind {
                error = Some(failure.clone());
            }
            self.write(&mut inner, now, kind);
        }
        let span = std::mem::replace(&mut inner.span, Span::none());
        let status = inner.status;
        let lost = inner.lost.is_some();
        let batch = self.next_batch(&mut inner);
        drop(inner);

        span.record("status", status.as_str());
        if let Some(error) = error {
            span.in_scope(|| tracing::error!(reason = ?error.reason, %error, "the run failed"));
        }
        drop(span);
        steers.too_late(status);
        self.poke.poke();
        self.cancel_children(children);
        self.keeper.ended(self.id);
        if lost {
            self.keeper.settled(self.id);
        }
        self.carry(batch);
    }
}

impl Inner {
    /// Takes `input`, if the law has it now.
    pub(super) fn lawful(&mut self, input: Input) -> bool {
        let (state, effect) = step(self.state, input);
        self.state = state;
        effect == Effect::Record
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
            State::Calling => Cut::Tool,
            State::Paused => Cut::Paused,
        }
    }

    /// Takes out the children that have not ended: they are cancelled with their parent.
    fn orphans(&mut self) -> Vec<Arc<RunLog>> {
        let children = std::mem::take(&mut self.children);
        let left: Vec<_> = children
            .into_iter()
            .filter_map(|(_, child)| child.upgrade())
            .filter(|child| !child.status().is_ended())
            .collect();
        self.cut_children.extend(left.iter().map(|child| child.id));
        left
    }
}
