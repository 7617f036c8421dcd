//! The messages that a runtime's supervisor takes from any holder of its reference.

use std::{fmt, sync::Arc};

use ractor::{ActorRef, Message, RpcReplyPort};

use super::{
    NewRun, Owner, Runtime, Scope, Shutdown, ShutdownReport, launch::SupervisorMsg,
    registry::Registry,
};
use crate::{
    agent::Agent,
    cancel::{CancelOutcome, CancelRequest},
    error::{CancelAllError, EventsError, StartError},
    id::RunId,
    run::{Delivery, Run, SteerOutcome, reply},
};

/// What the actor of a [`Runtime`] can be sent: see [`Runtime::actor`].
///
/// Each message does what the method of [`Runtime`] or [`Run`] does that has its name, and replies with what that
/// returns. The actor takes messages in the order in which they were sent, and waits for no store and no model: what
/// has to wait is replied to later. A reply port that is dropped, as `call!` reports it, means that nothing is known of
/// the request.
#[non_exhaustive]
pub enum RuntimeMessage {
    /// Starts a run: [`Runtime::start`].
    Start(Agent, NewRun, RpcReplyPort<Result<Run, StartError>>),
    /// Cancels a run: [`Runtime::cancel_with`].
    Cancel(RunId, CancelRequest, RpcReplyPort<CancelOutcome>),
    /// Cancels many runs: [`Runtime::cancel_all`].
    CancelMany(
        Scope,
        CancelRequest,
        RpcReplyPort<Result<Vec<(RunId, CancelOutcome)>, CancelAllError>>,
    ),
    /// Says something to a run: [`Run::steer`]. The reply is `None` when there is no such run.
    Steer(
        RunId,
        Arc<str>,
        RpcReplyPort<Result<Option<SteerOutcome>, EventsError>>,
    ),
    /// Feeds a run's events to an actor: [`Run::subscribe`]. The reply says whether there is such a run.
    Subscribe(RunId, Subscriber, RpcReplyPort<Result<bool, EventsError>>),
    /// Ends the runtime: [`Runtime::shutdown`].
    Shutdown(Shutdown, RpcReplyPort<ShutdownReport>),
    /// What the runtime sends itself.
    #[doc(hidden)]
    Own(Own),
}

/// Only the runtime can make one.
pub struct Own(SupervisorMsg);

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own").finish_non_exhaustive()
    }
}

impl RuntimeMessage {
    pub(super) const fn own(message: SupervisorMsg) -> RuntimeMessage {
        RuntimeMessage::Own(Own(message))
    }

    const fn name(&self) -> &'static str {
        match self {
            RuntimeMessage::Start(..) => "Start",
            RuntimeMessage::Cancel(..) => "Cancel",
            RuntimeMessage::CancelMany(..) => "CancelMany",
            RuntimeMessage::Steer(..) => "Steer",
            RuntimeMessage::Subscribe(..) => "Subscribe",
            RuntimeMessage::Shutdown(..) => "Shutdown",
            RuntimeMessage::Own(_) => "Own",
        }
    }
}

impl fmt::Debug for RuntimeMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.name()).finish_non_exhaustive()
    }
}

impl Runtime {
    /// The runtime's actor, which supervises its runs, for a program that speaks in messages.
    ///
    /// The reference does not keep the runtime: when the last [`Runtime`] has been dropped, the actor stops with the
    /// last run, and a message fails from then on. A native stop or kill of it ends the runs that are running.
    ///
    /// ```
    /// use quell_actors::{Agent, CancelRequest, NewRun, Runtime, runtime::RuntimeMessage, sim::Storyteller};
    /// use ractor::call;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runtime = Runtime::new();
    /// let actor = runtime.actor();
    ///
    /// let poet = Agent::new("poet", Storyteller::endless());
    /// let run = call!(actor, RuntimeMessage::Start, poet, NewRun::new("Sing of the sea."))??;
    /// let outcome = call!(actor, RuntimeMessage::Cancel, run.id(), CancelRequest::default())?;
    /// assert!(outcome.is_accepted());
    /// # Ok(())
    /// # }
    /// ```
    pub fn actor(&self) -> ActorRef<RuntimeMessage> {
        let supervisor = self.registry().supervisor.get();
        let supervisor =
            supervisor.expect("ractor refuses an actor only for its name, and this one has none");
        supervisor.clone()
    }

    /// A handle for as long as a message is handled. It does not keep the runtime alive.
    fn passing(registry: &Arc<Registry>) -> Runtime {
        Runtime {
            owner: Arc::new(Owner {
                registry: registry.clone(),
                keeps: false,
            }),
        }
    }
}

/// An actor that is to be fed a run's events.
pub struct Subscriber(Box<dyn FnOnce(&Run) + Send + Sync>);

impl Subscriber {
    /// This actor.
    pub fn new<M>(actor: &ActorRef<M>) -> Subscriber
    where
        M: Message + From<Delivery>,
    {
        let actor = actor.clone();
        Subscriber(Box::new(move |run| run.subscribe(&actor)))
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").finish_non_exhaustive()
    }
}

/// Handles a message from outside. Returns what the supervisor has to do itself.
pub(super) fn obey(registry: &Arc<Registry>, message: RuntimeMessage) -> Option<SupervisorMsg> {
    let runtime = Runtime::passing(registry);
    let tokio = &registry.env.tokio;
    match message {
        RuntimeMessage::Start(agent, run, port) => {
            reply(tokio, port, async move { runtime.start(&agent, run).await })
        }
        RuntimeMessage::Cancel(id, request, port) => {
            reply(tokio, port, runtime.cancel_with(id, request));
        }
        RuntimeMessage::CancelMany(scope, request, port) => {
            reply(tokio, port, runtime.cancel_all(scope, request));
        }
        RuntimeMessage::Steer(id, words, port) => reply(tokio, port, async move {
            match runtime.get(id).await? {
                Some(run) => Ok(Some(run.steer(&words).await)),
                None => Ok(None),
            }
        }),
        RuntimeMessage::Subscribe(id, subscriber, port) => reply(tokio, port, async move {
            let run = runtime.get(id).await?;
            Ok(run.inspect(|run| subscriber.0(run)).is_some())
        }),
        RuntimeMessage::Shutdown(limits, port) => {
            reply(tokio, port, async move { runtime.shutdown(limits).await });
        }
        RuntimeMessage::Own(Own(message)) => return Some(message),
    }
    None
}
