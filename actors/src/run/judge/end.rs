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
    machine::{Effect, End, Input, State, step},
    run::{
        ending::{self, Ending},
        log::{Cancel, Inner, RunLog},
    },
    status::RunStatus,
};

/// A model that has been silent for this long counts as silent, and no longer as streaming.
const SILENT: Duration = Duration::from_secs(1);

/// How the log answers a cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CancelDecision {
    Accepted { seq: u64 },
    AlreadyCancelling,
    AlreadyEnded(RunStatus),
}

impl RunLog {
    /// Asks the run to stop. What is decided here holds, whoever is scheduled when. The actor is told at once; the
    /// event is left for the ending's append, which follows within the time it takes to drop what is at work.
    pub(crate) fn cancel(self: &Arc<Self>, request: &CancelRequest) -> CancelDecision {
        self.cancel_as(self.lock(), request)
    }

    /// The same, of a run that is paused. One that is not stays as it is.
    pub(crate) fn cancel_paused(self: &Arc<Self>, request: &CancelRequest) {
        let inner = self.lock();
        if inner.state == State::Paused {
            self.cancel_as(inner, request);
        }
    }

    fn cancel_as(
        self: &Arc<Self>,
        mut inner: MutexGuard<'_, Inner>,
        request: &CancelRequest,
    ) -> CancelDecision {
        let now = Instant::now();
        let cut = inner.cut(now);
        let (state, effect) = step(inner.state, Input::Cancel);
        if effect == Effect::Refuse {
            return match inner.status {
                RunStatus::Cancelling => CancelDecision::AlreadyCancelling,
                status => CancelDecision::AlreadyEnded(status),
            };
        }
        let seq = inner.decided + 1;
        inner.cancel = Some(Cancel {
            seq,
            at: self.env.clock.at(now),
            since: now,
            reason: request.reason.clone(),
            by: request.by.clone(),
            cut,
        });
        let cancel = Arc::new(CancelRequested {
            reason: request.reason.clone(),
            by: request.by.clone(),
            cut: Some(cut),
        });
        self.write(&mut inner, now, EventKind::CancelRequested { cancel });
        match effect {
            Effect::End(end) => self.finish(inner, state, end, Ending::Quiet),
            Effect::Drop | Effect::Record | Effect::Refuse => {
                inner.state = state;
                let steers = inner.steers.take();
                let children = inner.orphans();
                drop(inner);
                steers.too_late(RunStatus::Cancelling);
                // Tools that wait for children are at work until their children end: the poke comes first.
                self.poke.poke();
                self.cancel_children(children);
            }
        }
        CancelDecision::Accepted { seq }
    }

    /// Takes a run up as a child. `false`: this one is to stop, or has.
    pub(crate) fn adopt(&self, child: &Arc<RunLog>) -> bool {
        let mut inner = self.lock();
        if matches!(inner.state, State::Cancelling | State::Ended(_)) || inner.lost.is_some() {
            return false;
        }
        inner.children.retain(|(_, child)| child.strong_count() > 0);
        inner.children.push((child.id, Arc::downgrade(child)));
        true
    }

    fn cancel_children(&self, children: Vec<Arc<RunLog>>) {
        let request = CancelRequest::new(CancelReason::Parent(self.id));
        for child in children {
            child.cancel(&request);
        }
    }

    /// Ends the run. The first ending wins; `false`: there was one before, or the law does not have this one now.
    pub(crate) fn end(self: &Arc<Self>, ending: Ending) -> bool {
        let inner = self.lock();
        let input = match &ending {
            Ending::Completed(..) => Input::Finished,
            Ending::Failed(..) | Ending::Crashed => Input::Failed,
            Ending::Quiet => Input::Quiet,
        };
        let (state, effect) = step(inner.state, input);
        let Effect::End(end) = effect else {
            return false;
        };
        self.finish(inner, state, end, ending);
        true
    }

    /// Closes the log: the one place where a run becomes an ended one.
    fn finish(
        self: &Arc<Self>,
        mut inner: MutexGuard<'_, Inner>,
        state: State,
        end: End,
        ending: Ending,
    ) {
        let now = Instant::now();
        inner.state = state;
        let mut error = None;
        let words = self.tape.words();
        let (steers, children) = (inner.steers.take(), inner.orphans());
        let prices = self.limits().prices.as_ref();
        for kind in ending::compose(&mut inner, words, now, end, ending, prices) {
            if let EventKind::Error { error: failure } = &kind {
                error = Some(failure.clone());
            }
            self.write(&mut inner, now, kind);
        }
        let span = std::mem::replace(&mut inner.span, Span::none());
        let status = inner.status;
        let lost = inner.lost.is_some();
        let batch = self.next_batch(&mut inner);
        drop(inner);

        span.record("status", status.as_str());
        if let Some(error) = error {
            span.in_scope(|| tracing::error!(reason = ?error.reason, %error, "the run failed"));
        }
        drop(span);
        steers.too_late(status);
        self.poke.poke();
        self.cancel_children(children);
        self.host.ended(self);
        if lost {
            self.host.settled(self);
        }
        self.carry(batch);
    }
}

impl Inner {
    /// What a cancel at `now` would cut.
    fn cut(&self, now: Instant) -> Activity {
        match self.state {
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

    /// Takes out the children that have not ended: they are cancelled with their parent.
    fn orphans(&mut self) -> Vec<Arc<RunLog>> {
        let children = std::mem::take(&mut self.children);
        let left: Vec<_> = children
            .into_iter()
            .filter_map(|(_, child)| child.upgrade())
            .filter(|child| !child.status().is_ended())
            .collect();
        self.cut_children.extend(left.iter().map(|child| child.id));
        left
    }
}
