//! Stopping a run, and ending it: the one place where a run becomes an ended one.

use std::{
    sync::{Arc, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;
use tracing::Span;

use crate::{
    cancel::{Activity, CancelReason, CancelRequest},
    event::{CancelRequested, EventKind},
    machine::{Effect, End, Input, State},
    outcome::RunError,
    run::{
        ending::{self, Ending},
        flush::Batch,
        log::{Inner, RunLog},
        steers::Steers,
    },
    status::RunStatus,
};

/// A model that has been silent for this long counts as silent, and no longer as streaming.
const SILENT: Duration = Duration::from_secs(1);

/// What the log returns to a cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CancelDecision {
    Accepted { seq: u64 },
    AlreadyCancelling,
    AlreadyEnded(RunStatus),
}

/// What is left to do, outside the log's lock, when it is decided that a run stops.
struct Stopped {
    log: Arc<RunLog>,
    /// Runs that it has started, and that stop with it.
    children: Vec<Arc<RunLog>>,
    steers: Steers,
    status: RunStatus,
    /// The run has ended in the same step.
    ended: Option<JustEnded>,
}

struct JustEnded {
    span: Span,
    error: Option<Arc<RunError>>,
    is_lost: bool,
    batch: Option<Batch>,
}

impl RunLog {
    /// Cancels the run. What is decided here holds, whatever the scheduler does. The actor is poked at once; the event
    /// waits for the ending's append, which follows when the work is dropped.
    pub(crate) fn cancel(self: &Arc<Self>, request: &CancelRequest) -> CancelDecision {
        let (decision, stopped) = self.decide_cancel(self.lock(), request);
        stop_family(stopped);
        decision
    }

    /// The same, of a run that is paused. One that is not stays as it is.
    pub(crate) fn cancel_paused(self: &Arc<Self>, request: &CancelRequest) {
        let inner = self.lock();
        if inner.state() == State::Paused {
            let (_, stopped) = self.decide_cancel(inner, request);
            stop_family(stopped);
        }
    }

    fn decide_cancel(
        self: &Arc<Self>,
        mut inner: MutexGuard<'_, Inner>,
        request: &CancelRequest,
    ) -> (CancelDecision, Option<Stopped>) {
        let now = Instant::now();
        let cut = inner.activity(now);
        let effect = inner.take(Input::Cancel);
        if effect == Effect::Refuse {
            let decision = match inner.facts.status() {
                RunStatus::Cancelling => CancelDecision::AlreadyCancelling,
                status => CancelDecision::AlreadyEnded(status),
            };
            return (decision, None);
        }
        inner.cancelled_at = Some(now);
        let cancel = Arc::new(CancelRequested {
            reason: request.reason.clone(),
            by: request.by.clone(),
            cut: Some(cut),
        });
        self.write(&mut inner, now, EventKind::CancelRequested { cancel });
        let seq = inner.outbox.decided();
        let stopped = match effect {
            Effect::End(end) => self.finish(inner, end, Ending::Quiet),
            Effect::Drop | Effect::Record | Effect::Refuse => Stopped {
                log: self.clone(),
                children: inner.children.take(),
                steers: inner.steers.take(),
                status: RunStatus::Cancelling,
                ended: None,
            },
        };
        // Tools that wait for children are at work until their children end: the poke comes first.
        self.poke.poke();
        (CancelDecision::Accepted { seq }, Some(stopped))
    }

    /// Records a run as a child. `false`: this run is stopping, or has stopped.
    pub(crate) fn adopt(&self, child: &Arc<RunLog>) -> bool {
        let mut inner = self.lock();
        let stops = matches!(inner.state(), State::Cancelling | State::Ended(_));
        if stops || inner.outbox.lost().is_some() {
            return false;
        }
        inner.children.add(child);
        true
    }

    /// Ends the run. The first ending wins; `false`: there was one before, or the law does not have this one now.
    pub(crate) fn end(self: &Arc<Self>, ending: Ending) -> bool {
        let mut inner = self.lock();
        let input = match &ending {
            Ending::Completed(..) => Input::Finished,
            Ending::Failed(..) | Ending::Crashed => Input::Failed,
            Ending::Quiet => Input::Quiet,
        };
        let Effect::End(end) = inner.take(input) else {
            return false;
        };
        let stopped = self.finish(inner, end, ending);
        self.poke.poke();
        stop_family(Some(stopped));
        true
    }

    /// Closes the log: the one place where a run becomes an ended one.
    fn finish(
        self: &Arc<Self>,
        mut inner: MutexGuard<'_, Inner>,
        end: End,
        ending: Ending,
    ) -> Stopped {
        let now = Instant::now();
        let mut error = None;
        let children = inner.children.take();
        for kind in ending::compose(self, &inner, now, end, ending) {
            if let EventKind::Error { error: failure } = &kind {
                error = Some(failure.clone());
            }
            self.write(&mut inner, now, kind);
        }
        Stopped {
            log: self.clone(),
            children,
            steers: inner.steers.take(),
            status: inner.facts.status(),
            ended: Some(JustEnded {
                span: std::mem::replace(&mut inner.span, Span::none()),
                // A run that the store never had is none: who started it is told so.
                error: error.filter(|_| !inner.outbox.is_refused()),
                is_lost: inner.outbox.lost().is_some(),
                batch: self.next_batch(&mut inner),
            }),
        }
    }
}

/// Does what is left to do for a run that stops, and for all that stop with it. By a list, since a family may be deeper
/// than a stack; and the end of a run is stored when it is decided that all below it stop.
fn stop_family(first: Option<Stopped>) {
    let mut stopped: Vec<Stopped> = first.into_iter().collect();
    let mut next = 0;
    while let Some(parent) = stopped.get_mut(next) {
        next += 1;
        let request = CancelRequest::new(CancelReason::Parent(parent.log.id));
        let children = std::mem::take(&mut parent.children);
        for child in children {
            stopped.extend(child.decide_cancel(child.lock(), &request).1);
        }
    }
    for stopped in stopped {
        stopped.carry_out();
    }
}

impl Stopped {
    fn carry_out(self) {
        let log = self.log;
        match self.ended {
            None => log.env.flush_soon(&log),
            Some(ended) => {
                ended.span.record("status", self.status.as_str());
                if let Some(error) = ended.error {
                    let reason = error.reason;
                    ended
                        .span
                        .in_scope(|| tracing::error!(?reason, %error, "the run failed"));
                }
                drop(ended.span);
                log.host.ended(&log);
                if ended.is_lost {
                    log.host.settled(&log);
                }
                log.carry(ended.batch);
            }
        }
        // It wakes tasks of others, and so comes last.
        self.steers.too_late(self.status);
    }
}

impl Inner {
    /// What a cancel at `now` would cut.
    pub(in crate::run) fn activity(&self, now: Instant) -> Activity {
        match self.state() {
            State::Queued => Activity::Pending,
            State::Ready | State::Cancelling | State::Ended(_) => Activity::Starting,
            State::Connecting => Activity::Connecting,
            State::Waiting => Activity::FirstToken,
            State::Streaming => match self.spoke_at {
                Some(at) if now.saturating_duration_since(at) >= SILENT => Activity::Silent,
                Some(_) | None => Activity::Streaming,
            },
            State::Resting => Activity::Retrying,
            State::Calling => Activity::Tool,
            State::Paused => Activity::Paused,
        }
    }
}
