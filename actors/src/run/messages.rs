//! The messages that a run's actor takes from anybody who holds its reference.
//!
//! A message decides nothing by itself: it is one more way to reach the log, and does there what the method of [`Run`]
//! does that has its name.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use ractor::{ActorRef, RpcReplyPort};
use tokio::runtime::Handle;

use super::{Run, SteerOutcome, actor::quietly_drop, log::RunLog};
use crate::{
    cancel::{CancelOutcome, CancelRequest},
    panics::last_words,
};

/// What a run's actor can be sent: see [`Run::actor`].
///
/// A message is taken between two chunks, and at once while the model is silent or a tool is running. Messages are taken
/// in the order in which they were sent, so a cancel waits behind what was sent before it; that of a [`Run`] waits behind
/// nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunMessage {
    /// Cancels the run, as [`Run::cancel_with`] does.
    Cancel(CancelRequest),
    /// Cancels the run, and replies with what [`Run::cancel_with`] returns.
    CancelAndReply(CancelRequest, RpcReplyPort<CancelOutcome>),
    /// Says something to the run, as [`Run::steer`] does, and replies with what that returns.
    Steer(Arc<str>, RpcReplyPort<SteerOutcome>),
    /// What the actor sends itself.
    #[doc(hidden)]
    Drive(Drive),
}

/// Drives the run's work on. Nobody else can make one.
#[derive(Debug)]
pub struct Drive(pub(super) ());

impl RunMessage {
    pub(super) const DRIVE: RunMessage = RunMessage::Drive(Drive(()));
}

impl Run {
    /// The run's actor, for a program that speaks in messages. `None` while the run waits for a slot or its session and for
    /// a moment after that, while it is paused, and once it has ended.
    ///
    /// The reference can be cast [`RunMessage`]s, and stopped and killed, at any time; a stop ends the run as
    /// `Cancelled`, a kill as `Error`. When the run ends or pauses its actor stops, and a `cast` fails from then on. A
    /// reference that is still held keeps about 5 KB: drop it when the run has ended. Take it from here, and not from
    /// ractor's `get_children`: only so does the actor know that it may be sent something.
    ///
    /// ```
    /// use quell_actors::{Agent, CancelRequest, EventKind, RunStatus, Runtime};
    /// use quell_actors::{run::RunMessage, sim::Storyteller};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let poet = Agent::new("poet", Storyteller::endless());
    /// let run = Runtime::new().start(&poet, "Sing of the sea.").await?;
    /// let mut events = run.events();
    /// while let Some(event) = events.next().await {
    ///     if let (EventKind::Content { .. }, Some(actor)) = (event?.kind, run.actor()) {
    ///         actor.cast(RunMessage::Cancel(CancelRequest::default()))?;
    ///         break;
    ///     }
    /// }
    /// assert_eq!(run.outcome().await?.status(), RunStatus::Cancelled);
    /// assert!(run.actor().is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn actor(&self) -> Option<ActorRef<RunMessage>> {
        if self.status().is_ended() {
            return None;
        }
        self.log().ok()?.poke.hand_out()
    }
}

impl RunLog {
    /// Does what another owner's message says.
    pub(super) fn obey(self: &Arc<Self>, message: RunMessage) {
        let run = Run::new(self.clone());
        let tokio = &self.env.tokio;
        match message {
            RunMessage::Cancel(request) => drop(run.cancel_with(request)),
            RunMessage::CancelAndReply(request, port) => {
                reply(tokio, port, run.cancel_with(request));
            }
            RunMessage::Steer(words, port) => reply(tokio, port, run.steer(&words)),
            RunMessage::Drive(Drive(())) => {}
        }
    }
}

/// Replies with what `work` returns. It is polled once where it stands, so that messages decide in their order; what it has
/// to wait for, it waits for in a task, so that the actor does not.
pub(crate) fn reply<T: Send + 'static>(
    tokio: &Handle,
    port: RpcReplyPort<T>,
    work: impl Future<Output = T> + Send + 'static,
) {
    // The caller may not wait for the reply any more.
    let work = work.map(|outcome| drop(port.send(outcome)));
    // What panics there, such as a user's store, is not to end the actor: the caller is told by a port that is dropped.
    let mut work = AssertUnwindSafe(work).catch_unwind().boxed();
    match (&mut work).now_or_never() {
        None => drop(tokio.spawn(work)),
        Some(done) => {
            let done = done.map_err(last_words).and(quietly_drop(work));
            if let Err(fault) = done {
                tracing::error!(fault, "a message could not be replied to");
            }
        }
    }
}
