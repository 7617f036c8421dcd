//! What waits for the writer thread.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use quell_actors::{
    RunId,
    id::Timestamp,
    store::{AppendError, BatchId, Events, Expected, SessionPatch, WriteError},
};
use tokio::sync::oneshot;

/// An append that waits.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) run: RunId,
    pub(super) expected: Expected,
    pub(super) batch: BatchId,
    pub(super) events: Events,
    pub(super) answer: oneshot::Sender<Result<u64, AppendError>>,
}

/// Something rarer that waits. Each is a transaction of its own.
#[derive(Debug)]
pub(super) enum Change {
    PutSession {
        id: Arc<str>,
        patch: SessionPatch,
        at: Timestamp,
    },
    DeleteRun(RunId),
    DeleteSession(Arc<str>),
    /// What no user can ask for.
    #[cfg(test)]
    Panic,
}

#[derive(Debug)]
pub(super) enum Op {
    Append(Append),
    /// The answer: whether there was something to change.
    Change(Change, oneshot::Sender<Result<bool, WriteError>>),
}

/// How the writer is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// As soon as what waits is stored. The journal is folded when the file is opened next.
    Soon,
    /// With the journal folded, and everything in the one file.
    Tidy,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    ops: Vec<Op>,
    asleep: bool,
    ending: Option<Ending>,
    /// Nobody takes anything from the queue any more.
    over: Option<&'static str>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds something. The error says why nobody will see to it.
    pub(super) fn push(&self, op: Op) -> Result<(), &'static str> {
        let mut waiting = self.lock();
        if let Some(why) = waiting.over {
            return Err(why);
        }
        if waiting.ending.is_some() {
            return Err(CLOSED);
        }
        waiting.ops.push(op);
        let asleep = std::mem::take(&mut waiting.asleep);
        drop(waiting);
        if asleep {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// How much waits.
    pub(super) fn len(&self) -> usize {
        self.lock().ops.len()
    }

    /// Moves everything that waits to `ops`. Waits for something until `until`, and is done then, or when the queue was
    /// closed.
    pub(super) fn take(&self, ops: &mut VecDeque<Op>, until: Instant) -> Option<Ending> {
        let mut waiting = self.lock();
        while waiting.ops.is_empty() && waiting.ending.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            waiting.asleep = true;
            let woken = self.wake.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
            waiting.asleep = false;
        }
        ops.extend(waiting.ops.drain(..));
        waiting.ending
    }

    /// Lets more gather, unless so much waits already.
    pub(super) fn gather(&self, enough: usize, until: Instant) {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let waiting = self.lock();
            if left.is_zero() || waiting.ops.len() >= enough || waiting.ending.is_some() {
                return;
            }
            drop(waiting);
            std::thread::sleep(left.min(Duration::from_micros(500)));
        }
    }

    /// Takes nothing more. What waits is still seen to.
    pub(super) fn close(&self, ending: Ending) {
        let mut waiting = self.lock();
        if waiting.ending != Some(Ending::Tidy) {
            waiting.ending = Some(ending);
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Marks the queue as no longer read, and drops what waits, which notifies the callers.
    pub(super) fn abandon(&self, why: &'static str) {
        let mut waiting = self.lock();
        waiting.over = Some(why);
        let ops = std::mem::take(&mut waiting.ops);
        drop(waiting);
        drop(ops);
    }
}

pub(super) const CLOSED: &str = "the store was closed";
