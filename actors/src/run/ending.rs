//! The last events of a run's log.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::log::{Inner, RunLog};
use crate::{
    cancel::{Receipt, ToolReceipt},
    event::{EventKind, ModelRequestCompleted, ToolFault},
    machine::End,
    outcome::{ErrorReason, FinishReason, Partial, Reply, RunError},
    provider::ProviderParts,
    store::AppendError,
    transcript::Words,
};

/// How a run is to end, if the law lets it.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The model finished, and this is to be given back with its answer.
    Completed(FinishReason, Option<Arc<ProviderParts>>),
    /// Something failed for good.
    Failed(ErrorReason, String),
    /// A cancel was accepted, and everything that was running has been dropped.
    Quiet,
    /// The process that was running the run is gone.
    Crashed,
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
    log: &RunLog,
    inner: &Inner,
    now: Instant,
    end: End,
    ending: Ending,
) -> Vec<EventKind> {
    let mut words = Words::default();
    log.tape.each(|kind| words.event(kind));
    let Words {
        text, reasoning, ..
    } = words;
    let tally = inner.facts.tally();
    let crashed = matches!(ending, Ending::Crashed);
    match end {
        End::Completed => {
            let (finish, provider) = match ending {
                Ending::Completed(finish, provider) => (finish, provider),
                Ending::Failed(..) | Ending::Quiet | Ending::Crashed => (FinishReason::Stop, None),
            };
            let (turn, attempt) = inner.facts.request();
            let completed = ModelRequestCompleted {
                turn,
                attempt,
                finish: finish.clone(),
                usage: tally.request(),
                calls: Vec::new(),
                provider,
                fault: None,
                retry_in_ms: None,
            };
            let reply = Reply {
                text,
                reasoning,
                finish,
                usage: tally.total(),
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
                Ending::Crashed => Some(CRASHED.to_owned()),
                Ending::Completed(..) | Ending::Quiet => None,
            };
            let cut = match crashed {
                true => UNKNOWN,
                false => (ToolFault::Cancelled, CUT),
            };
            let (mut events, tools) = inner.facts.calls().results(true, cut);
            let receipt = receipt(log, inner, now, fault, tools);
            let partial = Partial {
                text,
                reasoning,
                receipt,
            };
            events.push(EventKind::Cancelled {
                partial: Arc::new(partial),
            });
            events
        }
        End::Error => {
            let (reason, message) = match ending {
                Ending::Failed(reason, message) => (reason, message),
                Ending::Crashed => (ErrorReason::Interrupted, CRASHED.to_owned()),
                Ending::Completed(..) | Ending::Quiet => {
                    (ErrorReason::Killed, "the run ended out of turn".to_owned())
                }
            };
            let cut = match crashed {
                true => UNKNOWN,
                false => (ToolFault::NotFinished, UNFINISHED),
            };
            let (mut events, _) = inner.facts.calls().results(false, cut);
            let error = RunError {
                reason,
                message,
                text,
                reasoning,
                usage: tally.total_if_broken(),
            };
            events.push(EventKind::Error {
                error: Arc::new(error),
            });
            events
        }
    }
}

/// What a person is told of a run whose process is gone.
const CRASHED: &str = "the process ended while the run was at work";

/// What a model is told of calls that were cut.
const CUT: &str = "The call was cancelled before it was done. A part of it may have been done.";
const UNFINISHED: &str =
    "The run failed before the call was done. A part of it may have been done.";
const UNKNOWN: (ToolFault, &str) = (ToolFault::UnknownOutcome, "");

fn receipt(
    log: &RunLog,
    inner: &Inner,
    now: Instant,
    fault: Option<String>,
    tools: Vec<ToolReceipt>,
) -> Receipt {
    let usage = inner.facts.tally().total();
    let cancel = inner
        .facts
        .cancel()
        .expect("the law ends a run as cancelled only after a cancel, and that was noted");
    let took = match inner.cancelled_at {
        Some(since) => now.saturating_duration_since(since),
        // It was accepted by another process, with a clock of its own.
        None => log.env.clock.at(now).since(cancel.at),
    };
    Receipt {
        requested_at: cancel.at,
        seq: cancel.seq,
        reason: cancel.reason.clone(),
        by: cancel.by.clone(),
        cut: cancel.cut,
        took: whole_micros(took),
        usage,
        cost: log.prices().map(|prices| prices.cost(&usage)),
        tools,
        children: inner.children.cut().to_vec(),
        fault,
    }
}

/// A time as it is stored: what is seen live and what is replayed are the same.
fn whole_micros(time: Duration) -> Duration {
    Duration::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}
