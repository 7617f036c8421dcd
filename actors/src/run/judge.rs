//! The judge's decisions: what a run's actor, its handles and its guard may do to its log.
//!
//! Each is one step of the law, taken under the log's lock.

mod budget;
pub(crate) mod calls;
mod end;
mod notes;
mod pause;
mod steer;

use std::{
    sync::{Arc, MutexGuard, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

pub(crate) use self::end::CancelDecision;
pub use self::steer::Steering;
use self::{budget::MAX_LOG_BYTES, steer::TakenIn};
use super::{
    log::{Inner, RunLog},
    verdict::{Stop, Verdict},
};
use crate::{
    cancel::CancelReason,
    event::{EventKind, ModelRequestCompleted},
    machine::{Effect, Input, State},
    message::Message,
    outcome::FinishReason,
};

impl RunLog {
    /// Sends what was written on its way to the store, and says how the actor is to go on.
    pub(super) fn go_on(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>) -> Verdict {
        let batch = self.next_batch(&mut inner);
        drop(inner);
        if (batch.is_some() && self.carry(batch)) || self.room_or_wake() {
            Verdict::Go
        } else {
            Verdict::Full
        }
    }

    /// Whether the actor has to stop: a cancel was accepted, the run has ended, or its store was lost.
    pub(crate) fn must_stop(&self) -> Option<Stop> {
        let inner = self.lock();
        if let Some(lost) = inner.outbox.lost()
            && !matches!(inner.state(), State::Ended(_))
        {
            return Some(Stop::StoreLost(lost.clone()));
        }
        match inner.state() {
            State::Ended(_) => Some(Stop::Ended),
            State::Cancelling => {
                let cancel = inner.facts.cancel();
                let reason = cancel.map(|cancel| cancel.reason.clone());
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
        self.lock().take(Input::Admitted);
    }

    /// The model has answered.
    pub(crate) fn connected(&self) {
        let mut inner = self.lock();
        if inner.apply(Input::Connected) {
            inner.facts.connected();
        }
    }

    /// The model is about to be asked, with so many bytes of messages, and with what was said from outside: that is taken
    /// in here, in the same step, so that whoever said it is told no more than what is so. Answers it.
    pub(super) fn asks(
        self: &Arc<Self>,
        turn: u32,
        attempt: u32,
        bytes: u64,
    ) -> (Verdict, Vec<Message>) {
        let mut inner = self.lock();
        if inner.would(Input::Asks) != Effect::Record {
            return (Verdict::Stop, Vec::new());
        }
        if !self.has_turn(turn) {
            return (self.over_budget(inner, "max_turns"), Vec::new());
        }
        if !self.fits(&inner, 0) {
            return (self.over_budget(inner, MAX_LOG_BYTES), Vec::new());
        }
        // A request that is repeated says what it said before.
        let first = attempt == 1;
        let steered = if first { inner.steers.bytes() } else { 0 };
        let bytes = bytes.saturating_add(steered);
        if let Some(limit) = self.limit_over(&inner.facts.tally().total_if_asked(bytes)) {
            return (self.over_budget(inner, limit), Vec::new());
        }
        inner.take(Input::Asks);
        let now = Instant::now();
        let taken = first.then(|| self.take_in(&mut inner, now));
        let started = EventKind::ModelRequestStarted {
            turn,
            attempt,
            input_bytes: Some(bytes),
        };
        self.write(&mut inner, now, started);
        let verdict = self.go_on(inner);
        (verdict, taken.map_or_else(Vec::new, TakenIn::tell))
    }

    /// The model said `text`, aloud or, with `reasoning`, to itself.
    pub(crate) fn spoke(
        self: &Arc<Self>,
        text: Arc<str>,
        reasoning: bool,
        now: Instant,
    ) -> Verdict {
        let mut inner = self.lock();
        if inner.would(Input::Spoke) != Effect::Record {
            return Verdict::Stop;
        }
        if !self.fits(&inner, text.len()) {
            return self.over_budget(inner, MAX_LOG_BYTES);
        }
        inner.take(Input::Spoke);
        inner.spoke_at = Some(now);
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
        if !inner.apply(Input::Spoke) {
            return Verdict::Stop;
        }
        inner.spoke_at = Some(now);
        inner.facts.wrote(bytes);
        match self.spent(&inner) {
            Some(limit) => self.over_budget(inner, limit),
            None => Verdict::Go,
        }
    }

    /// The request failed and is to be repeated after `pause`.
    pub(crate) fn broke(self: &Arc<Self>, fault: String, pause: Duration) -> Verdict {
        let mut inner = self.lock();
        if inner.would(Input::Broke) != Effect::Record {
            return Verdict::Stop;
        }
        if !self.fits(&inner, fault.len()) {
            return self.over_budget(inner, MAX_LOG_BYTES);
        }
        inner.take(Input::Broke);
        let (turn, attempt) = inner.facts.request();
        let completed = ModelRequestCompleted {
            turn,
            attempt,
            finish: FinishReason::Failed,
            usage: inner.facts.tally().broken(),
            calls: Vec::new(),
            provider: None,
            fault: Some(fault),
            retry_in_ms: Some(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
        };
        let kind = EventKind::ModelRequestCompleted(Arc::new(completed));
        self.write(&mut inner, Instant::now(), kind);
        self.env.counters.model_retries.fetch_add(1, Relaxed);
        self.go_on(inner)
    }
}
