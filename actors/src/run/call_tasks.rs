//! The running tool calls of a run: each a task of its own.
//!
//! Dropping them notifies and aborts them all.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::watch,
    task::{JoinError, JoinHandle},
    time::Instant,
};
use tracing::Instrument;

use crate::{
    cancel::{CancelReason, ToolEnd},
    event::ToolFault,
    message::ToolCall,
    panics::last_words,
    tool::{AnyTool, CallFault, OnCancel, ToolContext, in_bounds, panicked},
};

/// How long a task that was told to end may take to let go. One that blocks its thread does not, and is abandoned.
const LETS_GO: Duration = Duration::from_millis(100);

type Output = Result<Arc<str>, CallFault>;

/// The running calls.
#[derive(Default)]
pub(super) struct CallTasks {
    running: Vec<Running>,
}

/// How a call came to an end.
#[derive(Debug)]
pub(super) enum CallEnd {
    /// It has a result.
    Returned(Output),
    /// It was cut, since its run is to stop.
    Cut(ToolEnd),
}

struct Running {
    call: Arc<ToolCall>,
    task: JoinHandle<Output>,
    tell: watch::Sender<Option<CancelReason>>,
    on_cancel: OnCancel,
    blocking: bool,
    /// How long it may take, when it has taken too long.
    overtime: Option<Duration>,
    timeout: Option<Duration>,
    phase: TaskPhase,
    /// When the phase is over.
    until: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TaskPhase {
    AtWork,
    /// It was asked to end, and is awaited.
    Told,
    /// It was aborted, and must stop.
    Aborted,
}

impl CallTasks {
    /// Begins a call.
    pub(super) fn begin(
        &mut self,
        tokio: &Handle,
        tool: &AnyTool,
        call: Arc<ToolCall>,
        context: impl FnOnce(watch::Receiver<Option<CancelReason>>) -> ToolContext,
    ) {
        let (tell, told) = watch::channel(None);
        let work = tool.begin(call.arguments.clone(), context(told));
        let span = tracing::info_span!("tool", tool = tool.name(), call_id = %call.id);
        let timeout = tool.settings().timeout;
        self.running.push(Running {
            task: tokio.spawn(work.instrument(span)),
            call,
            tell,
            on_cancel: tool.settings().on_cancel,
            blocking: tool.is_blocking(),
            overtime: None,
            timeout,
            phase: TaskPhase::AtWork,
            until: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Tells all of them that the run is to stop, and ends each as its `OnCancel` says. `limit` is how long those that
    /// must finish are awaited.
    pub(super) fn close(&mut self, reason: &CancelReason, limit: Duration, now: Instant) {
        for running in &mut self.running {
            // One that has taken too long was told before.
            if running.phase == TaskPhase::AtWork {
                running.end(reason.clone(), limit, now);
            } else {
                running.overtime = None;
            }
        }
    }

    /// Whether one was told to end, and is given time for it.
    pub(super) fn are_awaited(&self) -> bool {
        let mut running = self.running.iter();
        running.any(|running| running.phase == TaskPhase::Told)
    }

    /// The next moment at which something is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.running
            .iter()
            .filter_map(|running| running.until)
            .min()
    }

    /// The next call that has come to its end. `limit` as for [`close`](CallTasks::close).
    pub(super) fn poll(
        &mut self,
        limit: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<(Arc<ToolCall>, CallEnd)> {
        for at in 0..self.running.len() {
            let running = &mut self.running[at];
            let ended = match Pin::new(&mut running.task).poll(cx) {
                Poll::Ready(result) => Some(running.ended(result)),
                Poll::Pending => running.expire(limit, Instant::now()),
            };
            if let Some(end) = ended {
                let running = self.running.remove(at);
                return Poll::Ready((running.call.clone(), end));
            }
        }
        Poll::Pending
    }
}

impl Running {
    /// Asks the call to end, and enforces it.
    fn end(&mut self, reason: CancelReason, limit: Duration, now: Instant) {
        self.tell.send_replace(Some(reason));
        let grace = match self.on_cancel {
            OnCancel::Drop => Duration::ZERO,
            OnCancel::Grace(grace) => grace,
            OnCancel::Finish => limit,
        };
        if grace.is_zero() {
            self.abort(now);
        } else {
            self.phase = TaskPhase::Told;
            self.until = now.checked_add(grace);
        }
    }

    fn abort(&mut self, now: Instant) {
        self.task.abort();
        self.phase = TaskPhase::Aborted;
        // A thread of its own does not let go: there is nothing to wait for.
        let wait = if self.blocking {
            Duration::ZERO
        } else {
            LETS_GO
        };
        self.until = now.checked_add(wait);
    }

    /// Goes on to the next phase when the time of this one is over; an end, when there is no other.
    fn expire(&mut self, limit: Duration, now: Instant) -> Option<CallEnd> {
        if self.until.is_none_or(|until| until > now) {
            return None;
        }
        match self.phase {
            TaskPhase::AtWork => {
                self.overtime = self.timeout;
                self.end(CancelReason::Deadline, limit, now);
            }
            TaskPhase::Told => self.abort(now),
            TaskPhase::Aborted => {}
        }
        let over = self.phase == TaskPhase::Aborted && self.until.is_none_or(|until| until <= now);
        over.then(|| self.cut(ToolEnd::Abandoned))
    }

    /// What became of a call whose task is over.
    fn ended(&self, result: Result<Output, JoinError>) -> CallEnd {
        match result {
            Ok(output) => CallEnd::Returned(match self.overtime {
                None => output,
                Some(limit) => {
                    let last_words = match &output {
                        Ok(words) | Err((_, words)) => words,
                    };
                    Err(timed_out(limit, Some(last_words)))
                }
            }),
            // A panic under way is the call's result. This one came when it was dropped: at its own end, or at that which
            // was made of it.
            Err(error) => match error.try_into_panic().map(last_words) {
                Ok(words) if self.phase == TaskPhase::Aborted => {
                    tracing::error!(words, "a tool panicked when its call was dropped");
                    self.cut(ToolEnd::Stopped)
                }
                Ok(words) => CallEnd::Returned(Err(panicked(&words))),
                // With a thread of its own it was the waiting that ended, and not the call.
                Err(_) if self.blocking => self.cut(ToolEnd::Abandoned),
                Err(_) => self.cut(ToolEnd::Stopped),
            },
        }
    }

    fn cut(&self, end: ToolEnd) -> CallEnd {
        match self.overtime {
            None => CallEnd::Cut(end),
            Some(limit) => CallEnd::Returned(Err(timed_out(limit, None))),
        }
    }
}

fn timed_out(limit: Duration, last_words: Option<&str>) -> CallFault {
    let told = match last_words {
        None => format!("the call took longer than {limit:?}, and was ended"),
        Some(words) => format!("the call took longer than {limit:?}, and was ended: {words}"),
    };
    (ToolFault::TimedOut, in_bounds(told))
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.task.is_finished() {
            self.tell.send_if_modified(|told| {
                let untold = told.is_none();
                if untold {
                    *told = Some(CancelReason::Requested);
                }
                untold
            });
            self.task.abort();
        }
    }
}
