//! What a run waits for, as one cancel-safe stream: what was said before, the model's chunks, the sleep before a retry,
//! the results of tools, and the run's limits.
//!
//! Dropping it is the cancel: the model's stream goes, and with it the connection; and so do the tools.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture};
use tokio::time::{Instant, Sleep, sleep_until};

use super::call_tasks::{CallEnd, CallTasks};
use crate::{
    agent::Agent,
    cancel::CancelReason,
    message::{Message, ToolCall},
    model::{Chunks, ModelChunk, ModelError, ModelRequest},
    store::ReadError,
};

/// What was said before in the session, as it is being read.
pub(crate) type LoadHistory = BoxFuture<'static, Result<Vec<Message>, ReadError>>;

/// What the actor receives.
#[derive(Debug)]
pub(super) enum Heard {
    /// A chunk of the model's, or its failure.
    Chunk(Result<ModelChunk, ModelError>),
    /// The model's stream ended.
    Closed,
    /// What was said before in the session, or why that could not be read.
    Recalled(Result<Vec<Message>, ReadError>),
    /// The sleep before a retry is over, or nothing is running: continue.
    Ask,
    /// A tool call has finished.
    Called(Arc<ToolCall>, CallEnd),
    /// The last call has.
    AllCalled,
    /// A limit was reached.
    Overdue(CancelReason),
}

/// The work of one run.
pub(super) struct Work {
    agent: Agent,
    stage: Stage,
    /// When the run started running.
    since: Option<Instant>,
    /// How long it had been running before that.
    worked: Duration,
    /// When the model was last asked or heard.
    heard_at: Instant,
    /// The model is not read for now, so its silence is not its own.
    held: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

enum Stage {
    /// What was said before is being read.
    Recalling(LoadHistory),
    /// Nothing is under way: the model is to be asked.
    Fresh,
    /// An answer is awaited, and nothing was said yet.
    Asked(Chunks),
    /// The model is streaming.
    Speaking(Chunks),
    /// Asleep.
    Resting {
        /// Until then; without an end, when the clock has no such moment.
        until: Option<Instant>,
    },
    /// Tools are running.
    Calling(CallTasks),
}

impl Work {
    /// Work for a run that had been at work for `worked` before. With `recall` it begins by reading.
    pub(super) fn new(agent: Agent, worked: Duration, recall: Option<LoadHistory>) -> Work {
        Work {
            agent,
            stage: recall.map_or(Stage::Fresh, Stage::Recalling),
            since: None,
            worked,
            heard_at: Instant::now(),
            held: false,
            timer: None,
        }
    }

    pub(super) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Asks the model. Nothing goes out before the next poll.
    pub(super) fn ask(&mut self, messages: Arc<[Message]>) {
        let request = ModelRequest::new(messages).tools(self.agent.specs().clone());
        self.stage = Stage::Asked(self.agent.model().stream(request));
        self.heard_at = Instant::now();
        self.timer = None;
    }

    /// Drops whatever was running: the model is asked next.
    pub(super) fn freshen(&mut self) {
        self.stage = Stage::Fresh;
        self.timer = None;
    }

    /// The running calls. Drops all other work.
    pub(super) fn calls(&mut self) -> &mut CallTasks {
        self.timer = None;
        if !matches!(self.stage, Stage::Calling(_)) {
            self.stage = Stage::Calling(CallTasks::default());
        }
        match &mut self.stage {
            Stage::Calling(calls) => calls,
            Stage::Recalling(_)
            | Stage::Fresh
            | Stage::Asked(_)
            | Stage::Speaking(_)
            | Stage::Resting { .. } => unreachable!("the stage was set to calling above"),
        }
    }

    /// Begins to stop: drops all but calls of tools, and tells those. `true`: some of them have to be awaited, and
    /// [`poll_closing`](Work::poll_closing) does.
    pub(super) fn close(&mut self, reason: &CancelReason) -> bool {
        let limit = self.agent.limits().cancel_limit;
        self.timer = None;
        if let Stage::Calling(calls) = &mut self.stage {
            calls.close(reason, limit, Instant::now());
            return !calls.is_empty();
        }
        self.stage = Stage::Fresh;
        false
    }

