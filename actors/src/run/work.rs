//! What a run waits for, as one cancel-safe stream: the model's chunks, the sleep before a retry, and the run's limits.
//!
//! Dropping it is the cancel: the model's stream goes, and with it the connection.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::StreamExt;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    agent::Agent,
    cancel::CancelReason,
    message::Message,
    model::{Chunks, ModelChunk, ModelError, ModelRequest},
};

/// What the actor hears.
#[derive(Debug)]
pub(super) enum Heard {
    /// A chunk of the model's, or its failure.
    Chunk(Result<ModelChunk, ModelError>),
    /// The model's stream ended.
    Closed,
    /// The sleep before a retry is over, or the run is new: ask the model.
    Ask,
    /// A limit was reached.
    Overdue(CancelReason),
}

/// The work of one run.
pub(super) struct Work {
    agent: Agent,
    messages: Arc<[Message]>,
    stage: Stage,
    /// When the run came to be at work.
    since: Option<Instant>,
    /// When the model was last asked or heard.
    heard_at: Instant,
    /// The model is not read for now, so its silence is not its own.
    held: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

enum Stage {
    /// Nothing is under way: the model is to be asked.
    Fresh,
    /// An answer is awaited, and nothing was said yet.
    Asked(Chunks),
    /// The model speaks.
    Speaking(Chunks),
    /// Asleep.
    Resting {
        /// Until then; without an end, when the clock has no such moment.
        until: Option<Instant>,
    },
}

impl Work {
    pub(super) fn new(agent: Agent, messages: Arc<[Message]>) -> Work {
        Work {
            agent,
            messages,
            stage: Stage::Fresh,
            since: None,
            heard_at: Instant::now(),
            held: false,
            timer: None,
        }
    }

    pub(super) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The bytes of all messages.
    pub(super) fn asked_bytes(&self) -> u64 {
        self.messages
            .iter()
            .map(|message| message.text().len() as u64)
            .sum()
    }

    /// Asks the model. Nothing goes out before the next poll.
    pub(super) fn ask(&mut self) {
        let request = ModelRequest::new(self.messages.clone());
        self.stage = Stage::Asked(self.agent.model().stream(request));
        self.heard_at = Instant::now();
        self.timer = None;
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
        let chunk = match &mut self.stage {
            Stage::Fresh => {
                let now = Instant::now();
                self.since.get_or_insert(now);
                return Poll::Ready((self.overdue(now).map_or(Heard::Ask, Heard::Overdue), now));
            }
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
            Some(Ok(ModelChunk::ToolCall(_))) => true,
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
            stage @ (Stage::Fresh | Stage::Speaking(_) | Stage::Resting { .. }) => stage,
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
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.since?.checked_add(self.agent.limits().deadline?)
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
            Stage::Fresh | Stage::Resting { .. } => return None,
        };
        Some((self.heard_at.checked_add(limit)?, reason))
    }

    /// A limit of zero that holds now: it leaves a model no time, however quick it is.
    fn no_time_at_all(&self) -> Option<CancelReason> {
        let limits = self.agent.limits();
        match self.stage {
            Stage::Fresh | Stage::Asked(_) | Stage::Resting { .. } => {
                limits.first_token.filter(Duration::is_zero)?;
                Some(CancelReason::FirstToken)
            }
            Stage::Speaking(_) => {
                limits.silence.filter(Duration::is_zero)?;
                Some(CancelReason::Silence)
            }
        }
    }

    /// The next moment at which something is due.
    fn due(&self) -> Option<Instant> {
        let rest = match self.stage {
            Stage::Resting { until } => until,
            Stage::Fresh | Stage::Asked(_) | Stage::Speaking(_) => None,
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
