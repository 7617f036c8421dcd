//! Messages for a run that is running.

use std::{
    fmt,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt, future::BoxFuture};
use tokio::{sync::oneshot::Receiver, time::Instant};

use crate::{
    event::EventKind,
    machine::State,
    message::Message,
    run::{
        Run,
        log::{Inner, RunLog},
        steers::{Steer, SteerOutcome},
    },
};

impl Run {
    /// Says something to the run while it is at work. The model is told at the next safe point: together with the results
    /// of the tools that are at work, or, where the run would have ended, in a turn more. It is too late where a limit
    /// does not allow that turn: the answer is then the last one, and whole.
    ///
    /// The words are taken in this call; the future that is returned waits until the model is asked with them, and that
    /// is stored.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take the message back.
    pub fn steer(&self, words: &str) -> Steering {
        let log = match self.log() {
            Ok(log) => log.clone(),
            Err(run) => {
                let status = run.head.status;
                return Steering::refused_with(SteerOutcome::TooLate { status });
            }
        };
        let taken = log.steer(Message::user(words));
        let refused = taken.as_ref().err().copied();
        let too_late = |log: &RunLog| SteerOutcome::TooLate {
            status: log.status(),
        };
        let answer = async move {
            match taken {
                Err(refused) => refused,
                Ok(answer) => match answer.await {
                    Ok(SteerOutcome::Applied { seq }) if log.wait_stored(seq).await.is_err() => {
                        too_late(&log)
                    }
                    Ok(outcome) => outcome,
                    Err(_) => too_late(&log),
                },
            }
        };
        Steering {
            refused,
            answer: answer.boxed(),
        }
    }
}

/// Words that were given to a run. Awaiting it tells whether the model was asked with them.
///
/// It may be dropped: the call that returned it has already taken the words, or refused them.
pub struct Steering {
    refused: Option<SteerOutcome>,
    answer: BoxFuture<'static, SteerOutcome>,
}

impl Steering {
    fn refused_with(outcome: SteerOutcome) -> Steering {
        Steering {
            refused: Some(outcome),
            answer: ready(outcome).boxed(),
        }
    }

    /// Why the call refused the message, if it did.
    pub fn refused(&self) -> Option<SteerOutcome> {
        self.refused
    }
}

impl Future for Steering {
    type Output = SteerOutcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<SteerOutcome> {
        self.answer.poll_unpin(cx)
    }
}

impl fmt::Debug for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Steering");
        f.field("refused", &self.refused).finish_non_exhaustive()
    }
}

impl RunLog {
    fn steer(&self, message: Message) -> Result<Receiver<SteerOutcome>, SteerOutcome> {
        let mut inner = self.lock();
        let takes_more = match inner.state() {
            State::Queued
            | State::Ready
            | State::Connecting
            | State::Waiting
            | State::Streaming
            | State::Resting
            | State::Calling => inner.outbox.lost().is_none(),
            State::Paused | State::Cancelling | State::Ended(_) => false,
        };
        if !takes_more {
            let status = inner.facts.status();
            return Err(SteerOutcome::TooLate { status });
        }
        if inner.steers.is_full() || !self.fits(&inner, message.text().len()) {
            return Err(SteerOutcome::Full);
        }
        Ok(inner.steers.push(message))
    }

    /// Whether the model is to be asked in this turn for no other reason than that a message waits. Where there is no
    /// such turn an answer is whole as it is.
    pub(in crate::run) fn is_steered(&self, turn: u32) -> bool {
        self.has_turn(turn) && !self.lock().steers.is_empty()
    }

    /// Writes down the messages that wait: the model is told.
    pub(in crate::run) fn take_in(&self, inner: &mut Inner, now: Instant) -> TakenIn {
        let mut taken = Vec::new();
        for steer in inner.steers.take().into_messages() {
            let message = steer.message.clone();
            self.write(inner, now, EventKind::Steered { message });
            taken.push((steer, inner.outbox.decided()));
        }
        TakenIn(taken)
    }
}

/// Messages that were written down, each at its position. Their senders are to be told, outside the log's lock.
#[must_use]
pub(in crate::run) struct TakenIn(Vec<(Steer, u64)>);

impl TakenIn {
    /// Notifies the senders, and returns the messages.
    pub(in crate::run) fn tell(self) -> Vec<Message> {
        let told = |(steer, seq): (Steer, u64)| {
            let message = steer.tell(SteerOutcome::Applied { seq });
            Arc::unwrap_or_clone(message)
        };
        self.0.into_iter().map(told).collect()
    }
}
