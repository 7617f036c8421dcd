//! What a cancel of a run returns.

use std::{
    fmt,
    future::{Future, ready},
    panic::catch_unwind,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Either, select},
};
use tokio::{runtime::Handle, time::sleep};

use super::{judge::CancelDecision, log::RunLog, together::TOGETHER};
use crate::cancel::CancelOutcome;

/// How long a cancel waits for the store in all.
const DURABLE: Duration = Duration::from_millis(100);

/// A cancel that has taken effect. Awaiting it tells whether its `CancelRequested` event is stored, and takes 100 ms at
/// most.
///
/// It may be dropped: the call that returned it has already decided the cancel, and has made the run stop its work. Where
/// the run was in the store only, the store is asked in the background, and awaiting it takes as long as that does.
///
/// ```
/// use quell_actors::{Agent, CancelOutcome, RunStatus, Runtime, sim::Storyteller};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let poet = Agent::new("poet", Storyteller::endless());
/// let run = Runtime::new().start(&poet, "Sing of the sea.").await?;
/// let cancel = run.cancel();
/// assert!(cancel.decided().is_some_and(CancelOutcome::is_accepted));
/// assert_eq!(run.status(), RunStatus::Cancelling);
/// assert!(matches!(cancel.await, CancelOutcome::Accepted { durable: true, .. }));
/// # Ok(())
/// # }
/// ```
pub struct Cancel {
    decided: Option<CancelOutcome>,
    answer: BoxFuture<'static, CancelOutcome>,
}

impl Cancel {
    pub(crate) fn of_log(log: &Arc<RunLog>, decision: CancelDecision) -> Cancel {
        let seq = match decision {
            CancelDecision::Accepted { seq } => seq,
            CancelDecision::AlreadyCancelling => {
                return Cancel::answered(CancelOutcome::AlreadyCancelling);
            }
            CancelDecision::AlreadyEnded(status) => {
                return Cancel::answered(CancelOutcome::AlreadyEnded { status });
            }
        };
        let log = log.clone();
        let answer = async move {
            let durable = durable(&log, seq).await;
            CancelOutcome::Accepted { seq, durable }
        };
        let durable = false;
        Cancel {
            decided: Some(CancelOutcome::Accepted { seq, durable }),
            answer: answer.boxed(),
        }
    }

    /// A cancel whose result is known.
    pub(super) fn answered(answer: CancelOutcome) -> Cancel {
        Cancel {
            decided: Some(answer),
            answer: ready(answer).boxed(),
        }
    }

    /// A cancel that `answer` decides.
    pub(crate) fn later(answer: impl Future<Output = CancelOutcome> + Send + 'static) -> Cancel {
        Cancel {
            decided: None,
            answer: answer.boxed(),
        }
    }

    /// What was decided in the call. Whether an accepted cancel is stored is not known yet, so its `durable` is false.
    /// `None`: the store has to be asked first, as for a paused run that is not in memory.
    pub fn decided(&self) -> Option<CancelOutcome> {
        self.decided
    }
}

impl Future for Cancel {
    type Output = CancelOutcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CancelOutcome> {
        self.answer.poll_unpin(cx)
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancel").field(&self.decided).finish()
    }
}

/// Whether position `seq` is stored in time.
async fn durable(log: &Arc<RunLog>, seq: u64) -> bool {
    let mut stored = pin!(log.wait_stored(seq));
    if let Some(answer) = within(log, TOGETHER, stored.as_mut()).await {
        return answer.is_ok();
    }
    // The runtime of the run does the same, if it is driven and not blocked.
    log.flush();
    matches!(within(log, DURABLE - TOGETHER, stored).await, Some(Ok(())))
}

/// The result of `work` if it comes in time. The time is that of the caller: the tokio runtime of the run may not be
/// driven, or be gone.
async fn within<T>(log: &RunLog, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let timer = async {
        let sleep = Handle::try_current().ok().and_then(|_| {
            // A tokio runtime may have no clock.
            catch_unwind(|| sleep(limit)).ok()
        });
        match sleep {
            Some(sleep) => sleep.await,
            None => log.env.alarm.after(limit).await,
        }
    };
    match select(pin!(work), pin!(timer)).await {
        Either::Left((answer, _)) => Some(answer),
        Either::Right(((), _)) => None,
    }
}
