//! Carrying what is decided to the store. One append in flight for each run; it goes on when the run's actor is gone.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tokio::time::{Instant, timeout_at};

use super::{
    ending::Ending,
    log::{Inner, RunLog},
};
use crate::{
    machine::State,
    store::{AppendError, BatchId, Events, Expected},
};

/// How many events may be decided and not stored before the model is not read further.
const MAX_BACKLOG: u64 = 1024;

/// Pauses between two tries of one append.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often a store that was given up is asked whether it is back.
const LATE: Duration = Duration::from_secs(5);

type Answer = Result<u64, AppendError>;

/// One append, with all that a retry needs.
#[derive(Clone)]
pub(super) struct Batch {
    expected: Expected,
    id: BatchId,
    events: Events,
}

impl Batch {
    /// What is decided and not stored.
    fn new(log: &RunLog, inner: &Inner) -> Batch {
        let (stored, decided) = (inner.stored, inner.decided);
        Batch {
            expected: Expected {
                epoch: inner.epoch,
                last: stored,
                acquire: inner.acquiring,
            },
            // The position it ends at names an append among those of one log, and the nonce names the log.
            id: BatchId((u128::from(log.nonce) << 64) | u128::from(decided)),
            events: Events::of(&log.tape, stored + 1, decided),
        }
    }

    /// The position it ends at.
    fn last(&self) -> u64 {
        self.events.last()
    }
}

impl RunLog {
    /// Sends whatever is decided on its way.
    pub(crate) fn flush(self: &Arc<Self>) {
        let batch = self.next_batch(&mut self.lock());
        self.carry(batch);
    }

    /// The next append, unless there is nothing to store or one is in flight.
    pub(super) fn next_batch(self: &Arc<Self>, inner: &mut Inner) -> Option<Batch> {
        if inner.flushing || inner.lost.is_some() || inner.stored == inner.decided {
            return None;
        }
        inner.flushing = true;
        inner.acquiring = std::mem::take(&mut inner.acquires);
        Some(Batch::new(self, inner))
    }

    /// Carries `batch`, and what is decided meanwhile, to the store. `true`: all of it is stored already. A store that
    /// answers at once, as memory does, costs no task.
    pub(super) fn carry(self: &Arc<Self>, mut batch: Option<Batch>) -> bool {
        while let Some(next) = batch {
            if let Some(last) = self.append_now(&next) {
                batch = self.stored(last);
                continue;
            }
            let mut append = self.append(&next);
            match poll_once(&mut append) {
                Poll::Ready(Ok(last)) if last == next.last() => batch = self.stored(last),
                Poll::Ready(answer) => {
                    // The model is not read while the store is in doubt.
                    self.lock().stuck = true;
                    let answer = futures::future::ready(answer).boxed();
                    self.spawn_carrier(next, answer);
                    return false;
                }
                Poll::Pending => {
                    self.spawn_carrier(next, append);
                    return false;
                }
            }
        }
        true
    }

    /// The append of `batch`, by a store that can do it where it stands. One that could not is asked again, in the way
    /// that can wait and retry.
    fn append_now(&self, batch: &Batch) -> Option<u64> {
        let Batch {
            expected,
            id,
            events,
        } = batch;
        let store = &self.env.store;
        let append = || store.append_now(self.id, *expected, *id, events);
        let answer = catch_unwind(AssertUnwindSafe(append)).ok()??;
        answer.ok().filter(|last| *last == batch.last())
    }