    /// Whether calls were asked to end and still have time to do so.
    pub(super) fn awaits_calls(&self) -> bool {
        matches!(&self.stage, Stage::Calling(calls) if calls.are_awaited())
    }

    /// The next call that has come to its end, while the run stops. No limit of the run's counts any more.
    pub(super) fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        loop {
            if let Poll::Ready(heard) = self.poll_calls(cx) {
                return Poll::Ready(heard);
            }
            let due = match &self.stage {
                Stage::Calling(calls) => calls.due(),
                Stage::Recalling(_)
                | Stage::Fresh
                | Stage::Asked(_)
                | Stage::Speaking(_)
                | Stage::Resting { .. } => None,
            };
            let Some(due) = due else {
                return Poll::Pending;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.deadline() != due {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
        }
    }

    fn poll_calls(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        let limit = self.agent.limits().cancel_limit;
        match &mut self.stage {
            Stage::Calling(calls) if !calls.is_empty() => {
                let ended = calls.poll(limit, cx);
                ended.map(|(call, end)| Heard::Called(call, end))
            }
            Stage::Calling(_)
            | Stage::Recalling(_)
            | Stage::Fresh
            | Stage::Asked(_)
            | Stage::Speaking(_)
            | Stage::Resting { .. } => Poll::Ready(Heard::AllCalled),
        }
    }

    /// Drops the request, and sleeps.
    pub(super) fn rest(&mut self, pause: Duration) {
        self.stage = Stage::Resting {
            until: Instant::now().checked_add(pause),
        };
        self.timer = None;
    }

    /// Like [`poll_next`](Work::poll_next), while the model is not to be read: only the deadline counts.
    pub(super) fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<(Heard, Instant)> {
        if !self.held {
            self.held = true;
            self.timer = None;
            self.since.get_or_insert_with(Instant::now);
        }
        self.poll_timer(cx)
    }

    /// The next thing to hear, and when it was heard.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(Heard, Instant)> {
        if self.held {
            self.held = false;
            self.timer = None;
            self.heard_at = Instant::now();
        }
        if let Some(reason) = self.no_time_at_all() {
            return Poll::Ready((Heard::Overdue(reason), Instant::now()));
        }
        if let Stage::Recalling(_) = &self.stage {
            self.since.get_or_insert_with(Instant::now);
        }
        let chunk = match &mut self.stage {
            Stage::Fresh => {
                let now = Instant::now();
                self.since.get_or_insert(now);
                return Poll::Ready((self.overdue(now).map_or(Heard::Ask, Heard::Overdue), now));
            }
            Stage::Recalling(recall) => match recall.poll_unpin(cx) {
                Poll::Ready(recalled) => {
                    self.stage = Stage::Fresh;
                    return Poll::Ready((Heard::Recalled(recalled), Instant::now()));
                }
                Poll::Pending => Poll::Pending,
            },
            Stage::Calling(_) => match self.poll_calls(cx) {
                Poll::Ready(heard) => return Poll::Ready((heard, Instant::now())),
                Poll::Pending => Poll::Pending,
            },
            Stage::Asked(chunks) | Stage::Speaking(chunks) => chunks.poll_next_unpin(cx),
            Stage::Resting { .. } => Poll::Pending,
        };
        match chunk {
            Poll::Ready(chunk) => {
                let now = Instant::now();
                Poll::Ready((self.heard(chunk, now), now))
            }
            Poll::Pending => self.poll_timer(cx),
        }
    }

    fn heard(&mut self, chunk: Option<Result<ModelChunk, ModelError>>, now: Instant) -> Heard {
        // A model that always has something ready never lets the timer be polled, and the deadline holds all the same.
        if let Some(deadline) = self.deadline()
            && deadline <= now
        {
            return Heard::Overdue(CancelReason::Deadline);
        }
        let says = match &chunk {
            Some(Ok(ModelChunk::Text(text) | ModelChunk::Reasoning(text))) => !text.is_empty(),
            Some(Ok(ModelChunk::ToolCall(_) | ModelChunk::Opaque(_))) => true,
            Some(Ok(ModelChunk::Connected | ModelChunk::Usage(_))) => false,
            Some(Ok(ModelChunk::Finished(_)) | Err(_)) | None => {
                return chunk.map_or(Heard::Closed, Heard::Chunk);
            }
        };
        if says {
            self.heard_at = now;
            if let Stage::Asked(_) = &self.stage {
                self.speaks();
            }
        } else if let Some(reason) = self.overdue(now) {
            // Nor does one that has much to report and nothing to say.
            return Heard::Overdue(reason);
        }
        chunk.map_or(Heard::Closed, Heard::Chunk)
    }

