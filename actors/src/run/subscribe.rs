//! Feeding actors: a pump for each subscriber, with credit.

use std::{fmt, pin::pin, sync::Arc};

use futures::{Stream, StreamExt, future::select};
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
pub struct Delivery<T = RunEvent, E = EventsError> {
    event: Result<T, E>,
    _credit: OwnedSemaphorePermit,
}

impl<T, E: Clone> Delivery<T, E> {
    /// The event.
    ///
    /// # Errors
    ///
    /// [`EventsError`] when there is something to tell that is no event: the store was lost, or changes were missed.
    pub fn event(&self) -> Result<&T, E> {
        self.event.as_ref().map_err(E::clone)
    }
}

impl<T: fmt::Debug, E: fmt::Debug> fmt::Debug for Delivery<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Delivery").field(&self.event).finish()
    }
}

/// Casts what `stream` says to `actor`, until either of them ends.
pub(crate) fn feed<T, E, M>(
    tokio: &Handle,
    mut stream: impl Stream<Item = Result<T, E>> + Send + Unpin + 'static,
    actor: ActorRef<M>,
) where
    T: Send + 'static,
    E: Send + 'static,
    M: Message + From<Delivery<T, E>>,
{
    let cell = actor.get_cell();
    let pump = async move {
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
    };
    tokio.spawn(async move {
        // A run may say nothing for days: an actor that has stopped is not to be found by the next cast only.
        let stopped = pin!(cell.wait(None));
        select(pin!(pump), stopped).await;
    });
}
