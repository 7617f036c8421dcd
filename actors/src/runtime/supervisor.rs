//! The supervisor: it spawns the runs' actors and links them, and is the second net under their endings.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use ractor::{
    Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, ActorRuntime, SpawnErr,
    SupervisionEvent,
};

use super::{
    launch::{Launch, SupervisorMsg},
    messages::{RuntimeMessage, obey},
    registry::Registry,
};
use crate::{
    cancel::{CancelReason, CancelRequest},
    outcome::ErrorReason,
    run::{actor::RunActor, ending::Ending, log::RunLog},
    status::RunStatus,
};

/// Spawns the supervisor of `registry`, under `parent` where there is one.
pub(super) fn spawn(registry: &Arc<Registry>, parent: Option<ActorCell>) {
    let supervisor = Supervisor {
        registry: registry.clone(),
    };
    let spawned = match parent {
        None => ActorRuntime::spawn_instant(None, supervisor, ()),
        Some(parent) => ActorRuntime::spawn_linked_instant(None, supervisor, (), parent),
    };
    // Only a name can be refused, and it has none. If it were refused, the supervisor is dropped, which
    // closes the registry.
    if let Ok((actor, _started)) = spawned {
        let _ = registry.supervisor.set(actor);
    }
}

struct Supervisor {
    registry: Arc<Registry>,
}

/// A run whose actor is our child.
pub(super) struct Child {
    log: Arc<RunLog>,
    /// The actor has paused the run, which may have another actor by the time we are notified of this one's end.
    left: Arc<AtomicBool>,
}

impl Drop for Supervisor {
    /// However it ended: no run can be launched any more, so none is accepted, and those that wait end.
    fn drop(&mut self) {
        self.registry.close();
        self.registry.empty_queue();
    }
}

impl Actor for Supervisor {
    type Msg = RuntimeMessage;
    /// The runs whose actors are our children.
    type State = HashMap<ActorId, Child>;
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ActorRef<RuntimeMessage>,
        (): (),
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(HashMap::new())
    }

    async fn handle(
        &self,
        me: ActorRef<RuntimeMessage>,
        message: RuntimeMessage,
        children: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match obey(&self.registry, message) {
            None => {}
            Some(SupervisorMsg::Launch(launch)) => launch_run(&me, *launch, children).await,
            Some(SupervisorMsg::KillAll(reply)) => {
                for child in me.get_cell().get_children() {
                    child.kill();
                }
                let _ = reply.send(());
            }
        }
        Ok(())
    }

    /// ractor's default would stop the supervisor when any run ends.
    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<RuntimeMessage>,
        event: SupervisionEvent,
        children: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let (child, message) = match event {
            SupervisionEvent::ActorTerminated(child, _, _) => {
                (child, "the run's actor ended without a word".to_owned())
            }
            SupervisionEvent::ActorFailed(child, error) => (child, error.to_string()),
            // Starts and groups; and what other features of ractor, which any crate may turn on, add to these.
            _ => return Ok(()),
        };
        if let Some(child) = children.remove(&child.get_id())
            && !child.left.load(Ordering::Acquire)
        {
            // Refused in all but the strangest cases: the actor, or its guard, has ended the run.
            child.log.end(Ending::Failed(ErrorReason::Killed, message));
        }
        Ok(())
    }

    /// A graceful stop cancels what is still running. The actors are killed next, as ractor does with the children of
    /// an actor that stops, and their guards end the runs.
    async fn post_stop(
        &self,
        _: ActorRef<RuntimeMessage>,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        self.registry.close();
        let request = CancelRequest::new(CancelReason::Shutdown);
        for log in self.registry.all() {
            // A paused run has no actor: it keeps waiting.
            if log.status() != RunStatus::Paused {
                log.cancel(&request);
            }
        }
        Ok(())
    }
}

/// Spawns the actor of one run. Never fails: a run that gets no actor is ended by its guard.
async fn launch_run(
    me: &ActorRef<RuntimeMessage>,
    launch: Launch,
    children: &mut HashMap<ActorId, Child>,
) {
    let Launch {
        guard, supervisor, ..
    } = launch;
    let (log, left) = (guard.log().clone(), guard.left());
    let linked = supervisor.is_some();
    let parent = supervisor.unwrap_or_else(|| me.get_cell());
    match Actor::spawn_linked(None, RunActor::new(guard, linked), (), parent).await {
        Ok((actor, _)) if !linked => {
            children.insert(actor.get_id(), Child { log, left });
        }
        Ok(_) => {}
        Err(error) => report(&log, &error),
    }
}

fn report(log: &RunLog, error: &SpawnErr) {
    tracing::error!(run_id = %log.id, %error, "the run's actor was not spawned");
}
