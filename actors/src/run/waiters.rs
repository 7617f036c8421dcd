//! Who waits for a run's log to grow.

use std::task::{Context, Waker};

/// Tasks that wait for a position to be stored. They are kept under the log's lock, so that none is missed.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    next_key: u64,
    list: Vec<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    key: u64,
    seq: u64,
    waker: Waker,
}

/// Names one waiter; 0 is nobody yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WaiterKey(u64);

impl Waiters {
    /// Has `cx` woken when position `seq` is stored. A waiter that waits already, by its `key`, is moved.
    pub(crate) fn wait(&mut self, key: &mut WaiterKey, seq: u64, cx: &Context<'_>) {
        if let Some(waiter) = self.list.iter_mut().find(|waiter| waiter.key == key.0) {
            waiter.seq = seq;
            waiter.waker.clone_from(cx.waker());
            return;
        }
        if *key == WaiterKey::default() {
            self.next_key += 1;
            *key = WaiterKey(self.next_key);
        }
        self.list.push(Waiter {
            key: key.0,
            seq,
            waker: cx.waker().clone(),
        });
    }

    /// Takes out a waiter that went away.
    pub(crate) fn leave(&mut self, key: WaiterKey) -> Option<Waker> {
        let at = self.list.iter().position(|waiter| waiter.key == key.0)?;
        Some(self.list.swap_remove(at).waker)
    }

    /// Takes out everybody who waits for `seq` or an earlier position. They are to be woken after the lock is released.
    pub(crate) fn up_to(&mut self, seq: u64) -> Woken {
        let mut woken = Woken::default();
        let mut at = 0;
        while at < self.list.len() {
            if self.list[at].seq <= seq {
                woken.add(self.list.swap_remove(at).waker);
            } else {
                at += 1;
            }
        }
        woken
    }
}

/// Wakers that were taken out. One reader is the common case, and takes no allocation.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Woken {
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl Woken {
    fn add(&mut self, waker: Waker) {
        if self.first.is_none() {
            self.first = Some(waker);
        } else {
            self.rest.push(waker);
        }
    }

    /// Wakes them. Not to be called under a lock: a waker may run what its owner likes.
    pub(crate) fn wake(self) {
        for waker in self.first.into_iter().chain(self.rest) {
            waker.wake();
        }
    }
}
