//! What a reader of a run follows. Today that is a log of this process, or what the store has of a run that this process
//! does not work for; a run of another machine will be a third.

use std::{
    future::poll_fn,
    sync::MutexGuard,
    task::{Context, Poll},
};

use super::{
    log::{Inner, RunLog},
    waiters::Seat,
};
use crate::{error::EventsError, event::RunEvent, store::AppendError};

/// The growing end of a run's events.
pub(crate) trait Tail: Send + Sync {
    /// Ready when it is known what there is at position `seq`. Otherwise the task of `cx` is woken when that may have
    /// changed.
    ///
    /// # Errors
    ///
    /// [`EventsError`] when it will not be known.
    fn poll_at(
        &self,
        seq: u64,
        seat: &mut Seat,
        cx: &mut Context<'_>,
    ) -> Poll<Result<At, EventsError>>;

    /// Ready with the position of the last event when the run has ended and that is stored.
    ///
    /// # Errors
    ///
    /// [`EventsError`] when it will not be known.
    fn poll_ended(&self, seat: &mut Seat, cx: &mut Context<'_>) -> Poll<Result<u64, EventsError>>;

    /// A reader does not wait any more.
    fn leave(&self, seat: &mut Seat);
}

/// What there is at a position.
pub(crate) enum At {
    /// An event, which is stored.
    Event(RunEvent),
    /// An event that is in the store and not in memory.
    Stored,
    /// Nothing: the run has ended before.
    End,
}

impl Tail for RunLog {
    fn poll_at(
        &self,
        seq: u64,
        seat: &mut Seat,
        cx: &mut Context<'_>,
    ) -> Poll<Result<At, EventsError>> {
        seat.prepare(cx);
        let inner = self.lock();
        if seq <= inner.outbox.stored() {
            drop(inner);
            let event = self.tape.get(seq);
            return Poll::Ready(Ok(event.map_or(At::Stored, At::Event)));
        }
        if inner.outbox.lost().is_some() {
            let last_stored = inner.outbox.stored();
            return Poll::Ready(Err(EventsError::StoreLost { last_stored }));
        }
        if inner.is_settled() {
            return Poll::Ready(Ok(At::End));
        }
        wait(inner, seat, seq)
    }

    fn poll_ended(&self, seat: &mut Seat, cx: &mut Context<'_>) -> Poll<Result<u64, EventsError>> {
        seat.prepare(cx);
        let inner = self.lock();
        if inner.outbox.lost().is_some() {
            let last_stored = inner.outbox.stored();
            return Poll::Ready(Err(EventsError::StoreLost { last_stored }));
        }
        if inner.is_settled() {
            return Poll::Ready(Ok(inner.outbox.stored()));
        }
        wait(inner, seat, u64::MAX)
    }

    fn leave(&self, seat: &mut Seat) {
        if seat.has_waited() {
            // The waker is dropped here, outside the lock: a waker may run what its owner likes.
            let _gone = self.lock().waiters.leave(seat);
        }
    }
}

impl RunLog {
    /// Whether the store has taken the start of the run. Until then its id may be that of another one.
    pub(crate) fn is_started(&self) -> bool {
        self.lock().outbox.stored() > 0
    }

    /// Waits until position `seq` is stored.
    ///
    /// # Errors
    ///
    /// Why the store was lost: position `seq` is not known to be stored.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub(crate) async fn wait_stored(&self, seq: u64) -> Result<(), AppendError> {
        let mut waiter = Waiter::new(self);
        poll_fn(|cx| self.poll_stored(seq, &mut waiter.seat, cx)).await
    }

    fn poll_stored(
        &self,
        seq: u64,
        seat: &mut Seat,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), AppendError>> {
        seat.prepare(cx);
        let inner = self.lock();
        if seq <= inner.outbox.stored() {
            return Poll::Ready(Ok(()));
        }
        if let Some(lost) = inner.outbox.lost() {
            return Poll::Ready(Err(lost.clone()));
        }
        wait(inner, seat, seq)
    }

    /// Waits until the run has ended and that is stored. Returns the position of its last event.
    ///
    /// # Errors
    ///
    /// [`EventsError::StoreLost`]: the ending is not known to be stored.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub(crate) async fn wait_ended(&self) -> Result<u64, EventsError> {
        wait_ended(self).await
    }
}

/// Waits until a run has ended and that is stored. Returns the position of its last event.
///
/// # Errors
///
/// [`EventsError`] when that will not be known.
///
/// # Cancel safety
///
/// Dropping the future changes nothing.
pub(super) async fn wait_ended(tail: &dyn Tail) -> Result<u64, EventsError> {
    let mut waiter = Waiter::new(tail);
    poll_fn(|cx| tail.poll_ended(&mut waiter.seat, cx)).await
}

/// Waits for position `seq`, by a seat that is prepared. The waker that this replaces is dropped outside the lock.
fn wait<T>(mut inner: MutexGuard<'_, Inner>, seat: &mut Seat, seq: u64) -> Poll<T> {
    let replaced = inner.waiters.wait(seat, seq);
    drop(inner);
    drop(replaced);
    Poll::Pending
}

/// A seat that is given up when this is dropped.
struct Waiter<'a> {
    tail: &'a dyn Tail,
    seat: Seat,
}

impl<'a> Waiter<'a> {
    fn new(tail: &'a dyn Tail) -> Waiter<'a> {
        Waiter {
            tail,
            seat: Seat::default(),
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.tail.leave(&mut self.seat);
    }
}
