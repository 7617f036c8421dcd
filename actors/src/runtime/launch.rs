//! The messages of the supervisor.

use std::sync::{Arc, atomic::Ordering};

use ractor::{ActorCell, RpcReplyPort};

use super::effects::report;
use crate::{
    agent::Agent,
    run::{
        LoadHistory,
        actor::{Guard, quietly_drop},
        log::RunLog,
    },
};

/// A run that was accepted and has no actor yet. Dropping it ends the run.
pub(super) struct Launch {
    pub(super) guard: Guard,
    pub(super) agent: Agent,
    /// The supervisor to link to, if not the runtime's own.
    pub(super) supervisor: Option<ActorCell>,
}

impl Launch {
    /// For the run of `log`, which continues after the turns that are behind it. With `history` it begins by reading
    /// what was said before in its session.
    pub(super) fn new(
        log: &Arc<RunLog>,
        agent: &Agent,
        history: Option<LoadHistory>,
        supervisor: Option<ActorCell>,
    ) -> Launch {
        Launch {
            guard: Guard::new(log.clone(), agent.clone(), log.turn(), history),
            agent: agent.clone(),
            supervisor,
        }
    }

    pub(super) fn log(&self) -> &Arc<RunLog> {
        self.guard.log()
    }

    /// The run is not to be launched, and stays as it is.
    pub(super) fn withdraw(self) {
        self.guard.left().store(true, Ordering::Release);
        report(quietly_drop(self));
    }
}

pub(super) enum SupervisorMsg {
    /// Gives a run its actor.
    Launch(Box<Launch>),
    /// Kills what is left.
    KillAll(RpcReplyPort<()>),
}
