//! Who holds a session, and who waits for it.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{launch::Launch, timer::Timer};
use crate::id::RunId;

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
    /// The runs at work are cancelled with the reason `Superseded`, and it comes next, before any that wait.
    Interrupt,
    /// It begins at once, beside them. What they say is not part of its history.
    Parallel,
}

/// The sessions that are held or waited for.
#[derive(Default)]
pub(super) struct SessionQueues(HashMap<Arc<str>, SessionQueue>);

#[derive(Default)]
struct SessionQueue {
    /// Runs that may be at work, or whose ending is not stored yet.
    holders: Vec<RunId>,
    waiting: VecDeque<Waiting>,
}

/// A run that waits for its session.
pub(super) struct Waiting {
    pub(super) launch: Launch,
    /// Ends the waiting.
    pub(super) timer: Option<Timer>,
}

impl SessionQueues {
    /// The runs that hold a session; `None` when it is free and nobody waits for it.
    pub(super) fn holders(&self, session: &str) -> Option<&[RunId]> {
        self.0.get(session).map(|lane| &*lane.holders)
    }

    /// How many wait for a session.
    pub(super) fn waiting(&self, session: &str) -> usize {
        self.0.get(session).map_or(0, |lane| lane.waiting.len())
    }

    /// How many wait for any session.
    pub(super) fn all_waiting(&self) -> usize {
        self.0.values().map(|lane| lane.waiting.len()).sum()
    }

    /// How many sessions are held or waited for.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn hold(&mut self, session: &Arc<str>, run: RunId) {
        let lane = self.0.entry(session.clone()).or_default();
        lane.holders.push(run);
    }

    /// Has a run wait, `first` before all others.
    pub(super) fn wait(&mut self, session: &Arc<str>, waiting: Waiting, first: bool) {
        let lane = self.0.entry(session.clone()).or_default();
        if first {
            lane.waiting.push_front(waiting);
        } else {
            lane.waiting.push_back(waiting);
        }
    }

    /// Takes a run out that waits.
    pub(super) fn leave(&mut self, session: &str, run: RunId) -> Option<Waiting> {
        let lane = self.0.get_mut(session)?;
        let at = lane
            .waiting
            .iter()
            .position(|waiting| waiting.launch.log().id == run)?;
        let gone = lane.waiting.remove(at);
        self.forget_if_free(session);
        gone
    }

    /// A run holds its session no longer. Answers who comes next, and holds it from now on.
    pub(super) fn release(&mut self, session: &str, run: RunId) -> Option<Waiting> {
        let lane = self.0.get_mut(session)?;
        lane.holders.retain(|holder| *holder != run);
        if !lane.holders.is_empty() {
            return None;
        }
        let next = lane.waiting.pop_front();
        lane.holders
            .extend(next.iter().map(|next| next.launch.log().id));
        self.forget_if_free(session);
        next
    }

    /// Takes out all that wait.
    pub(super) fn empty(&mut self) -> Vec<Waiting> {
        let sessions_held = self.0.values_mut();
        sessions_held
            .flat_map(|lane| lane.waiting.drain(..))
            .collect()
    }

    fn forget_if_free(&mut self, session: &str) {
        let free = |lane: &SessionQueue| lane.holders.is_empty() && lane.waiting.is_empty();
        if self.0.get(session).is_some_and(free) {
            self.0.remove(session);
        }
    }
}