    /// The append of `batch`. A store that panics is in doubt, like one that does not know.
    fn append(self: &Arc<Self>, batch: &Batch) -> BoxFuture<'static, Answer> {
        let Batch {
            expected,
            id,
            events,
        } = batch.clone();
        let store = self.env.store.clone();
        store.append(self.id, expected, id, events)
    }

    fn spawn_carrier(self: &Arc<Self>, batch: Batch, append: BoxFuture<'static, Answer>) {
        let carrier = Carrier(Some(self.clone()));
        let log = self.clone();
        self.env.tokio.spawn(async move {
            let (mut batch, mut append) = (batch, append);
            loop {
                match log.settle(&batch, append).await {
                    Ok(last) => match log.stored(last) {
                        Some(next) => {
                            append = log.append(&next);
                            batch = next;
                        }
                        None => return carrier.done(),
                    },
                    Err(error) => {
                        let hopeless = batch.expected.last == 0 || error.is_final();
                        log.lose(error);
                        carrier.done();
                        if !hopeless {
                            log.store_late(batch).await;
                        }
                        return;
                    }
                }
            }
        });
    }

    /// Waits for the answer to an append, and tries it again for as long as the store's answer allows.
    async fn settle(self: &Arc<Self>, batch: &Batch, append: BoxFuture<'static, Answer>) -> Answer {
        // A patience too long for the clock has no end.
        let until = Instant::now().checked_add(self.env.store_patience);
        let (mut append, mut pause, mut doubt) = (append, FIRST_PAUSE, None);
        loop {
            let error = match answer_until(until, append).await {
                Ok(last) if last == batch.last() => return Ok(last),
                Ok(last) => {
                    let due = batch.last();
                    AppendError::Unknown(format!("it answered {last}, and not {due}").into())
                }
                Err(error) => error,
            };
            let hopeless = match &error {
                AppendError::Fenced { .. } | AppendError::Ended { .. } => true,
                // Nothing of the run is stored, so its start can be refused, and is, without delay.
                AppendError::Unavailable(_) => batch.expected.last == 0 && doubt.is_none(),
                AppendError::Unknown(_) => {
                    doubt = Some(error.clone());
                    false
                }
            };
            if hopeless {
                return Err(error);
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                // An earlier try may have been stored, whatever the last one says of itself.
                return Err(doubt.unwrap_or(error));
            }
            tracing::warn!(run_id = %self.id, %error, "the store did not confirm; trying again");
            self.lock().stuck = true;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            append = self.append(batch);
        }
    }

    /// Moves the mark: everything up to `last` is stored. Before anybody is shown that, the runtime is told: who has seen an
    /// ending or a pause finds the session free. Returns the next append.
    fn stored(self: &Arc<Self>, last: u64) -> Option<Batch> {
        let mut inner = self.lock();
        let stored = last.min(inner.decided);
        inner.stuck = false;
        if std::mem::take(&mut inner.acquiring) {
            inner.epoch += 1;
        }
        let all = stored == inner.decided;
        let settled = all && matches!(inner.state, State::Ended(_));
        let paused = all && inner.state == State::Paused;
        let due = inner.changes.extract_if(.., |change| change.seq <= stored);
        let due: Vec<_> = due.collect();
        if settled || paused || !due.is_empty() {
            drop(inner);
            if settled {
                self.host.settled(self);
            } else if paused {
                self.host.pause_stored(self);
            }
            // The append still counts as in flight, so nobody else comes here, and changes are told in their order.
            for change in due {
                self.host.changed(change);
            }
            inner = self.lock();
        }
        inner.stored = stored;
        inner.flushing = false;
        let woken = inner.woken();
        let batch = self.next_batch(&mut inner);
        let poke = std::mem::take(&mut inner.wants_room);
        drop(inner);

        woken.wake();
        if poke {
            self.poke.poke();
        }
        batch
    }

    /// Gives the store up: nothing further of this run is shown.
    fn lose(self: &Arc<Self>, error: AppendError) {
        tracing::error!(run_id = %self.id, %error, "the store was lost");
        let mut inner = self.lock();
        inner.flushing = false;
        inner.lost = Some(error.clone());
        let woken = inner.woken();
        let state = inner.state;
        drop(inner);

        match state {
            State::Ended(_) => self.host.settled(self),
            // It is somebody else's.
            State::Paused if error.is_final() => self.host.settled(self),
            // It can go on when the store is back and has taken its pause; until then that decides recovery.
            State::Paused => self.host.pause_stored(self),
            // No actor is there to end it.
            State::Queued => {
                self.end(Ending::store_lost(&error));
            }
            State::Ready
            | State::Connecting
            | State::Waiting
            | State::Streaming
            | State::Resting
            | State::Calling
            | State::Cancelling => self.poke.poke(),
        }
        woken.wake();
    }

    /// Stores what was decided when the store is back. Nobody was shown it, but it is what happened: the run's ending, and how
    /// its tools ended. Given up when the runtime is shut down; recovery settles the run then.
    async fn store_late(self: &Arc<Self>, mut batch: Batch) {
        loop {
            tokio::time::sleep(LATE).await;
            if !self.host.waits_for_store() {
                return;
            }
            let until = Instant::now().checked_add(self.env.store_patience);
            match answer_until(until, self.append(&batch)).await {
                Ok(last) if last == batch.last() => {
                    {
                        let mut inner = self.lock();
                        let is_quiet = matches!(inner.state, State::Ended(_) | State::Paused);
                        if is_quiet && last == inner.decided {
                            inner.lost = None;
                        }
                    }
                    self.stored(last);
                }
                Ok(_) => continue,
                Err(error) if error.is_final() => {
                    if self.paused_at().is_ok() {
                        // It is somebody else's.
                        self.host.settled(self);
                    }
                    return;
                }
                Err(_) => continue,
            }
            let inner = self.lock();
            if inner.is_settled() || inner.is_paused_and_stored() {
                return;
            }
            // While its tools are still being awaited there is nothing new, and the same batch is answered as before.
            if inner.stored < inner.decided {
                batch = Batch::new(self, &inner);
            }
        }
    }

    /// Whether the model may be asked and read further: the run's start is stored, the run is ours, and not too much waits
    /// for the store.
    pub(super) fn room_or_wake(&self) -> bool {
        let mut inner = self.lock();
        let unstored = inner.decided - inner.stored;
        // Until the store has confirmed that the run was taken over, somebody else may be at work for it.
        let takes_over = inner.acquiring || (inner.acquires && unstored > 0);
        let room = inner.stored > 0 && !takes_over && !inner.stuck && unstored <= MAX_BACKLOG;
        // Not taken back: a tool that says something asks here as well, while the actor waits for another thing.
        inner.wants_room |= !room;
        room
    }

    /// Whether everything up to `seq` is stored; if not, the actor is poked when more is.
    pub(super) fn stored_or_wake(&self, seq: u64) -> bool {
        let mut inner = self.lock();
        let has = inner.stored >= seq;
        inner.wants_room |= !has;
        has
    }
}

