//! Tying a run to a value.

use super::Run;
use crate::cancel::CancelRequest;

/// Cancels a run when it is dropped, unless it was [disarmed](CancelOnDrop::disarm) before. See
/// [`Run::cancel_on_drop`].
///
/// ```
/// use quell_actors::{Agent, CancelReason, CancelRequest, RunStatus, Runtime, sim::Storyteller};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let poet = Agent::new("poet", Storyteller::endless());
/// let run = Runtime::new().start(&poet, "Sing of the sea.").await?;
/// {
///     let _client = run.cancel_on_drop(CancelRequest::new(CancelReason::Disconnected));
/// }
/// assert_eq!(run.outcome().await?.status(), RunStatus::Cancelled);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "the run is cancelled when this is dropped"]
pub struct CancelOnDrop {
    run: Run,
    request: Option<CancelRequest>,
}

impl CancelOnDrop {
    pub(super) fn new(run: Run, request: CancelRequest) -> CancelOnDrop {
        CancelOnDrop {
            run,
            request: Some(request),
        }
    }

    /// Lets the run continue by itself.
    pub fn disarm(mut self) {
        self.request = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            // The cancel takes effect in the call.
            self.run.cancel_with(request);
        }
    }
}
