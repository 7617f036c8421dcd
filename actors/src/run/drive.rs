//! What a run's actor does with what it receives: it asks the log, and obeys.

mod calls;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::Instant;
use tracing::Span;

use super::{
    ending::Ending,
    judge::calls::Starting,
    log::RunLog,
    verdict::{Stop, Verdict},
    work::{Heard, LoadHistory, Work},
};
use crate::{
    agent::Agent,
    cancel::{CancelReason, CancelRequest},
    message::Message,
    model::{CallsBuilder, ModelChunk, ModelError, PartsBuilder},
    outcome::ErrorReason,
    transcript::Transcript,
};

/// How many chunks are taken at a stretch, before ractor gets its turn.
const BURST: u32 = 64;

/// The work of one run, and what is known of the request under way.
pub(super) struct Driver {
    log: Arc<RunLog>,
    work: Work,
    /// What was said before in the session.
    history: Vec<Message>,
    /// What this run has said and heard, up to this position.
    said: (Transcript, u64),
    /// What the model is asked with in this turn.
    asked: Option<Arc<[Message]>>,
    /// Turns and, of this turn, attempts.
    turn: u32,
    attempt: u32,
    /// Part of the answer was received, so the request must not be repeated.
    heard: bool,
    /// The tools that the model asks for.
    calls: CallsBuilder,
    /// What its provider wants to be given back.
    parts: PartsBuilder,
    /// Calls that begin as soon as it is stored that they do.
    begun: Option<Starting>,
    /// The store has to catch up before the model is read further; at first, it has to take the run.
    full: bool,
    /// The run is to stop so, once the calls that have to be awaited have come to their ends.
    closing: Option<Ending>,
    span: Span,
}

/// How a burst ended.
pub(super) enum Burst {
    /// There may be more at once; let others have a turn.
    Again,
    /// The run is over, if the law lets it end so.
    Over(Ending),
    /// The run waits for a person, if the law lets it.
    Pause,
}

/// What one thing heard leads to.
enum Next {
    Go(Verdict),
    Over(Ending),
    Pause,
}

impl Driver {
    /// Work for the run of `log`, which goes on after turn number `turn`.
    pub(super) fn new(
        log: Arc<RunLog>,
        agent: Agent,
        turn: u32,
        recall: Option<LoadHistory>,
    ) -> Driver {
        Driver {
            span: log.span(),
            work: Work::new(agent, log.worked(), recall),
            log,
            history: Vec::new(),
            said: (Transcript::new(), 0),
            asked: None,
            turn,
            attempt: 0,
            heard: false,
            calls: CallsBuilder::default(),
            parts: PartsBuilder::default(),
            begun: None,
            full: true,
            closing: None,
        }
    }

    /// The work, for the pause that is decided when it is gone.
    pub(super) fn work(&self) -> &Work {
        &self.work
    }

