//! A supervisor that is not the runtime's, and misbehaves.

use std::{sync::Arc, time::Duration};

use quell_actors::{Agent, Run, Runtime};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::sync::Semaphore;

/// A supervisor that is not the runtime's, and starts runs as its children.
pub(crate) struct Foreign {
    /// Keeps every supervision event for ever, together with the actor state that ractor puts into it.
    pub(crate) keeps: bool,
}

pub(crate) enum ForeignMsg {
    /// Starts a linked run.
    Start(Runtime, Box<Agent>, RpcReplyPort<Run>),
    /// Blocks until the test releases it.
    Busy(Arc<Semaphore>),
    /// Replies.
    Ping(RpcReplyPort<()>),
}

impl Actor for Foreign {
    type Msg = ForeignMsg;
    type State = Vec<SupervisionEvent>;
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ActorRef<ForeignMsg>,
        (): (),
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(Vec::new())
    }

    async fn handle(
        &self,
        me: ActorRef<ForeignMsg>,
        message: ForeignMsg,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ForeignMsg::Start(runtime, agent, reply) => {
                let run = runtime.start_linked(&agent, "Sing.", me.get_cell()).await?;
                let _ = reply.send(run);
            }
            ForeignMsg::Busy(gate) => drop(gate.acquire().await),
            ForeignMsg::Ping(reply) => drop(reply.send(())),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<ForeignMsg>,
        event: SupervisionEvent,
        kept: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if self.keeps {
            kept.push(event);
        }
        Ok(())
    }
}

pub(crate) async fn foreign(keeps: bool) -> ActorRef<ForeignMsg> {
    Actor::spawn(None, Foreign { keeps }, ()).await.unwrap().0
}

/// Makes a foreign supervisor start a linked run.
pub(crate) async fn start_under(
    supervisor: &ActorRef<ForeignMsg>,
    runtime: &Runtime,
    agent: &Agent,
) -> Run {
    supervisor
        .call(
            |reply| ForeignMsg::Start(runtime.clone(), Box::new(agent.clone()), reply),
            None,
        )
        .await
        .unwrap()
        .unwrap()
}