    /// From the first token on it is the silence that counts, and the timer has to look at another limit.
    fn speaks(&mut self) {
        self.timer = None;
        self.stage = match std::mem::replace(&mut self.stage, Stage::Fresh) {
            Stage::Asked(chunks) => Stage::Speaking(chunks),
            stage @ (Stage::Recalling(_)
            | Stage::Fresh
            | Stage::Speaking(_)
            | Stage::Resting { .. }
            | Stage::Calling(_)) => stage,
        };
    }

    /// One timer serves all limits. A chunk does not touch it: it is moved only when it goes off too early.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<(Heard, Instant)> {
        loop {
            let timer = match &mut self.timer {
                Some(timer) => timer,
                None => {
                    let Some(due) = self.due() else {
                        return Poll::Pending;
                    };
                    self.timer.insert(Box::pin(sleep_until(due)))
                }
            };
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if let Some(reason) = self.overdue(now) {
                return Poll::Ready((Heard::Overdue(reason), now));
            }
            if let Stage::Resting { until: Some(until) } = self.stage
                && until <= now
            {
                return Poll::Ready((Heard::Ask, now));
            }
            self.timer = None;
            // A call that has taken too long is told so by being polled.
            if let Stage::Calling(calls) = &self.stage
                && calls.due().is_some_and(|due| due <= now)
                && let Poll::Ready(heard) = self.poll_calls(cx)
            {
                return Poll::Ready((heard, now));
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let left = self.agent.limits().deadline?.saturating_sub(self.worked);
        self.since?.checked_add(left)
    }

    /// The limit on the model's next word, and its reason.
    fn word_limit(&self) -> Option<(Instant, CancelReason)> {
        if self.held {
            return None;
        }
        let limits = self.agent.limits();
        let (limit, reason) = match self.stage {
            Stage::Asked(_) => (limits.first_token?, CancelReason::FirstToken),
            Stage::Speaking(_) => (limits.silence?, CancelReason::Silence),
            Stage::Recalling(_) | Stage::Fresh | Stage::Resting { .. } | Stage::Calling(_) => {
                return None;
            }
        };
        Some((self.heard_at.checked_add(limit)?, reason))
    }

    /// A limit of zero that holds now: it leaves a model no time, however quick it is.
    fn no_time_at_all(&self) -> Option<CancelReason> {
        let limits = self.agent.limits();
        match self.stage {
            Stage::Recalling(_) | Stage::Fresh | Stage::Asked(_) | Stage::Resting { .. } => {
                limits.first_token.filter(Duration::is_zero)?;
                Some(CancelReason::FirstToken)
            }
            Stage::Speaking(_) => {
                limits.silence.filter(Duration::is_zero)?;
                Some(CancelReason::Silence)
            }
            Stage::Calling(_) => None,
        }
    }

    /// The next moment at which something is due.
    fn due(&self) -> Option<Instant> {
        let rest = match self.stage {
            Stage::Resting { until } => until,
            Stage::Calling(ref calls) => calls.due(),
            Stage::Recalling(_) | Stage::Fresh | Stage::Asked(_) | Stage::Speaking(_) => None,
        };
        let word = self.word_limit().map(|(at, _)| at);
        [self.deadline(), word, rest].into_iter().flatten().min()
    }

    /// The limit that has been reached at `now`.
    fn overdue(&self, now: Instant) -> Option<CancelReason> {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            return Some(CancelReason::Deadline);
        }
        self.word_limit()
            .filter(|(at, _)| *at <= now)
            .map(|(_, reason)| reason)
    }
}