    /// Continues until nothing is ready, or the burst or the run is over.
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
                    if let Some(ending) = self.stopped() {
                        return Poll::Ready(Burst::Over(ending));
                    }
                    if self.closing.is_none() {
                        return Poll::Ready(Burst::Over(Ending::Quiet));
                    }
                }
                Next::Over(ending) => return Poll::Ready(Burst::Over(ending)),
                Next::Pause => return Poll::Ready(Burst::Pause),
            }
        }
        Poll::Ready(Burst::Again)
    }

    /// The next thing to hear, unless the store has to catch up before.
    fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<(Heard, Instant)> {
        if self.closing.is_some() {
            return self
                .work
                .poll_closing(cx)
                .map(|heard| (heard, Instant::now()));
        }
        if let Some(begun) = &self.begun {
            if !self.log.stored_or_wake(begun.seq) {
                return self.work.poll_held(cx);
            }
            self.call();
        }
        if self.full {
            self.full = !self.log.room_or_wake();
            if self.full {
                return self.work.poll_held(cx);
            }
        }
        self.work.poll_next(cx)
    }

    /// The ending that control asks for, when nothing has to be awaited before.
    fn stopped(&mut self) -> Option<Ending> {
        let (reason, ending) = match self.log.must_stop() {
            None if self.closing.is_none() => return None,
            Some(Stop::Ended) | None => return Some(Ending::Quiet),
            Some(Stop::Cancelled(reason)) => (reason, Ending::Quiet),
            Some(Stop::StoreLost(error)) => (
                CancelReason::Because("the store was lost".into()),
                Ending::store_lost(&error),
            ),
        };
        self.begun = None;
        let first = self.closing.is_none();
        if first && !self.work.close(&reason) {
            return Some(ending);
        }
        if first && self.work.awaits_calls() {
            // The ending takes its time, and whoever watches is not to wait for it with the cancel.
            self.log.flush();
        }
        self.closing = Some(ending);
        None
    }

    fn hear(&mut self, heard: Heard, now: Instant) -> Next {
        match heard {
            Heard::Recalled(Ok(history)) => {
                self.history = history;
                Next::Go(Verdict::Go)
            }
            Heard::Recalled(Err(error)) => Next::Over(Ending::Failed(
                ErrorReason::History,
                format!("what was said before in the session could not be read: {error}"),
            )),
            Heard::Ask => self.go_on(),
            Heard::Chunk(Ok(chunk)) => self.chunk(chunk, now),
            Heard::Chunk(Err(error)) => self.failed(error),
            Heard::Closed => Next::Over(Ending::Failed(
                ErrorReason::Truncated,
                "the model's stream ended in the middle of its answer".to_owned(),
            )),
            Heard::Called(call, end) => self.called(&call, end),
            Heard::AllCalled => self.all_called(),
            Heard::Overdue(reason) => self.limit(reason),
        }
    }

    /// Nothing is at work: calls that were asked for before come first, else the model is asked.
    fn go_on(&mut self) -> Next {
        if self.attempt == 0 && self.log.has_open_calls() {
            if !self.log.reopen_calls() {
                return Next::Go(Verdict::Stop);
            }
            return self.begin();
        }
        self.ask()
    }

    fn ask(&mut self) -> Next {
        if self.attempt == 0 {
            self.turn += 1;
            self.heard = false;
            self.asked = None;
        }
        self.attempt += 1;
        let messages = self.messages();
        let tools: u64 = self
            .work
            .agent()
            .specs()
            .iter()
            .map(|spec| spec.bytes())
            .sum();
        let words: u64 = messages.iter().map(Message::bytes).sum();
        let (verdict, steered) = self.log.asks(self.turn, self.attempt, tools + words);
        if verdict != Verdict::Stop {
            let messages = if steered.is_empty() {
                messages
            } else {
                messages.iter().cloned().chain(steered).collect()
            };
            self.asked = Some(messages.clone());
            self.work.ask(messages);
        }
        Next::Go(verdict)
    }

    /// What the model is asked with: its instructions, what was said before, and what this run has said and heard.
    fn messages(&mut self) -> Arc<[Message]> {
        if let Some(asked) = &self.asked {
            return asked.clone();
        }
        let (transcript, position) = &mut self.said;
        *position = self.log.tell(transcript, *position);
        let instructions = self.work.agent().instructions();
        let system = (!instructions.is_empty()).then(|| Message::system(instructions));
        let name = self.work.agent().model().name();
        let said = self.history.iter().chain(transcript.messages());
        let shown = said.map(|message| message.clone().shown_to(name.as_ref()));
        system.into_iter().chain(shown).collect()
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
                let before = self.calls.said_bytes();
                if let Err(error) = self.calls.push(*delta) {
                    return Next::Over(Ending::Failed(ErrorReason::Model, error.to_string()));
                }
                let said = self.calls.said_bytes() - before;
                return Next::Go(self.log.spoke_call(said, now));
            }
            ModelChunk::Opaque(part) => {
                self.heard = true;
                if let Err(error) = self.parts.push(part) {
                    return Next::Over(Ending::Failed(ErrorReason::Model, error.to_string()));
                }
                return Next::Go(self.log.spoke_call(0, now));
            }
            ModelChunk::Usage(usage) => return Next::Go(self.log.reported(usage)),
            ModelChunk::Finished(reason) => return self.finished(reason),
        }
        Next::Go(Verdict::Go)
    }

    fn freshen(&mut self) {
        self.attempt = 0;
        self.work.freshen();
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
