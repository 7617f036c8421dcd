//! Messages for a running run that wait for their place.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot::{self, Receiver, Sender};

use super::facts::cost;
use crate::{message::Message, status::RunStatus};

/// How many messages may wait for their place at a time.
const MOST_WAITING: usize = 64;

/// The answer to [`Run::steer`](crate::Run::steer).
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
    /// Too many such messages wait already.
    Full,
}

/// Messages that were accepted and not passed on yet.
#[derive(Debug, Default)]
pub(super) struct Steers {
    waiting: VecDeque<Steer>,
    /// What they will add to the size of the log.
    reserved: u64,
}

/// One message, and who waits to hear of it.
#[derive(Debug)]
pub(super) struct Steer {
    pub(super) message: Arc<Message>,
    sender: Sender<SteerOutcome>,
}

impl Steers {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= MOST_WAITING
    }

    /// What they will add to the size of the log.
    pub(super) fn reserved(&self) -> u64 {
        self.reserved
    }

    /// How many bytes of text a model reads in them.
    pub(super) fn bytes(&self) -> u64 {
        self.waiting.iter().map(|steer| steer.message.bytes()).sum()
    }

    pub(super) fn push(&mut self, message: Message) -> Receiver<SteerOutcome> {
        let (sender, outcome) = oneshot::channel();
        self.reserved += cost(message.text().len());
        self.waiting.push_back(Steer {
            message: Arc::new(message),
            sender,
        });
        outcome
    }

    /// Takes all of them out.
    pub(super) fn take(&mut self) -> Steers {
        std::mem::take(self)
    }

    pub(super) fn into_messages(self) -> impl Iterator<Item = Steer> {
        self.waiting.into_iter()
    }

    /// Tells their senders that the run has no place for them any more. Not to be called under a lock, and after
    /// everything that others wait for: it wakes tasks.
    pub(super) fn too_late(self, status: RunStatus) {
        for steer in self.waiting {
            steer.tell(SteerOutcome::TooLate { status });
        }
    }
}

impl Steer {
    /// Tells the sender, who may not care. A waker that panics is its owner's fault, and hurts nobody else.
    pub(super) fn tell(self, outcome: SteerOutcome) -> Arc<Message> {
        let Steer { message, sender } = self;
        let _ = catch_unwind(AssertUnwindSafe(|| sender.send(outcome)));
        message
    }
}
