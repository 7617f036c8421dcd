//! The judge's decisions: what a run's actor, its handles and its guard may do to its log.
//!
//! Each is one step of the law, taken under the log's lock.

mod budget;
pub(crate) mod calls;
mod end;
mod notes;
mod steer;

use std::{
    sync::{Arc, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;

pub(crate) use self::end::CancelDecision;
pub use self::steer::{SteerOutcome, Steering};
pub(super) use self::{budget::EVENT_BYTES, steer::Steers};
use self::{budget::MAX_LOG_BYTES, steer::TakenIn};
use super::log::{Inner, RunLog};
use crate::{
    cancel::CancelReason,
    event::{EventKind, ModelRequestCompleted},
    machine::{Effect, Input, State, step},
    message::Message,
    outcome::FinishReason,
    store::AppendError,
};

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
        if (batch.is_some() && self.carry(batch)) || self.room_or_wake() {
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

    /// The model is about to be asked, with so many bytes of messages, and with what was said from outside: that is taken
    /// in here, in the same step, so that whoever said it is told no more than what is so. Answers it.
    pub(super) fn asks(
        self: &Arc<Self>,
        turn: u32,
        attempt: u32,
        bytes: u64,
    ) -> (Verdict, Vec<Message>) {
        let mut inner = self.lock();
        let (state, effect) = step(inner.state, Input::Asks);
        if effect != Effect::Record {
            return (Verdict::Stop, Vec::new());
        }
        if !self.has_turn(turn) {
            return (self.over_budget(inner, "max_turns"), Vec::new());
        }
        if !self.charge(&mut inner, 0) {
            return (self.over_budget(inner, MAX_LOG_BYTES), Vec::new());
        }
        // A request that is repeated says what it said before.
        let first = attempt == 1;
        let steered = if first { inner.steers.bytes() } else { 0 };
        inner.tally.ask(bytes.saturating_add(steered));
        if let Some(limit) = self.spent(&inner) {
            // What was not asked is not counted.
            inner.tally.broken();
            return (self.over_budget(inner, limit), Vec::new());
        }
        inner.state = state;
        inner.request = (turn, attempt);
        let now = Instant::now();
        let taken = first.then(|| self.take_in(&mut inner, now));
        let started = EventKind::ModelRequestStarted {
            turn,
            attempt,
            input_bytes: Some(bytes.saturating_add(steered)),
        };
        self.write(&mut inner, now, started);
        let verdict = self.go_on(inner);
        (verdict, taken.map_or_else(Vec::new, TakenIn::answer))
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
        if !self.charge(&mut inner, text.len()) {
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

    /// The request failed and is to be repeated after `pause`.
    pub(crate) fn broke(self: &Arc<Self>, fault: String, pause: Duration) -> Verdict {
        let mut inner = self.lock();
        let (state, effect) = step(inner.state, Input::Broke);
        if effect != Effect::Record {
            return Verdict::Stop;
        }
        if !self.charge(&mut inner, fault.len()) {
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
            provider: None,
            fault: Some(fault),
            retry_in_ms: Some(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
        };
        let kind = EventKind::ModelRequestCompleted(Arc::new(completed));
        self.write(&mut inner, Instant::now(), kind);
        self.go_on(inner)
    }
}

impl Inner {
    /// Takes `input`, if the law has it now.
    pub(super) fn apply(&mut self, input: Input) -> bool {
        let (state, effect) = step(self.state, input);
        self.state = state;
        effect == Effect::Record
    }
}