/// Tells the log when its carrier is dropped under way, as it is when the tokio runtime goes: nobody else would.
struct Carrier(Option<Arc<RunLog>>);

impl Carrier {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        if let Some(log) = self.0.take() {
            log.lose(AppendError::Unknown("its tokio runtime has ended".into()));
        }
    }
}

/// The answer to an append, or doubt when there is none in time.
async fn answer_until(until: Option<Instant>, append: BoxFuture<'static, Answer>) -> Answer {
    let answer = AssertUnwindSafe(append).catch_unwind();
    let answer = match until {
        Some(until) => timeout_at(until, answer)
            .await
            .map_err(|_| AppendError::Unknown("it did not answer in time".into()))?,
        None => answer.await,
    };
    answer.unwrap_or_else(|_| Err(panicked()))
}

/// Polls an append once, without waiting. Nobody is woken by it: who gets `Pending` has to poll again.
fn poll_once(append: &mut BoxFuture<'static, Answer>) -> Poll<Answer> {
    let mut cx = Context::from_waker(Waker::noop());
    catch_unwind(AssertUnwindSafe(|| append.poll_unpin(&mut cx)))
        .unwrap_or_else(|_| Poll::Ready(Err(panicked())))
}

fn panicked() -> AppendError {
    AppendError::Unknown("the store panicked".into())
}
