//! Carrying what is decided to the store. One append in flight for each run; it goes on when the run's actor is gone.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tokio::time::{Instant, timeout_at};

use super::{
    ending::Ending,
    log::{Inner, RunLog},
    outbox::{Effect, Input},
};
use crate::{
    machine::State,
    status::RunStatus,
    store::{AppendError, BatchId, Events, Expected},
};

/// Pauses between two tries of one append.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often a store that was given up is asked whether it is back.
const LATE: Duration = Duration::from_secs(5);

type AppendAnswer = Result<u64, AppendError>;

/// One append, with all that a retry needs.
#[derive(Clone)]
pub(super) struct Batch {
    expected: Expected,
    id: BatchId,
    events: Events,
}

impl Batch {
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
    pub(super) fn next_batch(&self, inner: &mut Inner) -> Option<Batch> {
        self.batch(inner.outbox.apply(Input::Send))
    }

    fn batch(&self, effect: Effect) -> Option<Batch> {
        match effect {
            Effect::Append { expected, last } => Some(Batch {
                expected,
                // The position it ends at names an append among those of one log, and the nonce names the log.
                id: BatchId((u128::from(self.nonce) << 64) | u128::from(last)),
                events: Events::of(&self.tape, expected.last + 1, last),
            }),
            Effect::Refuse | Effect::Note => None,
        }
    }

    /// Carries `batch`, and what is decided meanwhile, to the store. `true`: all of it is stored already. A store that
    /// answers at once, as memory does, costs no task.
    pub(super) fn carry(self: &Arc<Self>, mut batch: Option<Batch>) -> bool {
        while let Some(next) = batch {
            let append = match self.first_try(&next) {
                Ok(Ok(last)) if last == next.last() => {
                    batch = self.confirmed();
                    continue;
                }
                Ok(answer) => {
                    // The model is not read while the store is in doubt.
                    self.lock().outbox.apply(Input::Doubt);
                    futures::future::ready(answer).boxed()
                }
                Err(append) => append,
            };
            self.spawn_carrier(next, append);
            return false;
        }
        true
    }

