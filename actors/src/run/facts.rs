//! What is known of a run by its events, and by nothing else.
//!
//! [`Facts::apply`] is the one place where an event changes it: the live log goes through it as it writes, and a log that
//! is made of stored events goes through it as they are read. So what comes back after a crash is what was there before.
//! Between two events a provider may report numbers and parts of calls; they end up in the event that closes the request,
//! and are lost with a process that dies before.

use std::{sync::Arc, time::Duration};

use super::{open_calls::OpenCalls, tally::Tally};
use crate::{
    cancel::{Activity, CancelReason, ToolEnd},
    event::{Ended, EventKind, Paused, RunEvent},
    id::Timestamp,
    message::ToolCall,
    model::ModelUsage,
    outcome::Outcome,
    status::RunStatus,
    usage::Prices,
};

/// What an event counts towards `max_log_bytes`, beside its text.
pub(super) const EVENT_BYTES: u64 = 64;

/// Stands for the progress that a run has no room for. It is the last that is kept.
pub(super) const NO_MORE_PROGRESS: &str =
    "(Further progress is not kept: it would fill the log of this run.)";

/// What the events of one run say of it.
#[derive(Debug)]
pub(super) struct Facts {
    status: RunStatus,
    started_at: Timestamp,
    /// When the last event was decided; before the first, the earliest time that it may have.
    last_at: Timestamp,
    request: Request,
    calls: OpenCalls,
    tally: Tally,
    /// The size of the log.
    bytes: u64,
    /// How much of it is progress of tools, and whether no more is kept.
    progress: u64,
    progress_is_over: bool,
    /// How long the run was running before it was last paused or cut by a crash, and since when it has been.
    worked: Duration,
    running_since: Option<Timestamp>,
    cancel: Option<AcceptedCancel>,
    /// What the run, which is paused, waits for.
    paused: Option<Arc<Paused>>,
    /// How many times it was resumed after a crash.
    resumes: u32,
    /// When the model was first asked, and when it first said something.
    asked_at: Option<Timestamp>,
    first_word_at: Option<Timestamp>,
    /// How many calls of tools were begun.
    begun: u32,
}

/// The last request.
#[derive(Clone, Copy, Debug, Default)]
struct Request {
    turn: u32,
    attempt: u32,
    /// It has no end yet, or is to be repeated.
    is_open: bool,
}

/// A cancel that was accepted.
#[derive(Debug)]
pub(super) struct AcceptedCancel {
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    pub(super) reason: CancelReason,
    pub(super) by: Option<Arc<str>>,
    pub(super) cut: Activity,
}

impl Facts {
    /// Of a run without events here, with this status.
    pub(super) fn new(status: RunStatus) -> Facts {
        Facts {
            status,
            started_at: Timestamp::default(),
            last_at: Timestamp::default(),
            request: Request::default(),
            calls: OpenCalls::default(),
            tally: Tally::default(),
            bytes: 0,
            progress: 0,
            progress_is_over: false,
            worked: Duration::ZERO,
            running_since: None,
            cancel: None,
            paused: None,
            resumes: 0,
            asked_at: None,
            first_word_at: None,
            begun: 0,
        }
    }

    /// The first event is not to have a time before `at`.
    pub(super) fn begin_at(&mut self, at: Timestamp) {
        self.last_at = at;
    }

    /// Of a run that the process died with, by all its events. What was noted to begin may have begun.
    pub(super) fn left_by(events: &[RunEvent]) -> Facts {
        let mut facts = Facts::new(RunStatus::Pending);
        for event in events {
            facts.apply(event.seq, event.at, &event.kind);
        }
        facts.calls.noted_run();
        facts
    }

    /// Records the run's next event, at position `seq`.
    pub(super) fn apply(&mut self, seq: u64, at: Timestamp, kind: &EventKind) {
        if let Some(status) = kind.status() {
            self.status = status;
        }
        match kind {
            EventKind::Started(_) => self.started_at = at,
            EventKind::ModelRequestStarted {
                turn,
                attempt,
                input_bytes,
            } => {
                self.running_since.get_or_insert(at);
                self.asked_at.get_or_insert(at);
                self.request = Request {
                    turn: *turn,
                    attempt: *attempt,
                    is_open: true,
                };
                // Without a note of it, about as much as the log holds.
                self.tally.ask(input_bytes.unwrap_or(self.bytes));
                self.count(0);
            }
            EventKind::Content { text } | EventKind::ReasoningContent { text } => {
                self.first_word_at.get_or_insert(at);
                self.tally.said(text.len() as u64);
                self.count(text.len());
            }
            EventKind::ModelRequestCompleted(completed) => {
                self.request.is_open = completed.retry_in_ms.is_some();
                self.tally.close(completed.usage);
                let calls = completed.calls.iter().map(|call| bytes_of(call));
                let parts = completed.provider.as_ref().map_or(0, |parts| parts.bytes());
                let fault = completed.fault.as_ref().map_or(0, String::len);
                self.count(calls.sum::<usize>() + parts + fault);
                for call in &completed.calls {
                    self.calls.ask(call.clone());
                }
            }
            EventKind::ToolCallStarted(call) => {
                self.running_since.get_or_insert(at);
                self.begun = self.begun.saturating_add(1);
                // Its text was counted when it was asked for; that of other arguments was not.
                let other = self.calls.note(call);
                self.count(other);
            }
            EventKind::ToolCallProgress(told) => {
                self.progress += EVENT_BYTES + told.text.len() as u64;
                self.progress_is_over |= *told.text == *NO_MORE_PROGRESS;
                self.count(told.text.len());
            }
            EventKind::ToolCallProcess(process) => {
                self.calls.runs(process.clone());
                self.count(process.boot.len());
            }
            EventKind::ToolCallCompleted(done) => {
                self.calls.close(&done.id, None, self.cancel.is_some());
                self.count(done.output.len());
            }
            EventKind::ToolCallError(failed) => {
                let is_cancelled = self.cancel.is_some();
                self.calls
                    .close(&failed.id, Some(failed.kind), is_cancelled);
                self.count(failed.error.len());
            }
            EventKind::Steered { message } => self.count(message.text().len()),
            EventKind::CancelRequested { cancel } => {
                self.cancel = Some(AcceptedCancel {
                    seq,
                    at,
                    reason: cancel.reason.clone(),
                    by: cancel.by.clone(),
                    cut: cancel.cut.unwrap_or_else(|| self.activity()),
                });
            }
            EventKind::Paused(paused) => {
                self.rest(at);
                self.paused = Some(paused.clone());
            }
            EventKind::Continued(continued) => {
                self.paused = None;
                if continued.decisions.is_empty() {
                    self.resumes += 1;
                }
                // After a crash it is not known for how long it was running beyond its last event.
                self.rest(self.last_at);
                // An answer that was cut is asked for again: its turn is not behind the run. What it has cost is spent.
                self.request.turn = self.turn();
                self.request.is_open = false;
                self.tally.close(self.tally.broken());
                self.calls.go_on(&continued.decisions);
            }
            EventKind::Completed { .. } | EventKind::Cancelled { .. } | EventKind::Error { .. } => {
            }
        }
        self.last_at = at;
    }

