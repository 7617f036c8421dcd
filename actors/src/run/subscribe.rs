//! Feeding actors: a pump for each subscriber, with credit.

use std::{fmt, sync::Arc};

use futures::{Stream, StreamExt};
use ractor::{ActorRef, Message};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{error::EventsError, event::RunEvent};

/// How many deliveries may be on their way to one subscriber.
const CREDIT: usize = 64;

/// An event on its way to an actor.
///
/// Keep it until the event is handled: dropping it makes room for the next one, and that is all that bounds a slow
/// actor's mailbox.
pub struct Delivery<T = RunEvent> {
    event: Result<T, EventsError>,
    _credit: OwnedSemaphorePermit,
}

impl<T> Delivery<T> {
    /// The event.
    ///
    /// # Errors
    ///
    /// [`EventsError`] when there is something to tell that is no event: the store was lost, or changes were missed.
    pub fn event(&self) -> Result<&T, EventsError> {
        self.event.as_ref().map_err(EventsError::clone)
    }
}

impl<T: fmt::Debug> fmt::Debug for Delivery<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Delivery").field(&self.event).finish()
    }
}

/// Casts what `stream` says to `actor`, until either of them ends.
pub(crate) fn feed<T, M>(
    tokio: &Handle,
    mut stream: impl Stream<Item = Result<T, EventsError>> + Send + Unpin + 'static,
    actor: ActorRef<M>,
) where
    T: Send + 'static,
    M: Message + From<Delivery<T>>,
{
    tokio.spawn(async move {
        let credit = Arc::new(Semaphore::new(CREDIT));
        while let Ok(permit) = credit.clone().acquire_owned().await {
            let Some(event) = stream.next().await else {
                return;
            };
            let delivery = Delivery {
                event,
                _credit: permit,
            };
            if actor.cast(M::from(delivery)).is_err() {
                return;
            }
        }
    });
}