    /// What a store returns without waiting, or the append that has to wait.
    fn first_try(&self, batch: &Batch) -> Result<AppendAnswer, BoxFuture<'static, AppendAnswer>> {
        let Batch {
            expected,
            id,
            events,
        } = batch;
        let answer = catch_unwind(AssertUnwindSafe(|| {
            if let Some(answer) = self.env.store.append_now(self.id, *expected, *id, events) {
                return Ok(answer);
            }
            let mut append = self.append(batch);
            // Nothing is woken by this poll: a task polls again.
            let mut cx = Context::from_waker(Waker::noop());
            match append.poll_unpin(&mut cx) {
                Poll::Ready(answer) => Ok(answer),
                Poll::Pending => Err(append),
            }
        }));
        answer.unwrap_or_else(|_| Ok(Err(panicked())))
    }

    /// The append of `batch`. A store that panics is in doubt, like one that does not know.
    fn append(&self, batch: &Batch) -> BoxFuture<'static, AppendAnswer> {
        let Batch {
            expected,
            id,
            events,
        } = batch.clone();
        let store = self.env.store.clone();
        store.append(self.id, expected, id, events)
    }

    fn spawn_carrier(self: &Arc<Self>, batch: Batch, append: BoxFuture<'static, AppendAnswer>) {
        let carrier = Carrier(Some(self.clone()));
        let log = self.clone();
        self.env.tokio.spawn(async move {
            let (mut batch, mut append) = (batch, append);
            loop {
                match log.settle(&batch, append).await {
                    Ok(()) => match log.confirmed() {
                        Some(next) => {
                            append = log.append(&next);
                            batch = next;
                        }
                        None => return carrier.done(),
                    },
                    Err(error) => {
                        let is_start = batch.expected.last == 0;
                        let hopeless = is_start || error.is_final();
                        if is_start && !error.is_final() {
                            let now = log.env.clock.at(Instant::now());
                            log.env.counters.store.refused(now);
                        }
                        log.lose(error);
                        carrier.done();
                        if !hopeless {
                            log.store_late().await;
                        }
                        return;
                    }
                }
            }
        });
    }

    /// Waits for the answer to an append, and tries it again for as long as the store's answer allows.
    async fn settle(
        &self,
        batch: &Batch,
        append: BoxFuture<'static, AppendAnswer>,
    ) -> Result<(), AppendError> {
        // A patience too long for the clock has no end.
        let begun = Instant::now();
        let until = begun.checked_add(self.env.store_patience);
        let counters = &self.env.counters;
        let mut in_doubt = None;
        let (mut append, mut pause, mut doubt) = (append, FIRST_PAUSE, None);
        loop {
            let error = match answer_until(until, append).await {
                Ok(last) if last == batch.last() => {
                    counters.appends.observe(begun.elapsed());
                    return Ok(());
                }
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
            self.lock().outbox.apply(Input::Doubt);
            counters.store_retries.fetch_add(1, Relaxed);
            let now = || self.env.clock.at(Instant::now());
            in_doubt.get_or_insert_with(|| counters.store.doubt(now()));
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            append = self.append(batch);
        }
    }

    /// The store has the append in flight: moves the mark. Returns the next append.
    ///
    /// What the host has to hear comes first, and the mark after: who is shown the end of a run, or its pause, finds its
    /// session free. The append counts as in flight until then, so nothing overtakes it.
    fn confirmed(self: &Arc<Self>) -> Option<Batch> {
        let mut inner = self.lock();
        let sent = inner.outbox.sent();
        let is_last = inner.rests() && sent == inner.outbox.decided();
        if is_last || !inner.changes.is_empty() {
            let due = inner.changes.extract_if(.., |change| change.seq <= sent);
            let due: Vec<_> = due.collect();
            // Of a run whose store was lost the host was told then.
            let rests = (is_last && inner.outbox.lost().is_none()).then_some(inner.state());
            drop(inner);
            if let Some(state) = rests {
                self.tell_rest(state, false);
            }
            for change in due {
                self.host.changed(change);
            }
            inner = self.lock();
        }
        inner.outbox.apply(Input::Confirmed);
        if inner.rests() {
            inner.outbox.apply(Input::Back);
        }
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

    /// Tells the host that nothing of the run is under way.
    fn tell_rest(&self, state: State, is_foreign: bool) {
        if state == State::Paused && !is_foreign {
            self.host.pause_stored(self);
        } else {
            self.host.settled(self);
        }
    }

    /// Gives the store up: nothing further of this run is shown.
    fn lose(self: &Arc<Self>, error: AppendError) {
        // A paused run can go on when the store is back, unless it has another owner.
        let is_foreign = error.is_final();
        let rests = |inner: &Inner| inner.rests().then_some(inner.state());
        let before = rests(&self.lock());
        if let Some(state) = before {
            self.tell_rest(state, is_foreign);
        }
        let mut inner = self.lock();
        inner.outbox.apply(Input::Lose(error.clone()));
        let is_refused = inner.outbox.is_refused();
        let woken = inner.woken();
        let (state, after) = (inner.state(), rests(&inner));
        drop(inner);

        if is_refused {
            tracing::debug!(run_id = %self.id, %error, "the store refused the start of the run");
        } else {
            tracing::error!(run_id = %self.id, %error, "the store was lost");
        }
        match after {
            Some(state) if before.is_none() => self.tell_rest(state, is_foreign),
            Some(_) => {}
            // It has no actor to end it.
            None if state == State::Queued => {
                self.end(Ending::store_lost(&error));
            }
            None => self.poke.poke(),
        }
        woken.wake();
    }

    /// Stores what was decided when the store is back. Nobody was shown it, but it is what happened: the run's ending, and how
    /// its tools ended. Given up when the runtime is shut down; recovery settles the run then.
    async fn store_late(self: &Arc<Self>) {
        let _lost = self.env.counters.store.lost.enter();
        loop {
            tokio::time::sleep(LATE).await;
            // While the store confirms, one append follows the other.
            loop {
                if !self.host.waits_for_store() {
                    return;
                }
                // While its tools are still being awaited there may be nothing new.
                let effect = self.lock().outbox.apply(Input::SendLate);
                let Some(batch) = self.batch(effect) else {
                    break;
                };
                let until = Instant::now().checked_add(self.env.store_patience);
                match answer_until(until, self.append(&batch)).await {
                    Ok(last) if last == batch.last() => {}
                    Err(error) if error.is_final() => {
                        if self.status() == RunStatus::Paused {
                            self.tell_rest(State::Paused, true);
                        }
                        return;
                    }
                    Ok(_) | Err(_) => break,
                }
                let next = self.confirmed();
                if self.lock().outbox.lost().is_none() {
                    self.carry(next);
                    return;
                }
            }
        }
    }

    /// Whether the model may be asked and read further; if not, the actor is poked when that may have changed.
    pub(super) fn room_or_wake(&self) -> bool {
        let mut inner = self.lock();
        let room = inner.outbox.has_room();
        // Not taken back: a tool that says something asks here as well, while the actor waits for another thing.
        inner.wants_room |= !room;
        room
    }

    /// Whether everything up to `seq` is stored; if not, the actor is poked when more is.
    pub(super) fn stored_or_wake(&self, seq: u64) -> bool {
        let mut inner = self.lock();
        let has = inner.outbox.stored() >= seq;
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
async fn answer_until(
    until: Option<Instant>,
    append: BoxFuture<'static, AppendAnswer>,
) -> AppendAnswer {
    let answer = AssertUnwindSafe(append).catch_unwind();
    let answer = match until {
        Some(until) => timeout_at(until, answer)
            .await
            .map_err(|_| AppendError::Unknown("it did not answer in time".into()))?,
        None => answer.await,
    };
    answer.unwrap_or_else(|_| Err(panicked()))
}

fn panicked() -> AppendError {
    AppendError::Unknown("the store panicked".into())
}
