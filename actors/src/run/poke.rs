//! How control reaches a run's actor: one flag and one waker.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
};

use futures::task::AtomicWaker;

/// Wakes a run's actor, wherever it waits. Only the actor polls it.
///
/// Control does not travel as a message: what was decided stands in the run's log, and the poke makes the actor look.
/// So a cancel is never behind a backlog, nobody needs a reference to the actor, and an ended run keeps none alive.
#[derive(Debug, Default)]
pub(crate) struct Poke {
    poked: AtomicBool,
    waker: AtomicWaker,
}

impl Poke {
    /// Makes the actor look at the log. Decide first, poke after.
    pub(crate) fn poke(&self) {
        self.poked.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Ready once for any number of pokes since it was last ready.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Register before looking: a poke between the two would otherwise wake nobody.
        self.waker.register(cx.waker());
        if self.poked.load(Ordering::Acquire) {
            self.poked.store(false, Ordering::Release);
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Forgets the actor. Its waker may hold a reference to it.
    pub(crate) fn forget(&self) {
        self.waker.take();
    }
}
