//! The actor of one run: it drives the run's work, and lets control in at any moment.
//!
//! The trap of actor systems is a handler that awaits the model: the mailbox is deaf until the model speaks. Here one
//! `Drive` message polls the work raced against the run's [`Poke`](super::poke::Poke), control first, and leaves when the
//! run is over or after a burst of chunks, so that others get their turn. There are two ways to wait, with one poll
//! function under both:
//!
//! * **inline**, while nobody else has a reference to the actor: the handler awaits. The cheapest way; a cancel reaches
//!   it by a poke, and a `kill` still takes effect at the await.
//! * **by mailbox**, from the moment somebody else has one: the handler never waits for the work. It polls once with a
//!   waker that casts the next `Drive`, so that the mailbox is always free, and a message or a native `stop` is taken at
//!   once. A linked run waits so from the start, since its supervisor has a reference.
//!
//! Nothing that must be dropped lives in the actor's `State`, which ractor hands to the supervisor: the work and the
//! guard that ends the log are fields of the actor value, which is dropped at once however the actor ends.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::yield_now;

use super::{
    drive::{Burst, Driver},
    ending::Ending,
    log::RunLog,
    messages::RunMessage,
    verdict::Stop,
    work::LoadHistory,
};
use crate::{
    agent::Agent,
    cancel::{CancelReason, CancelRequest},
    lock::locked,
    outcome::ErrorReason,
    panics::last_words,
};

/// Ends the log and drops the work when the actor is gone, whatever ended it. Made before the spawn, so that a run which
/// never got an actor has its ending too.
pub(crate) struct Guard {
    log: Arc<RunLog>,
    work: Mutex<Option<Box<Driver>>>,
    /// The run is paused, and nobody's: it may be somebody else's by the time this is dropped, or the actor's end is told.
    left: Arc<AtomicBool>,
}

impl Guard {
    /// For the run of `log`, which goes on after turn number `turn`. With `recall` it begins by reading what was said
    /// before in its session.
    pub(crate) fn new(
        log: Arc<RunLog>,
        agent: Agent,
        turn: u32,
        recall: Option<LoadHistory>,
    ) -> Guard {
        let driver = Driver::new(log.clone(), agent, turn, recall);
        Guard {
            log,
            work: Mutex::new(Some(Box::new(driver))),
            left: Arc::default(),
        }
    }

    pub(crate) fn log(&self) -> &Arc<RunLog> {
        &self.log
    }

    /// Whether the run was left to others: its actor's end is not the run's.
    pub(crate) fn left(&self) -> Arc<AtomicBool> {
        self.left.clone()
    }

    fn put(&self, driver: Box<Driver>) {
        *locked(&self.work) = Some(driver);
    }

    fn take(&self) -> Option<Box<Driver>> {
        locked(&self.work).take()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let dropped = quietly_drop(self.take());
        if self.left.load(Ordering::Acquire) {
            return;
        }
        self.log.poke.forget();
        let reason = if std::thread::panicking() || dropped.is_err() {
            ErrorReason::Panicked
        } else {
            ErrorReason::Killed
        };
        let message = dropped
            .err()
            .unwrap_or_else(|| "the run's actor was killed".to_owned());
        self.log.end(Ending::Failed(reason, message));
    }
}

/// Drops what a user wrote. If that panics, the message is the error.
pub(crate) fn quietly_drop<T>(value: T) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| drop(value)))
        .map_err(|panic| format!("the model panicked when dropped: {}", last_words(panic)))
}

/// The actor of one run.
pub(crate) struct RunActor {
    guard: Guard,
    /// Another owner knows the actor from the start.
    shared: bool,
    mailbox: OnceLock<Arc<Mailbox>>,
}

impl RunActor {
    pub(crate) fn new(guard: Guard, shared: bool) -> RunActor {
        RunActor {
            guard,
            shared,
            mailbox: OnceLock::new(),
        }
    }

    /// Drives the work for one burst.
    async fn drive(&self, me: &ActorRef<RunMessage>) {
        // A run that is over may still find a `Drive` in its mailbox.
        let Some(mut driver) = self.guard.take() else {
            return;
        };
        let burst = if self.guard.log.poke.is_shared() {
            self.poll_by_mailbox(me, &mut driver)
        } else {
            // While the handler awaits, the work is in the handler's own future, and goes with it when it is killed.
            Poll::Ready(poll_fn(|cx| self.poll_inline(&mut driver, cx)).await)
        };
        match burst {
            Poll::Ready(Burst::Over(ending)) => self.finish(me, driver, ending),
            Poll::Ready(Burst::Pause) => self.pause(me, driver),
            Poll::Ready(Burst::Again) => {
                self.guard.put(driver);
                // ractor takes the next message at once, so a model that is always ready would keep its thread.
                yield_now().await;
                match self.mailbox.get() {
                    Some(mailbox) => mailbox.wake_by_ref(),
                    // On an actor that is drained the cast fails, and the drain ends the run.
                    None => drop(me.cast(RunMessage::DRIVE)),
                }
            }
            Poll::Pending => {
                self.guard.put(driver);
                // The work has woken itself already: its next `Drive` would be taken at once, as above.
                let queued = self
                    .mailbox
                    .get()
                    .is_some_and(|mailbox| mailbox.is_queued());
                if queued {
                    yield_now().await;
                }
            }
        }
    }

