//! The tasks that wait for a run's log to grow.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Waker},
};

/// Tasks that wait for a position to be stored, in the order of those positions. They are kept under the log's lock, so
/// that none is missed.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    last_id: u64,
    /// One waiter is the common case, and takes no allocation.
    first: Option<(WaitPlace, Waker)>,
    rest: BTreeMap<WaitPlace, Waker>,
}

/// What a waiter waits for, and which one it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct WaitPlace {
    seq: u64,
    id: u64,
}

/// One waiter's place in the list, kept by the waiter. It has to [leave](Waiters::leave) before it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    /// Its id is 0 as long as it has never waited.
    place: WaitPlace,
    /// What is woken, cloned outside the log's lock: a waker may run what its owner likes.
    spare: Option<Waker>,
}

impl Seat {
    /// Keeps a clone of the waker of `cx` ready. To be called without the log's lock.
    pub(crate) fn prepare(&mut self, cx: &Context<'_>) {
        let fits = |spare: &Waker| spare.will_wake(cx.waker());
        if !self.spare.as_ref().is_some_and(fits) {
            self.spare = Some(cx.waker().clone());
        }
    }

    /// Whether it may be in the list.
    pub(crate) fn has_waited(&self) -> bool {
        self.place.id != 0
    }
}

impl Waiters {
    /// Has a [prepared](Seat::prepare) waiter woken when position `seq` is stored. Returns the waker that this replaces,
    /// to be dropped after the lock is released.
    pub(crate) fn wait(&mut self, seat: &mut Seat, seq: u64) -> Option<Waker> {
        if seat.place.seq == seq
            && let Some(waiting) = self.waker_at(seat.place)
        {
            let spare = seat.spare.as_ref()?;
            if !waiting.will_wake(spare) {
                let replaced = seat.spare.as_mut()?;
                std::mem::swap(waiting, replaced);
                return seat.spare.take();
            }
            return None;
        }
        let replaced = self.leave(seat);
        if seat.place.id == 0 {
            self.last_id += 1;
            seat.place.id = self.last_id;
        }
        seat.place.seq = seq;
        let waker = seat.spare.take()?;
        if self.first.is_none() {
            self.first = Some((seat.place, waker));
        } else {
            self.rest.insert(seat.place, waker);
        }
        replaced
    }

    fn waker_at(&mut self, place: WaitPlace) -> Option<&mut Waker> {
        match &mut self.first {
            Some((first, waker)) if *first == place => Some(waker),
            Some(_) | None => self.rest.get_mut(&place),
        }
    }

    /// Takes a waiter out, if it waits. Its waker is returned to be dropped after the lock is released.
    pub(crate) fn leave(&mut self, seat: &Seat) -> Option<Waker> {
        match self.first.take_if(|(place, _)| *place == seat.place) {
            Some((_, waker)) => Some(waker),
            None => self.rest.remove(&seat.place),
        }
    }

    /// Takes out those that wait for `seq` or an earlier position. They are to be woken after the lock is released.
    pub(crate) fn up_to(&mut self, seq: u64) -> Woken {
        let first = self.first.take_if(|(place, _)| place.seq <= seq);
        let mut rest = Vec::new();
        while let Some(next) = self.rest.first_entry()
            && next.key().seq <= seq
        {
            rest.push(next.remove());
        }
        Woken {
            first: first.map(|(_, waker)| waker),
            rest,
        }
    }
}

/// Wakers that were taken out.
#[derive(Debug)]
#[must_use]
pub(crate) struct Woken {
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl Woken {
    /// Wakes them. Not to be called under a lock: a waker may run what its owner likes. One that panics is its owner's
    /// fault, and hurts nobody else.
    pub(crate) fn wake(self) {
        for waker in self.first.into_iter().chain(self.rest) {
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl std::task::Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn wait(waiters: &mut Waiters, seat: &mut Seat, seq: u64, bell: &Arc<Bell>) {
        let waker = Waker::from(bell.clone());
        seat.prepare(&Context::from_waker(&waker));
        waiters.wait(seat, seq);
    }

    fn rings(bell: &Bell) -> usize {
        bell.0.load(Ordering::SeqCst)
    }

    #[test]
    fn those_that_are_due_are_woken_and_nobody_else() {
        let mut waiters = Waiters::default();
        let bells: Vec<Arc<Bell>> = (0..100).map(|_| Arc::default()).collect();
        let mut seats: Vec<Seat> = (0..100).map(|_| Seat::default()).collect();
        for ((seat, bell), n) in seats.iter_mut().zip(&bells).zip(0..) {
            wait(&mut waiters, seat, n % 10, bell);
        }
        waiters.up_to(4).wake();
        for (bell, n) in bells.iter().zip(0..) {
            assert_eq!(rings(bell), usize::from(n % 10 <= 4), "{n}");
        }
        waiters.up_to(u64::MAX).wake();
        assert!(bells.iter().all(|bell| rings(bell) == 1));
        assert!(waiters.first.is_none() && waiters.rest.is_empty());
    }

    #[test]
    fn a_waiter_that_waits_again_is_moved_and_not_doubled() {
        let mut waiters = Waiters::default();
        let (other, bell, late) = (Arc::default(), Arc::default(), Arc::default());
        let (mut first, mut seat) = (Seat::default(), Seat::default());
        wait(&mut waiters, &mut first, u64::MAX, &other);
        wait(&mut waiters, &mut seat, 3, &bell);
        wait(&mut waiters, &mut seat, 5, &bell);
        waiters.up_to(4).wake();
        assert_eq!(rings(&bell), 0);
        // Another task has taken the stream over: the first is not woken any more.
        wait(&mut waiters, &mut seat, 5, &late);
        waiters.up_to(5).wake();
        assert_eq!((rings(&bell), rings(&late), rings(&other)), (0, 1, 0));
    }

    #[test]
    fn a_waiter_that_left_is_not_woken_and_keeps_nothing() {
        let mut waiters = Waiters::default();
        let bell = Arc::<Bell>::default();
        let mut seats = [Seat::default(), Seat::default()];
        for seat in &mut seats {
            wait(&mut waiters, seat, 1, &bell);
        }
        for seat in &seats {
            assert!(waiters.leave(seat).is_some());
            assert!(waiters.leave(seat).is_none());
        }
        drop(seats);
        waiters.up_to(u64::MAX).wake();
        assert_eq!((rings(&bell), Arc::strong_count(&bell)), (0, 1));
    }
}
