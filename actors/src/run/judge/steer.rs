//! Words for a run that is at work.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    event::EventKind,
    machine::State,
    message::Message,
    run::{
        Run,
        log::{Inner, RunLog},
    },
    status::RunStatus,
};

/// How many words may wait for their place at a time.
const MOST_WAITING: usize = 64;

/// The answer to [`Run::steer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum SteerOutcome {
    /// The model was told, at this position of the log.
    Applied {
        /// The position of the `Steered` event.
        seq: u64,
    },
    /// The run has no place for it any more: it had ended, was being cancelled, or is paused.
    TooLate {
        /// Where the run stood.
        status: RunStatus,
    },
    /// Too many such words wait already.
    Full,
}

/// What was said to a run and not passed on yet.
#[derive(Debug, Default)]
pub(in crate::run) struct Steers(VecDeque<Steer>);

#[derive(Debug)]
struct Steer {
    message: Arc<Message>,
    answer: oneshot::Sender<SteerOutcome>,
}

impl Steers {
    pub(in crate::run) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes of words there are.
    pub(in crate::run) fn bytes(&self) -> u64 {
        self.0.iter().map(|steer| steer.message.bytes()).sum()
    }

    /// Takes out all of them. Answered outside the log's lock, since an answer wakes whoever asked.
    pub(in crate::run) fn take(&mut self) -> Steers {
        std::mem::take(self)
    }

    /// Answers that the run has no place for them any more.
    pub(in crate::run) fn too_late(self, status: RunStatus) {
        for steer in self.0 {
            // Whoever asked may not care for the answer.
            let _ = steer.answer.send(SteerOutcome::TooLate { status });
        }
    }
}

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
    /// Dropping the future does not take the words back.
    pub fn steer(&self, words: &str) -> Steering {
        let taken = self.log.steer(Message::user(words));
        let refused = taken.as_ref().err().copied();
        let log = self.log.clone();
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
    /// Why the words were refused in the call, if they were.
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
    fn steer(&self, message: Message) -> Result<oneshot::Receiver<SteerOutcome>, SteerOutcome> {
        let mut inner = self.lock();
        match inner.state {
            State::Queued
            | State::Ready
            | State::Connecting
            | State::Waiting
            | State::Streaming
            | State::Resting
            | State::Calling
                if inner.lost.is_none() => {}
            State::Queued
            | State::Ready
            | State::Connecting
            | State::Waiting
            | State::Streaming
            | State::Resting
            | State::Calling
            | State::Paused
            | State::Cancelling
            | State::Ended(_) => {
                return Err(SteerOutcome::TooLate {
                    status: inner.status,
                });
            }
        }
        let room = inner.steers.0.len() < MOST_WAITING;
        if !room || !self.charge(&mut inner, message.text().len()) {
            return Err(SteerOutcome::Full);
        }
        let (answer, answered) = oneshot::channel();
        inner.steers.0.push_back(Steer {
            message: Arc::new(message),
            answer,
        });
        Ok(answered)
    }

    /// Whether the model is to be asked in this turn for no other reason than that somebody has said something. Where
    /// there is no such turn an answer is whole as it is.
    pub(in crate::run) fn is_steered(&self, turn: u32) -> bool {
        self.has_turn(turn) && !self.lock().steers.is_empty()
    }

    /// Writes down what was said from outside: the model is told.
    pub(in crate::run) fn take_in(&self, inner: &mut Inner, now: Instant) -> TakenIn {
        let mut taken = Vec::new();
        for Steer { message, answer } in inner.steers.take().0 {
            let kind = EventKind::Steered {
                message: message.clone(),
            };
            self.write(inner, now, kind);
            taken.push((message, answer, inner.decided));
        }
        TakenIn(taken)
    }
}

/// Words that were taken in, and who is to be told at which position.
pub(in crate::run) struct TakenIn(Vec<(Arc<Message>, oneshot::Sender<SteerOutcome>, u64)>);

impl TakenIn {
    /// Tells whoever said them, outside the log's lock, and answers the words.
    pub(in crate::run) fn answer(self) -> Vec<Message> {
        let told = |(message, answer, seq): (Arc<Message>, oneshot::Sender<SteerOutcome>, u64)| {
            // Whoever asked may not care for the answer.
            let _ = answer.send(SteerOutcome::Applied { seq });
            Arc::unwrap_or_clone(message)
        };
        self.0.into_iter().map(told).collect()
    }
}