    /// Polls the run's work for one burst. A panic of the model's ends the run and nothing else.
    fn poll(driver: &mut Driver, cx: &mut Context<'_>) -> Poll<Burst> {
        catch_unwind(AssertUnwindSafe(|| driver.poll_burst(cx))).unwrap_or_else(|panic| {
            let message = format!("the model panicked: {}", last_words(panic));
            Poll::Ready(Burst::Over(Ending::Failed(ErrorReason::Panicked, message)))
        })
    }

    /// The same, until another owner has a reference to the actor.
    fn poll_inline(&self, driver: &mut Driver, cx: &mut Context<'_>) -> Poll<Burst> {
        match Self::poll(driver, cx) {
            Poll::Pending if self.guard.log.poke.is_shared() => Poll::Ready(Burst::Again),
            burst @ (Poll::Ready(_) | Poll::Pending) => burst,
        }
    }

    /// Polls without waiting: whatever wakes the work casts the next `Drive`.
    fn poll_by_mailbox(&self, me: &ActorRef<RunMessage>, driver: &mut Driver) -> Poll<Burst> {
        let mailbox = self.mailbox.get_or_init(|| {
            Arc::new(Mailbox {
                actor: me.clone(),
                queued: AtomicBool::new(true),
            })
        });
        mailbox.queued.store(false, Ordering::Release);
        let waker = Waker::from(mailbox.clone());
        Self::poll(driver, &mut Context::from_waker(&waker))
    }

    /// Ends the run: first everything that works for it is dropped, then the log is told.
    fn finish(&self, me: &ActorRef<RunMessage>, driver: Box<Driver>, ending: Ending) {
        let ending = match (quietly_drop(driver), ending) {
            (Ok(()), ending) | (Err(_), ending @ Ending::Failed(..)) => ending,
            // What the model said is whole, and the fault is in the log of the process.
            (Err(fault), ending @ Ending::Completed(..)) => {
                tracing::error!(run_id = %self.guard.log.id, fault);
                ending
            }
            (Err(fault), Ending::Quiet | Ending::Crashed) => {
                Ending::Failed(ErrorReason::Panicked, fault)
            }
        };
        self.guard.log.end(ending);
        leave(me);
    }

    /// Pauses the run: it has no actor from here on. A run that was asked to stop meanwhile ends instead.
    fn pause(&self, me: &ActorRef<RunMessage>, driver: Box<Driver>) {
        let agent = driver.work().agent().clone();
        let dropped = quietly_drop(driver);
        // Before the pause is decided: in the next moment the run may have another actor.
        self.guard.left.store(true, Ordering::Release);
        self.guard.log.poke.forget();
        if !self.guard.log.pause(&agent) {
            self.guard.left.store(false, Ordering::Release);
            self.guard
                .log
                .end(match (dropped, self.guard.log.must_stop()) {
                    (Ok(()), Some(Stop::StoreLost(error))) => Ending::store_lost(&error),
                    (Ok(()), Some(Stop::Cancelled(_) | Stop::Ended) | None) => Ending::Quiet,
                    (Err(fault), _) => Ending::Failed(ErrorReason::Panicked, fault),
                });
        }
        leave(me);
    }
}

impl Actor for RunActor {
    type Msg = RunMessage;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, me: ActorRef<RunMessage>, (): ()) -> Result<(), ActorProcessingErr> {
        self.guard.log.poke.meet(&me, self.shared);
        me.cast(RunMessage::DRIVE)?;
        Ok(())
    }

    async fn handle(
        &self,
        me: ActorRef<RunMessage>,
        message: RunMessage,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RunMessage::Drive(_) => self.drive(&me).await,
            // What is decided there wakes the work.
            RunMessage::Cancel(_) | RunMessage::CancelAndReply(..) | RunMessage::Steer(..) => {
                self.guard.log.obey(message);
            }
        }
        Ok(())
    }

    /// A graceful stop from outside is a cancel, and tools are treated as by any other. A kill cuts it short.
    async fn post_stop(
        &self,
        _: ActorRef<RunMessage>,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        if self.guard.left.load(Ordering::Acquire) {
            return Ok(());
        }
        let stopped = CancelReason::Because("its actor was stopped".into());
        self.guard.log.cancel(&CancelRequest::new(stopped));
        let mut ending = Ending::Quiet;
        let mut driver = self.guard.take();
        if let Some(driver) = &mut driver {
            // What was decided makes the first poll close the work; more of them hear its tools out.
            ending = loop {
                match poll_fn(|cx| Self::poll(driver, cx)).await {
                    Burst::Over(ending) => break ending,
                    Burst::Again | Burst::Pause => {}
                }
            };
        }
        if let Err(fault) = quietly_drop(driver) {
            ending = Ending::Failed(ErrorReason::Panicked, fault);
        }
        self.guard.log.end(ending);
        Ok(())
    }
}

/// Ends an actor that has nothing left to do. What it was sent before is taken first, so that a cancel which meets a pause
/// is not lost; from here on a `cast` fails.
fn leave(me: &ActorRef<RunMessage>) {
    if me.drain().is_err() {
        me.stop(None);
    }
}

/// Wakes an actor by its mailbox, with one `Drive` at a time.
struct Mailbox {
    actor: ActorRef<RunMessage>,
    queued: AtomicBool,
}

impl Mailbox {
    fn is_queued(&self) -> bool {
        self.queued.load(Ordering::Acquire)
    }
}

impl Wake for Mailbox {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            // An actor that has ended needs no waking.
            let _ = self.actor.cast(RunMessage::DRIVE);
        }
    }
}
