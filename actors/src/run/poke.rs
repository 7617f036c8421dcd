//! How control reaches a run's actor: one flag and one waker; and, for those who speak in messages, its address.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::Context,
};

use futures::task::AtomicWaker;
use ractor::ActorRef;

use super::messages::RunMessage;
use crate::lock::locked;

/// Wakes a run's actor, wherever it waits. Only the actor polls it.
///
/// What was decided stands in the run's log, and the poke makes the actor look. So a cancel is never behind a backlog, and
/// needs no reference to the actor.
#[derive(Debug, Default)]
pub(crate) struct Poke {
    poked: AtomicBool,
    waker: AtomicWaker,
    /// The run's actor, while it has one. An ended one would be kept in memory.
    actor: Mutex<Option<ActorRef<RunMessage>>>,
    /// Another owner may send it messages.
    shared: AtomicBool,
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

    /// Makes the next poke wake `cx`. Returns whether one came before that, which is then to be seen.
    pub(crate) fn listen(&self, cx: &Context<'_>) -> bool {
        // Register before looking: a poke between the two would otherwise wake nobody.
        self.waker.register(cx.waker());
        self.poked.load(Ordering::Acquire)
    }

    /// Records the run's actor, which with `shared` others know from the start.
    pub(super) fn meet(&self, actor: &ActorRef<RunMessage>, shared: bool) {
        let mut here = locked(&self.actor);
        *here = Some(actor.clone());
        self.shared.store(shared, Ordering::Release);
    }

    /// The run's actor, for somebody else. It listens to its mailbox from here on.
    pub(super) fn hand_out(&self) -> Option<ActorRef<RunMessage>> {
        let actor = {
            let here = locked(&self.actor);
            self.shared.store(true, Ordering::Release);
            here.clone()?
        };
        self.poke();
        Some(actor)
    }

    /// Whether somebody else may send the actor messages. Once `true`, so it stays; look after
    /// [`listen`](Poke::listen), which the poke of [`hand_out`](Poke::hand_out) then wakes.
    pub(super) fn is_shared(&self) -> bool {
        self.shared.load(Ordering::Acquire)
    }

    /// Forgets the actor. Its waker may hold a reference to it.
    pub(crate) fn forget(&self) {
        self.waker.take();
        let forgotten = locked(&self.actor).take();
        drop(forgotten);
    }
}
