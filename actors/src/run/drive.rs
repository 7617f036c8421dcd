//! What a run's actor does with what it hears: it asks the log, and obeys.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::Instant;
use tracing::Span;

use super::{
    ending::Ending,
    judge::{Stop, Verdict},
    log::RunLog,
    work::{Heard, Work},
};
use crate::{
    cancel::{CancelReason, CancelRequest},
    model::{ModelChunk, ModelError},
    outcome::ErrorReason,
};

/// How many chunks are taken at a stretch, before ractor gets its turn.
const BURST: u32 = 64;

/// The work of one run, and what is known of the request under way.
pub(super) struct Driver {
    log: Arc<RunLog>,
    work: Work,
    /// Attempts of this turn.
    attempt: u32,
    /// Something of the answer was heard, so that the request must not be repeated.
    heard: bool,
    /// The tool that the model asked for.
    called: Option<String>,
    /// The store has to catch up before the model is read further; at first, it has to take the run.
    full: bool,
    span: Span,
}

/// How a burst ended.
pub(super) enum Burst {
    /// There may be more at once; let others have a turn.
    Again,
    /// The run is over, if the law lets it end so.
    Over(Ending),
}

/// What one thing heard leads to.
enum Next {
    Go(Verdict),
    Over(Ending),
}

impl Driver {
    pub(super) fn new(log: Arc<RunLog>, work: Work) -> Driver {
        Driver {
            span: log.span(),
            log,
            work,
            attempt: 0,
            heard: false,
            called: None,
            full: true,
        }
    }

    /// Goes on until there is nothing to hear, the burst is over, or the run is.
    pub(super) fn poll_burst(&mut self, cx: &mut Context<'_>) -> Poll<Burst> {
        let span = self.span.clone();
        let _entered = span.enter();
        for _ in 0..BURST {
            if self.log.poke.seen()
                && let Some(ending) = self.stopped()
            {
                return Poll::Ready(Burst::Over(ending));
            }
            let Poll::Ready((heard, now)) = self.poll_work(cx) else {
                if self.log.poke.listen(cx) {
                    continue;
                }
                return Poll::Pending;
            };
            match self.hear(heard, now) {
                Next::Go(Verdict::Go) => {}
                Next::Go(Verdict::Full) => self.full = true,
                Next::Go(Verdict::Stop) => {
                    return Poll::Ready(Burst::Over(self.stopped().unwrap_or(Ending::Quiet)));
                }
                Next::Over(ending) => return Poll::Ready(Burst::Over(ending)),
            }
        }
        Poll::Ready(Burst::Again)
    }

    /// The next thing to hear, unless the store has to catch up before.
    fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<(Heard, Instant)> {
        if self.full {
            self.full = !self.log.has_room();
            if self.full {
                return self.work.poll_held(cx);
            }
        }
        self.work.poll_next(cx)
    }

    /// The ending that control asks for.
    fn stopped(&self) -> Option<Ending> {
        self.log.must_stop().map(|stop| match stop {
            Stop::Cancelled => Ending::Quiet,
            Stop::StoreLost(error) => Ending::store_lost(&error),
        })
    }

    fn hear(&mut self, heard: Heard, now: Instant) -> Next {
        match heard {
            Heard::Ask => self.ask(),
            Heard::Chunk(Ok(chunk)) => self.chunk(chunk, now),
            Heard::Chunk(Err(error)) => self.failed(error),
            Heard::Closed => Next::Over(Ending::Failed(
                ErrorReason::Truncated,
                "the model's stream ended in the middle of its answer".to_owned(),
            )),
            Heard::Overdue(reason) => self.limit(reason),
        }
    }

    fn ask(&mut self) -> Next {
        self.attempt += 1;
        let verdict = self.log.asks(1, self.attempt, self.work.asked_bytes());
        if verdict != Verdict::Stop {
            self.work.ask();
        }
        Next::Go(verdict)
    }

    fn chunk(&mut self, chunk: ModelChunk, now: Instant) -> Next {
        match chunk {
            ModelChunk::Text(text) | ModelChunk::Reasoning(text) if text.is_empty() => {}
            ModelChunk::Text(text) => {
                self.heard = true;
                return Next::Go(self.log.spoke(text, false, now));
            }
            ModelChunk::Reasoning(text) => {
                self.heard = true;
                return Next::Go(self.log.spoke(text, true, now));
            }
            ModelChunk::Connected => self.log.connected(),
            ModelChunk::ToolCall(delta) => {
                self.heard = true;
                self.called.get_or_insert(delta.name.unwrap_or_default());
            }
            ModelChunk::Usage(usage) => self.log.reported(usage),
            ModelChunk::Finished(reason) => {
                return Next::Over(match &self.called {
                    None => Ending::Completed(reason),
                    Some(name) => Ending::Failed(
                        ErrorReason::UnexpectedToolCall,
                        format!("the model called the tool {name:?}, and the agent has no tools"),
                    ),
                });
            }
        }
        Next::Go(Verdict::Go)
    }

    /// Repeats the request where that is allowed; else it has failed.
    fn failed(&mut self, error: ModelError) -> Next {
        let policy = self.work.agent().retry();
        let pause = policy.pause(self.attempt, error.retry, self.noise());
        match pause {
            Some(pause) if !self.heard => {
                let verdict = self.log.broke(error.message, pause);
                if verdict != Verdict::Stop {
                    self.work.rest(pause);
                }
                Next::Go(verdict)
            }
            Some(_) | None => Next::Over(Ending::Failed(ErrorReason::Model, error.message)),
        }
    }

    fn limit(&self, reason: CancelReason) -> Next {
        self.log.cancel(&CancelRequest::new(reason).by("limits"));
        Next::Go(Verdict::Stop)
    }

    /// A number that differs from run to run and from attempt to attempt, and is the same whenever one is repeated: the
    /// end of the run's id, which is random, stirred with the attempt.
    fn noise(&self) -> u64 {
        let [.., a, b, c, d] = *self.log.id.as_bytes();
        u64::from(u32::from_le_bytes([a, b, c, d]))
            .wrapping_add(u64::from(self.attempt))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            >> 32
    }
}
