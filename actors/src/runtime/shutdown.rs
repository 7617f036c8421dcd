//! Ending everything, in two phases.

use std::time::Duration;

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

use super::{Runtime, launch::SupervisorMsg, messages::RuntimeMessage};
use crate::{
    cancel::{CancelReason, CancelRequest},
    outcome::ErrorReason,
    run::{Run, ending::Ending, log::RunLog},
    settings::required,
    status::RunStatus,
};

/// How long a shutdown waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long runs may take to finish. Default: 5 seconds.
    #[serde(with = "required")]
    pub finish_within: Duration,
    /// How long runs may then take to be cancelled. What has not ended by then is abandoned. Default: 5 seconds.
    #[serde(with = "required")]
    pub cancel_within: Duration,
}

impl Default for Shutdown {
    fn default() -> Shutdown {
        Shutdown {
            finish_within: Duration::from_secs(5),
            cancel_within: Duration::from_secs(5),
        }
    }
}

/// What a shutdown did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Runs that ended by themselves.
    pub finished: usize,
    /// Runs that were cancelled.
    pub cancelled: usize,
    /// Runs that did not release their work in time, and were ended without it.
    pub abandoned: usize,
}

/// Whether a run has an actor, or will. A pause that is not stored yet counts as a pause.
fn is_at_work(log: &RunLog) -> bool {
    let status = log.status();
    !status.is_ended() && status != RunStatus::Paused
}

impl Runtime {
    /// Ends the runtime: accepts no more runs, lets the live ones continue for a while, cancels the rest with the
    /// reason [`Shutdown`](CancelReason::Shutdown), and stops the supervisor last. Paused runs stay as they are, in the
    /// store, and do not expire any more: they are for the next runtime on this store.
    ///
    /// A second shutdown, also at the same time, only waits.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped the runtime stays closed, and what was not cancelled yet continues.
    pub async fn shutdown(&self, limits: Shutdown) -> ShutdownReport {
        let registry = self.registry();
        registry.close();
        let before = registry.all().len();

        self.idle(limits.finish_within).await;
        let begun = Instant::now();
        let request = CancelRequest::new(CancelReason::Shutdown);
        let cancelling = registry.all().into_iter().filter(|log| is_at_work(log));
        let cancelling: Vec<_> = cancelling
            .map(|log| Run::new(log).cancel_with(request.clone()))
            .collect();
        let cancelled = cancelling.len();
        let _ = timeout(limits.cancel_within, join_all(cancelling)).await;

        self.idle(limits.cancel_within.saturating_sub(begun.elapsed()))
            .await;
        let mut abandoned = 0;
        for log in registry.all() {
            let message = "its work did not stop in time, and was abandoned".to_owned();
            if log.end(Ending::Failed(ErrorReason::Killed, message)) {
                abandoned += 1;
            }
        }
        self.stop_supervisor(limits.cancel_within).await;
        ShutdownReport {
            finished: before.saturating_sub(cancelled),
            cancelled: cancelled.saturating_sub(abandoned),
            abandoned,
        }
    }

    /// Waits until no run is left, `within` a limit.
    async fn idle(&self, within: Duration) {
        let registry = self.registry();
        let none_left = async {
            loop {
                let told = registry.gone.notified();
                if registry.is_idle() {
                    return;
                }
                told.await;
            }
        };
        // A limit too long for the clock does not apply.
        let _ = timeout(within, none_left).await;
    }

    async fn stop_supervisor(&self, within: Duration) {
        let Some(supervisor) = self.registry().supervisor.get() else {
            return;
        };
        // Answered with an error when the supervisor is gone, which is what is wanted.
        let kill_all = |port| RuntimeMessage::own(SupervisorMsg::KillAll(port));
        let _ = supervisor.call(kill_all, Some(within)).await;
        supervisor.stop(None);
        let _ = supervisor.wait(Some(within)).await;
    }
}
