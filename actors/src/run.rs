//! One run, as whoever started it holds it.

pub(crate) mod actor;
pub(crate) mod alarm;
mod call_tasks;
mod cancel;
mod cancel_on_drop;
pub(crate) mod counters;
mod delivery;
mod drive;
pub(crate) mod ending;
mod events;
mod facts;
mod flush;
mod info;
pub(crate) mod judge;
pub(crate) mod log;
mod messages;
mod open_calls;
mod poke;
mod restore;
mod steers;
mod subscribe;
mod tail;
mod tally;
pub(crate) mod together;
mod verdict;
mod view;
mod waiters;
mod work;

use std::{fmt, sync::Arc};

use ractor::{ActorRef, Message};

use self::log::RunLog;
pub use self::{
    cancel::Cancel, cancel_on_drop::CancelOnDrop, events::EventStream, info::RunInfo,
    judge::Steering, messages::RunMessage, steers::SteerOutcome, subscribe::Delivery,
};
pub(crate) use self::{messages::reply, subscribe::feed, work::LoadHistory};
use crate::{
    cancel::CancelRequest, error::EventsError, id::RunId, outcome::Outcome, status::RunStatus,
};

/// One run. Cheap to clone; all clones stand for the same run. Dropping them cancels nothing.
#[derive(Clone)]
pub struct Run {
    log: Arc<RunLog>,
}

impl Run {
    pub(crate) fn new(log: Arc<RunLog>) -> Run {
        Run { log }
    }

    /// The run's id.
    pub fn id(&self) -> RunId {
        self.log.id
    }

    /// The name of the agent.
    pub fn agent_name(&self) -> &str {
        &self.log.agent
    }

    /// The session the run belongs to, if any.
    pub fn session_id(&self) -> Option<&str> {
        self.log.session_id.as_deref()
    }

    /// Where the run stands now. Answered at once, whatever the model is at. It may be ahead of an event that still
    /// waits in a stream or a mailbox: there, decide by the event.
    pub fn status(&self) -> RunStatus {
        self.log.status()
    }

    /// The run's events from the first on.
    pub fn events(&self) -> EventStream {
        self.events_from(1)
    }

    /// The run's events from position `seq` on: to resume, one more than the last that was seen.
    pub fn events_from(&self, seq: u64) -> EventStream {
        let log = &self.log;
        EventStream::new(log.id, log.env.clone(), log.clone(), seq)
    }

    /// Feeds the run's events to an actor, from the first on, as messages made from [`Delivery`].
    ///
    /// At most 64 deliveries are on their way at a time; a slow actor lags behind and then catches up from the log, so
    /// nothing is lost and nothing grows. An actor that has stopped is no longer fed.
    pub fn subscribe<M>(&self, actor: &ActorRef<M>)
    where
        M: Message + From<Delivery>,
    {
        feed(&self.log.env.tokio, self.events(), actor.clone());
    }

    /// Cancels the run: [`cancel_with`](Run::cancel_with) the reason `Requested`.
    pub fn cancel(&self) -> Cancel {
        self.cancel_with(CancelRequest::default())
    }

    /// Cancels the run, wherever it is.
    ///
    /// The cancel takes effect in this call: the answer is decided, and the run's actor is woken to drop what is running.
    /// The future that is returned waits for the `CancelRequested` event to be stored, 100 ms at most. Both may be used on
    /// any thread.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take the cancel back.
    pub fn cancel_with(&self, request: CancelRequest) -> Cancel {
        Cancel::new(&self.log, self.log.cancel(&request))
    }

    /// Ties the run to a value: when it is dropped, the run is cancelled. Dropping a [`Run`] alone cancels nothing.
    pub fn cancel_on_drop(&self, request: CancelRequest) -> CancelOnDrop {
        CancelOnDrop::new(self.clone(), request)
    }

    /// Waits for the run to end, and for that to be stored.
    ///
    /// # Errors
    ///
    /// [`EventsError`] when the store was lost, or could not be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels nothing.
    pub async fn outcome(&self) -> Result<Outcome, EventsError> {
        let last = self.log.wait_ended().await?;
        match self.events_from(last).next().await {
            Some(event) => event?.kind.outcome(),
            None => None,
        }
        .ok_or(EventsError::Expired { first: last + 1 })
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("id", &self.log.id)
            .field("agent", &self.log.agent)
            .field("status", &self.status())
            .finish()
    }
}
