//! The life of all runs, as it happens.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt, stream, stream::BoxStream};
use ractor::{ActorRef, Message};
use tokio::sync::broadcast::error::RecvError;

use super::Runtime;
use crate::{
    error::ChangesError,
    event::StatusChange,
    run::{Delivery, feed},
};

/// The status changes of all runs of a runtime, without what the runs say. See [`Runtime::changes`].
///
/// It ends when the runtime is gone. A reader that is more than 4,096 changes behind receives the number it missed, as
/// [`ChangesError::Missed`], and continues with those that follow.
#[must_use = "streams do nothing unless polled"]
pub struct Changes(BoxStream<'static, Result<StatusChange, ChangesError>>);

impl Changes {
    /// The next change; `None` when there will be no more.
    ///
    /// # Errors
    ///
    /// [`ChangesError`]; the stream continues after it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<StatusChange, ChangesError>> {
        self.0.next().await
    }
}

impl Stream for Changes {
    type Item = Result<StatusChange, ChangesError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

impl Runtime {
    /// The status changes of all runs, from now on: each as soon as it is stored, in the order of each run.
    ///
    /// To show all runs, begin with this, then read [`list`](Runtime::list), and then follow the changes. It may miss
    /// some, so what has to be exact is counted by [`stats`](Runtime::stats) instead.
    pub fn changes(&self) -> Changes {
        let changes = self.registry().changes();
        let changes = stream::unfold(changes, |mut changes| async move {
            match changes.recv().await {
                Ok(change) => Some((Ok(change), changes)),
                Err(RecvError::Lagged(missed)) => {
                    Some((Err(ChangesError::Missed { missed }), changes))
                }
                Err(RecvError::Closed) => None,
            }
        });
        Changes(changes.boxed())
    }

    /// Feeds the [`changes`](Runtime::changes) to an actor, as messages made from [`Delivery`].
    pub fn subscribe<M>(&self, actor: &ActorRef<M>)
    where
        M: Message + From<Delivery<StatusChange, ChangesError>>,
    {
        feed(&self.registry().env.tokio, self.changes(), actor.clone());
    }
}
