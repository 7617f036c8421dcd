//! The last words of a run's log.

use std::sync::Arc;

use tokio::time::Instant;

use super::log::Inner;
use crate::{
    cancel::Receipt,
    event::{EventKind, ModelRequestCompleted},
    machine::End,
    outcome::{ErrorReason, FinishReason, Partial, Reply, RunError},
    store::AppendError,
};

/// How a run is to end, if the law lets it.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The model finished.
    Completed(FinishReason),
    /// Something failed for good.
    Failed(ErrorReason, String),
    /// A cancel was accepted, and everything that was at work has been dropped.
    Quiet,
}

impl Ending {
    /// The store was lost. Nobody is shown this ending: it will not be stored.
    pub(crate) fn store_lost(error: &AppendError) -> Ending {
        Ending::Failed(ErrorReason::Interrupted, error.to_string())
    }
}

/// The events that end a log, the ending last. `end` is what the law decided, `ending` what was proposed: after an
/// accepted cancel every proposal becomes `Cancelled`, and a failure stands in the receipt.
pub(super) fn compose(
    inner: &mut Inner,
    (text, reasoning): (String, String),
    now: Instant,
    end: End,
    ending: Ending,
) -> Vec<EventKind> {
    match end {
        End::Completed => {
            let finish = match ending {
                Ending::Completed(finish) => finish,
                Ending::Failed(..) | Ending::Quiet => FinishReason::Stop,
            };
            let (turn, attempt) = inner.request;
            let completed = ModelRequestCompleted {
                turn,
                attempt,
                finish: finish.clone(),
                usage: inner.tally.close(),
                calls: Vec::new(),
                fault: None,
                retry_in_ms: None,
            };
            let reply = Reply {
                text,
                reasoning,
                finish,
                usage: inner.tally.total(),
            };
            vec![
                EventKind::ModelRequestCompleted(Arc::new(completed)),
                EventKind::Completed {
                    reply: Arc::new(reply),
                },
            ]
        }
        End::Cancelled => {
            let fault = match ending {
                Ending::Failed(_, message) => Some(message),
                Ending::Completed(_) | Ending::Quiet => None,
            };
            let receipt = receipt(inner, now, fault);
            let partial = Partial {
                text,
                reasoning,
                receipt,
            };
            vec![EventKind::Cancelled {
                partial: Arc::new(partial),
            }]
        }
        End::Error => {
            let (reason, message) = match ending {
                Ending::Failed(reason, message) => (reason, message),
                Ending::Completed(_) | Ending::Quiet => {
                    (ErrorReason::Killed, "the run ended out of turn".to_owned())
                }
            };
            inner.tally.broken();
            let error = RunError {
                reason,
                message,
                text,
                reasoning,
                usage: inner.tally.total(),
            };
            vec![EventKind::Error {
                error: Arc::new(error),
            }]
        }
    }
}

fn receipt(inner: &Inner, now: Instant, fault: Option<String>) -> Receipt {
    let cancel = inner
        .cancel
        .as_ref()
        .expect("the law ends a run as cancelled only after a cancel, and that was noted");
    Receipt {
        requested_at: cancel.at,
        seq: cancel.seq,
        reason: cancel.reason.clone(),
        by: cancel.by.clone(),
        cut: cancel.cut,
        took: now.saturating_duration_since(cancel.since),
        usage: inner.tally.total(),
        cost: None,
        tools: Vec::new(),
        children: Vec::new(),
        fault,
    }
}
