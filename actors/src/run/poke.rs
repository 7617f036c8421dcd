//! How control reaches a run's actor: one flag and one waker.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    task::Context,
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

    /// Whether there was a poke since the last one that was seen.
    pub(crate) fn seen(&self) -> bool {
        let poked = self.poked.load(Ordering::Acquire);
        if poked {
            self.poked.store(false, Ordering::Release);
        }
        poked
    }

    /// Has `cx` woken by the next poke. Answers whether one came before that, which is then to be seen.
    pub(crate) fn listen(&self, cx: &Context<'_>) -> bool {
        // Register before looking: a poke between the two would otherwise wake nobody.
        self.waker.register(cx.waker());
        self.poked.load(Ordering::Acquire)
    }

    /// Forgets the actor. Its waker may hold a reference to it.
    pub(crate) fn forget(&self) {
        self.waker.take();
    }
}
