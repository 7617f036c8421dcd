//! One run, as its caller holds it.

pub(crate) mod actor;
pub(crate) mod alarm;
mod call_tasks;
mod cancel;
mod cancel_on_drop;
pub(crate) mod counters;
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
mod outbox;
mod poke;
mod restore;
mod steers;
pub(crate) mod stored;
mod subscribe;
pub(crate) mod tail;
mod tally;
pub(crate) mod together;
mod verdict;
mod view;
mod waiters;
mod work;

use std::{fmt, sync::Arc};

use ractor::{ActorRef, Message};

pub use self::{
    cancel::Cancel, cancel_on_drop::CancelOnDrop, events::EventStream, info::RunInfo,
    judge::Steering, messages::RunMessage, steers::SteerOutcome, subscribe::Delivery,
};
use self::{
    log::{RunLog, RuntimeEnv},
    stored::StoredRun,
    tail::Tail,
};
pub(crate) use self::{messages::reply, subscribe::feed, work::LoadHistory};
use crate::{
    cancel::CancelRequest, error::EventsError, id::RunId, outcome::Outcome, status::RunStatus,
};

/// One run. Cheap to clone; all clones stand for the same run. Dropping them cancels nothing.
#[derive(Clone)]
pub struct Run {
    of: Of,
}

#[derive(Clone)]
enum Of {
    /// A run that is in memory.
    Live(Arc<RunLog>),
    /// A run that was in the store only when it was found.
    Stored(Arc<StoredRun>),
}

impl Run {
    pub(crate) fn new(log: Arc<RunLog>) -> Run {
        Run { of: Of::Live(log) }
    }

    pub(crate) fn stored(run: Arc<StoredRun>) -> Run {
        Run {
            of: Of::Stored(run),
        }
    }

    /// The run's log, or else what the store had of it.
    fn log(&self) -> Result<&Arc<RunLog>, &Arc<StoredRun>> {
        match &self.of {
            Of::Live(log) => Ok(log),
            Of::Stored(run) => run.log().ok_or(run),
        }
    }

    fn env(&self) -> &Arc<RuntimeEnv> {
        match &self.of {
            Of::Live(log) => &log.env,
            Of::Stored(run) => &run.env,
        }
    }

    /// The run's id.
    pub fn id(&self) -> RunId {
        match &self.of {
            Of::Live(log) => log.id,
            Of::Stored(run) => run.head.run_id,
        }
    }

    /// The name of the agent.
    pub fn agent_name(&self) -> &str {
        match &self.of {
            Of::Live(log) => &log.agent,
            Of::Stored(run) => &run.head.agent,
        }
    }

    /// The session the run belongs to, if any.
    pub fn session_id(&self) -> Option<&str> {
        match &self.of {
            Of::Live(log) => log.session_id.as_deref(),
            Of::Stored(run) => run.head.session_id.as_deref(),
        }
    }

    /// Where the run stands now. Returns at once, whatever the model does. It may be ahead of an event that still
    /// waits in a stream or a mailbox: there, decide by the event.
    ///
    /// Of a run that this runtime does not have, as of one that another runtime works for, it is where the run stood when
    /// the store was asked; [`Runtime::get`](crate::Runtime::get) asks it again. A run that is paused, and is continued or
    /// ended in this runtime later, is followed.
    pub fn status(&self) -> RunStatus {
        match self.log() {
            Ok(log) => log.status(),
            Err(run) => run.head.status,
        }
    }

    /// The run's events from the first on.
    pub fn events(&self) -> EventStream {
        self.events_from(1)
    }

    /// The run's events from position `seq` on: to resume, one more than the last that was seen.
    ///
    /// Of a run that this runtime does not have, it shows what is stored, and ends with
    /// [`EventsError::NotHere`] unless the run has ended.
    pub fn events_from(&self, seq: u64) -> EventStream {
        match self.log() {
            Ok(log) => EventStream::follow(log.id, log.env.clone(), log.clone(), seq),
            Err(run) => EventStream::find(run.clone(), seq),
        }
    }

    /// Feeds the run's events to an actor, from the first on, as messages made from [`Delivery`].
    ///
    /// At most 64 deliveries are on their way at a time; a slow actor lags behind and then catches up from the log, so
    /// nothing is lost and nothing grows. An actor that has stopped is no longer fed.
    pub fn subscribe<M>(&self, actor: &ActorRef<M>)
    where
        M: Message + From<Delivery>,
    {
        feed(&self.env().tokio, self.events(), actor.clone());
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
    /// A run that was in the store only is looked for again, in the background: it is cancelled as
    /// [`Runtime::cancel_with`](crate::Runtime::cancel_with) does it, whether or not the future is polled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take the cancel back.
    pub fn cancel_with(&self, request: CancelRequest) -> Cancel {
        match self.log() {
            Ok(log) => Cancel::of_log(log, log.cancel(&request)),
            Err(run) => run.cancel(request),
        }
    }

    /// Ties the run to a value: when it is dropped, the run is cancelled. Dropping a [`Run`] alone cancels nothing.
    pub fn cancel_on_drop(&self, request: CancelRequest) -> CancelOnDrop {
        CancelOnDrop::new(self.clone(), request)
    }

    /// Waits for the run to end, and for that to be stored.
    ///
    /// # Errors
    ///
    /// [`EventsError`] when the store was lost, or could not be read, or the run has not ended and is not in this runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels nothing.
    pub async fn outcome(&self) -> Result<Outcome, EventsError> {
        let tail = match self.log() {
            Ok(log) => log.clone() as Arc<dyn Tail>,
            Err(run) => run.clone().tail().await?,
        };
        let last = tail::wait_ended(&*tail).await?;
        let mut events = EventStream::follow(self.id(), self.env().clone(), tail, last);
        match events.next().await {
            Some(event) => event?.kind.outcome(),
            None => None,
        }
        .ok_or(EventsError::Expired { first: last + 1 })
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("id", &self.id())
            .field("agent", &self.agent_name())
            .field("status", &self.status())
            .finish()
    }
}
