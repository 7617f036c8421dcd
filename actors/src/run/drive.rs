//! What a run's actor does with what it hears: it asks the log, and obeys.

use std::{
    collections::HashSet,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::Instant;
use tracing::Span;

use super::{
    calls::{Begun, Plan},
    ending::Ending,
    judge::{Stop, Verdict},
    log::RunLog,
    tools::CallEnd,
    work::{Heard, Recall, Work},
};
use crate::{
    agent::Agent,
    cancel::{CancelReason, CancelRequest},
    event::{Decision, ToolFault},
    message::{Message, ToolCall},
    model::{CallsBuilder, ModelChunk, ModelError},
    outcome::{ErrorReason, FinishReason},
    tool::ToolContext,
};

/// How many chunks are taken at a stretch, before ractor gets its turn.
const BURST: u32 = 64;

/// The work of one run, and what is known of the request under way.
pub(super) struct Driver {
    log: Arc<RunLog>,
    work: Work,
    /// What was said before in the session.
    history: Vec<Message>,
    /// What the model is asked with in this turn.
    asked: Option<Arc<[Message]>>,
    /// Turns and, of this turn, attempts.
    turn: u32,
    attempt: u32,
    /// Something of the answer was heard, so that the request must not be repeated.
    heard: bool,
    /// The tools that the model asks for.
    calls: CallsBuilder,
    /// Calls that begin as soon as it is stored that they do.
    begun: Option<Begun>,
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
    pub(super) fn new(log: Arc<RunLog>, agent: Agent, turn: u32, recall: Option<Recall>) -> Driver {
        Driver {
            span: log.span(),
            work: Work::new(agent, log.worked(), recall),
            log,
            history: Vec::new(),
            asked: None,
            turn,
            attempt: 0,
            heard: false,
            calls: CallsBuilder::default(),
            begun: None,
            full: true,
            closing: None,
        }
    }

    /// The work, for the pause that is decided when it is gone.
    pub(super) fn work(&self) -> &Work {
        &self.work
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
            if !self.log.has_stored(begun.seq) {
                return self.work.poll_held(cx);
            }
            self.call();
        }
        if self.full {
            self.full = !self.log.has_room();
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
            if !self.log.takes_calls_up() {
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
            self.log.take_in();
            self.asked = None;
        }
        self.attempt += 1;
        let messages = self.messages();
        let bytes = messages.iter().map(Message::bytes).sum();
        let verdict = self.log.asks(self.turn, self.attempt, bytes);
        if verdict != Verdict::Stop {
            self.work.ask(messages);
        }
        Next::Go(verdict)
    }

    /// What the model is asked with: its instructions, what was said before, and what this run has said and heard.
    fn messages(&mut self) -> Arc<[Message]> {
        if let Some(asked) = &self.asked {
            return asked.clone();
        }
        let instructions = self.work.agent().instructions();
        let system = (!instructions.is_empty()).then(|| Message::system(instructions));
        let history = self.history.iter().cloned();
        let said = self.log.transcript().messages();
        let messages: Arc<[Message]> = system.into_iter().chain(history).chain(said).collect();
        self.asked.insert(messages).clone()
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
            ModelChunk::Usage(usage) => return Next::Go(self.log.reported(usage)),
            ModelChunk::Finished(reason) => return self.finished(reason),
        }
        Next::Go(Verdict::Go)
    }

    /// The model finished its answer: the run is over, unless tools are to be called or somebody has said something.
    fn finished(&mut self, reason: FinishReason) -> Next {
        let calls = std::mem::take(&mut self.calls);
        if calls.is_empty() {
            if !self.log.is_steered() {
                return Next::Over(Ending::Completed(reason));
            }
            let verdict = self.log.turned(reason);
            self.freshen();
            return Next::Go(verdict);
        }
        if self.work.agent().tools().is_empty() {
            let name = calls.first_name().unwrap_or_default();
            return Next::Over(Ending::Failed(
                ErrorReason::UnexpectedToolCall,
                format!("the model called the tool {name:?}, and the agent has no tools"),
            ));
        }
        let used = self.used_ids();
        let calls = calls.finish(self.turn, &|id| used.contains(id));
        if self.log.answered(reason, calls) == Verdict::Stop {
            return Next::Go(Verdict::Stop);
        }
        self.begin()
    }

    /// The ids of all calls that the model is shown.
    fn used_ids(&self) -> HashSet<Arc<str>> {
        let asked = self.asked.iter().flat_map(|messages| messages.iter());
        let calls = asked.flat_map(Message::calls);
        calls.map(|call| call.id.clone()).collect()
    }

    /// Has the open calls written down as begun, or refused. The model's stream is dropped.
    fn begin(&mut self) -> Next {
        self.work.calls();
        let agent = self.work.agent();
        match self.log.begin(|call, decision| plan(agent, call, decision)) {
            Some(begun) => {
                self.begun = Some(begun);
                Next::Go(Verdict::Go)
            }
            None => Next::Go(Verdict::Stop),
        }
    }

    /// Calls what was written down as begun.
    fn call(&mut self) {
        let Some(begun) = self.begun.take() else {
            return;
        };
        let agent = self.work.agent().clone();
        for call in begun.calls {
            let Some(tool) = agent.tool(&call.name) else {
                continue;
            };
            let (log, id) = (self.log.clone(), call.id.clone());
            let context = |told| ToolContext::new(log.id, log.session_id.clone(), id, told, log);
            self.work
                .calls()
                .begin(&self.log.house.tokio, tool, call, context);
        }
    }

    fn called(&mut self, call: &ToolCall, end: CallEnd) -> Next {
        let verdict = match end {
            CallEnd::Returned(result) => self.log.returned(call, result),
            CallEnd::Cut(end) if self.closing.is_some() => {
                self.log.cut(call, end);
                return Next::Go(Verdict::Go);
            }
            // Nobody asked for it: the tokio runtime that it was at work in is gone, or it ended its own task.
            CallEnd::Cut(_) => {
                let words = "the call was ended from outside".into();
                self.log
                    .returned(call, Err((ToolFault::NotFinished, words)))
            }
        };
        match verdict {
            // While the run closes, nothing but the ends of its calls is waited for.
            Verdict::Full | Verdict::Stop if self.closing.is_some() => Next::Go(Verdict::Go),
            verdict @ (Verdict::Go | Verdict::Full | Verdict::Stop) => Next::Go(verdict),
        }
    }

    /// Nothing is at work any more: the run stops if it was to, waits for a person, or goes on.
    fn all_called(&mut self) -> Next {
        if let Some(ending) = self.closing.take() {
            return Next::Over(ending);
        }
        if self.log.waits_for_a_person() {
            return Next::Pause;
        }
        self.freshen();
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

/// What is to become of a call that has not begun.
fn plan(agent: &Agent, call: &ToolCall, decision: Option<&Decision>) -> Plan {
    let Some(tool) = agent.tool(&call.name) else {
        let words = format!("there is no tool of the name {:?}", call.name);
        return Plan::Refuse(ToolFault::UnknownTool, words.into());
    };
    match decision {
        Some(Decision::Approve) => Plan::Begin,
        Some(Decision::Reject(words)) => Plan::Refuse(ToolFault::Rejected, words.clone()),
        None if tool.settings().confirm => Plan::Wait,
        None => Plan::Begin,
    }
}
