//! What the supervisor is told.

use std::sync::Arc;

use ractor::{ActorCell, RpcReplyPort};

use crate::run::{actor::Guard, log::RunLog};

/// A run that was accepted and has no actor yet. Dropping it ends the run.
pub(super) struct Launch {
    pub(super) guard: Guard,
    /// Whose child it is to be, when not ours.
    pub(super) supervisor: Option<ActorCell>,
}

impl Launch {
    pub(super) fn new(guard: Guard, supervisor: Option<ActorCell>) -> Launch {
        Launch { guard, supervisor }
    }

    pub(super) fn log(&self) -> &Arc<RunLog> {
        self.guard.log()
    }
}

pub(super) enum SupervisorMsg {
    /// Gives a run its actor.
    Launch(Box<Launch>),
    /// Kills what is left.
    KillAll(RpcReplyPort<()>),
}
