//! What a start does in a session that is busy.

use serde::{Deserialize, Serialize};

/// What a start does when a run of the same session has not ended. A paused run does not count.
///
/// ```
/// use quell_actors::{Agent, NewRun, RunStatus, Runtime, runtime::WhenBusy, sim::Storyteller};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (runtime, poet) = (Runtime::new(), Agent::new("poet", Storyteller::endless()));
/// let first = runtime.start(&poet, NewRun::new("Sing.").session("s-1")).await?;
/// let other = NewRun::new("Sing of something else.").session("s-1");
/// let second = runtime.start(&poet, other.when_busy(WhenBusy::Interrupt)).await?;
/// assert_eq!(first.outcome().await?.status(), RunStatus::Cancelled);
/// # second.cancel().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenBusy {
    /// It is refused, with [`StartError::SessionBusy`](crate::error::StartError::SessionBusy).
    Reject,
    /// It is accepted, and waits for its turn: `Pending`, without a slot.
    #[default]
    Queue,
    /// The running runs are cancelled with the reason `Superseded`, once its start is stored, and it comes next, before
    /// any that wait.
    Interrupt,
    /// It begins at once, beside them. What they say is not part of its history.
    Parallel,
}
