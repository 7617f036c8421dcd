//! A run as people are shown it, and what comes after that.

use super::{EventStream, Run};
use crate::{error::EventsError, view::RunView};

impl Run {
    /// What the run's stored events come to by now.
    ///
    /// # Errors
    ///
    /// [`EventsError`] when they could not be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels nothing.
    pub async fn view(&self) -> Result<RunView, EventsError> {
        Ok(self.view_and_events().await?.0)
    }

    /// What the run's stored events come to by now, and the events from the next one on. Fed with them the view stays that
    /// of the run: nothing is missed in between, and nothing comes twice.
    ///
    /// # Errors
    ///
    /// [`EventsError`] when the events could not be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels nothing.
    pub async fn view_and_events(&self) -> Result<(RunView, EventStream), EventsError> {
        let (mut view, mut events) = (RunView::new(), self.events());
        loop {
            match events.next_stored().await {
                Some(Ok(event)) => view.event(&event),
                // What is stored is all there is; the stream says the same again.
                Some(Err(EventsError::StoreLost { .. })) => {
                    let rest = self.events_from(view.seq + 1);
                    return Ok((view, rest));
                }
                Some(Err(error)) => return Err(error),
                None => return Ok((view, events)),
            }
        }
    }
}
