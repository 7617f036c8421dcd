//! Who waits for a run's log to grow.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Waker},
};

/// Tasks that wait for a position to be stored. They are kept under the log's lock, so that none is missed.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    next_key: u64,
    /// One waiter is the common case, and takes no allocation.
    first: Option<Waiter>,
    rest: Vec<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    key: WaiterKey,
    seq: u64,
    waker: Waker,
}

/// Names one waiter; 0 is nobody yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WaiterKey(u64);

impl Waiters {
    /// Has `cx` woken when position `seq` is stored. A waiter that waits already, by its `key`, is moved; its old waker is
    /// answered, to be dropped after the lock is released: a waker may run what its owner likes.
    pub(crate) fn wait(
        &mut self,
        key: &mut WaiterKey,
        seq: u64,
        cx: &Context<'_>,
    ) -> Option<Waker> {
        let known = self.first.iter_mut().chain(&mut self.rest);
        if let Some(waiter) = known.into_iter().find(|waiter| waiter.key == *key) {
            waiter.seq = seq;
            if waiter.waker.will_wake(cx.waker()) {
                return None;
            }
            return Some(std::mem::replace(&mut waiter.waker, cx.waker().clone()));
        }
        if *key == WaiterKey::default() {
            self.next_key += 1;
            *key = WaiterKey(self.next_key);
        }
        let waiter = Waiter {
            key: *key,
            seq,
            waker: cx.waker().clone(),
        };
        if self.first.is_none() {
            self.first = Some(waiter);
        } else {
            self.rest.push(waiter);
        }
        None
    }

    /// Takes out a waiter that went away.
    pub(crate) fn leave(&mut self, key: WaiterKey) -> Option<Waker> {
        let waiter = match self.first.take_if(|waiter| waiter.key == key) {
            Some(waiter) => waiter,
            None => {
                let at = self.rest.iter().position(|waiter| waiter.key == key)?;
                self.rest.swap_remove(at)
            }
        };
        Some(waiter.waker)
    }

    /// Takes out everybody who waits for `seq` or an earlier position. They are to be woken after the lock is released.
    pub(crate) fn up_to(&mut self, seq: u64) -> Woken {
        let first = self.first.take_if(|waiter| waiter.seq <= seq);
        let rest = if self.rest.is_empty() {
            Vec::new()
        } else {
            let due = self.rest.extract_if(.., |waiter| waiter.seq <= seq);
            due.map(|waiter| waiter.waker).collect()
        };
        Woken {
            first: first.map(|waiter| waiter.waker),
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