    fn count(&mut self, text: usize) {
        self.bytes = self.bytes.saturating_add(cost(text));
    }

    /// The run is running no longer.
    fn rest(&mut self, at: Timestamp) {
        if let Some(since) = self.running_since.take() {
            self.worked += at.since(since);
        }
    }

    /// What the run is doing, as far as events say.
    fn activity(&self) -> Activity {
        if self.request.is_open {
            Activity::Streaming
        } else if self.calls.is_empty() {
            Activity::Starting
        } else {
            Activity::Tool
        }
    }

    pub(super) fn status(&self) -> RunStatus {
        self.status
    }

    pub(super) fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// The time before which no event may come.
    pub(super) fn last_at(&self) -> Timestamp {
        self.last_at
    }

    /// The request that was last asked: its turn and its attempt.
    pub(super) fn request(&self) -> (u32, u32) {
        (self.request.turn, self.request.attempt)
    }

    /// The last turn that is behind the run.
    pub(super) fn turn(&self) -> u32 {
        self.request
            .turn
            .saturating_sub(self.request.is_open.into())
    }

    pub(super) fn calls(&self) -> &OpenCalls {
        &self.calls
    }

    /// What the run has used so far.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The size of the log.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How much of it is progress of tools. `None`: no more is kept.
    pub(super) fn progress(&self) -> Option<u64> {
        (!self.progress_is_over).then_some(self.progress)
    }

    /// How long the run was running before it was last paused or cut by a crash.
    pub(super) fn worked(&self) -> Duration {
        self.worked
    }

    pub(super) fn cancel(&self) -> Option<&AcceptedCancel> {
        self.cancel.as_ref()
    }

    /// What the run waits for, while it is paused.
    pub(super) fn paused(&self) -> Option<&Paused> {
        self.paused.as_deref()
    }

    pub(super) fn resumes(&self) -> u32 {
        self.resumes
    }

    /// Since when the run has been running; it is not while it waits for a slot or for a person.
    pub(super) fn running_since(&self) -> Option<Timestamp> {
        self.running_since
    }

    /// How the run has ended, by its outcome.
    pub(super) fn ended(&self, outcome: &Outcome, prices: Option<&Prices>) -> Ended {
        let first_word = self.asked_at.zip(self.first_word_at);
        Ended {
            first_word: first_word.map(|(asked, word)| word.since(asked)),
            turns: self.request.turn,
            calls: self.begun,
            ..Ended::of(outcome, prices)
        }
    }

    // What comes between two events.

    /// The model has answered.
    pub(super) fn connected(&mut self) {
        self.tally.connected();
    }

    /// The model wrote so many bytes of a call of a tool.
    pub(super) fn wrote(&mut self, bytes: u64) {
        self.tally.said(bytes);
    }

    /// The provider gave a number of tokens.
    pub(super) fn reported(&mut self, usage: ModelUsage) {
        self.tally.reported(usage);
    }

    /// Calls that were noted to begin are running.
    pub(super) fn calls_run(&mut self, calls: &[Arc<ToolCall>]) {
        for call in calls {
            self.calls.run(&call.id);
        }
    }

    /// A call was cut with its run: how it ended.
    pub(super) fn call_cut(&mut self, id: &str, end: ToolEnd) {
        self.calls.cut(id, end);
    }
}

/// What an event with so many bytes of text counts towards the size of a log.
pub(super) fn cost(text: usize) -> u64 {
    EVENT_BYTES.saturating_add(text as u64)
}

/// What a call counts in the answer that asks for it.
pub(super) fn bytes_of(call: &ToolCall) -> usize {
    // It is written twice: where it is asked for, and where it begins.
    2 * (call.id.len() + call.name.len() + call.arguments.len())
}
