//! A log made of what is stored: a run comes back, after a pause or after a crash.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    judge::{EVENT_BYTES, calls::bytes_of},
    log::{Cancel, Inner, LogLimits, RunHost, RunLog, RuntimeEnv, nonce, run_span},
    open_calls::{UNKNOWN_OUTCOME, tool_error},
    poke::Poke,
};
use crate::{
    agent::Agent,
    cancel::Activity,
    event::{Continued, Decision, EventKind, RunEvent, ToolCallProcess, ToolFault},
    id::Timestamp,
    machine::State,
    message::Message,
    status::RunStatus,
    store::{RunHead, Tape},
    transcript::Transcript,
};

impl RunLog {
    /// The log of a run that nobody works for, by its stored events, all of them. Its first append takes the run over.
    pub(crate) fn restored(
        head: &RunHead,
        events: &[RunEvent],
        agent: Option<&Agent>,
        env: Arc<RuntimeEnv>,
        host: Arc<dyn RunHost>,
    ) -> Arc<RunLog> {
        let tape = Tape::new(head.run_id, 0);
        for event in events {
            tape.push(event.at, event.kind.clone());
        }
        let state = match head.status {
            RunStatus::Pending => State::Queued,
            RunStatus::Cancelling => State::Cancelling,
            RunStatus::Paused => State::Paused,
            RunStatus::Running | RunStatus::Completed | RunStatus::Cancelled | RunStatus::Error => {
                State::Ready
            }
        };
        let span = run_span(head.run_id, &head.agent);
        let mut inner = Inner::new(state, head.status, head.last, span);
        inner.fold(events, &env);
        inner.epoch = head.epoch;
        inner.acquires = true;
        inner.last_at = events
            .last()
            .map_or_else(Timestamp::default, |last| last.at);
        Arc::new(RunLog {
            id: head.run_id,
            agent: head.agent.clone(),
            session_id: head.session_id.clone(),
            poke: Poke::default(),
            tape: Arc::new(tape),
            env,
            host,
            limits: agent
                .map(|agent| LogLimits::of(agent).into())
                .unwrap_or_default(),
            nonce: nonce(),
            inner: Mutex::new(inner),
        })
    }

    /// When the run, which is paused, is cancelled unless somebody decides before.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        let last = self.lock().decided;
        let EventKind::Paused(paused) = self.tape.get(last)?.kind else {
            return None;
        };
        paused.expires_at
    }

    /// The position at which the run is paused.
    ///
    /// # Errors
    ///
    /// Where it stands instead.
    pub(crate) fn paused_at(&self) -> Result<u64, RunStatus> {
        let inner = self.lock();
        match inner.status {
            RunStatus::Paused => Ok(inner.decided),
            status => Err(status),
        }
    }

    /// When the run was accepted. Only for a log that holds its run from the start.
    pub(crate) fn created_at(&self) -> Option<Timestamp> {
        self.tape.get(1).map(|event| event.at)
    }

    /// The last turn that is behind the run: the one it goes on after.
    pub(crate) fn turn(&self) -> u32 {
        self.lock().request.0
    }

    /// The programs that calls without a result had at work.
    pub(crate) fn open_processes(&self) -> Vec<Arc<ToolCallProcess>> {
        let inner = self.lock();
        let mut processes = Vec::new();
        for seq in 1..=inner.decided {
            if let Some(EventKind::ToolCallProcess(process)) =
                self.tape.get(seq).map(|event| event.kind)
                && inner.open.iter().any(|open| open.call.id == process.id)
            {
                processes.push(process);
            }
        }
        processes
    }

    /// Goes on after a crash, from the last completed step. A call that was at work is made again where its tool allows
    /// that; of any other the model is told that its outcome is not known. Answers the position from which the run is ours.
    pub(crate) fn resume(&self, agent: &Agent) -> u64 {
        let mut inner = self.lock();
        // Nobody works for it, like for a paused run, and the law lets it go on like one.
        inner.state = State::Paused;
        // What a cut answer has cost is spent.
        inner.tally.broken();
        let mut unknown = Vec::new();
        for open in inner.open.iter_mut().filter(|open| open.begun) {
            let tool = agent.tool(&open.call.name);
            if tool.is_some_and(|tool| tool.settings().repeatable) {
                open.again();
            } else {
                unknown.push(open.call.clone());
            }
        }
        // Before it goes on: what is open and was begun before that is to be made again, also after the next crash.
        let now = Instant::now();
        for call in unknown {
            inner.open.close(&call.id);
            let kind = tool_error(&call, ToolFault::UnknownOutcome, UNKNOWN_OUTCOME);
            self.write(&mut inner, now, kind);
        }
        self.continued(&mut inner, Continued::default());
        inner.decided
    }
}

impl Inner {
    /// Takes in what the stored events say of where the run stands.
    fn fold(&mut self, events: &[RunEvent], env: &RuntimeEnv) {
        let mut transcript = Transcript::new();
        let mut decisions: Vec<(Arc<str>, Decision)> = Vec::new();
        // Since when the run has been at work, and the request that has no end.
        let (mut since, mut asked) = (None, None);
        let mut last = Timestamp::default();
        for event in events {
            transcript.event(&event.kind);
            match &event.kind {
                EventKind::ModelRequestStarted {
                    turn,
                    attempt,
                    input_bytes,
                } => {
                    since.get_or_insert(event.at);
                    self.request = (*turn, *attempt);
                    let words = || transcript.messages().iter().map(Message::bytes).sum();
                    self.tally.ask(input_bytes.unwrap_or_else(words));
                    asked = Some(*turn);
                    self.count(0);
                }
                EventKind::Content { text } | EventKind::ReasoningContent { text } => {
                    self.tally.said(text.len() as u64);
                    self.count(text.len());
                }
                EventKind::ModelRequestCompleted(completed) => {
                    // A turn whose request was to be repeated is not behind the run.
                    asked = completed.retry_in_ms.map(|_| completed.turn);
                    self.tally.closed_with(completed.usage);
                    self.open.count += u32::try_from(completed.calls.len()).unwrap_or(u32::MAX);
                    let calls = completed.calls.iter().map(|call| bytes_of(call));
                    let parts = completed.provider.as_ref().map_or(0, |parts| parts.bytes());
                    let fault = completed.fault.as_ref().map_or(0, String::len);
                    self.count(calls.sum::<usize>() + parts + fault);
                }
                EventKind::ToolCallStarted(call) => {
                    since.get_or_insert(event.at);
                    let decided = decisions.iter().rfind(|(id, _)| *id == call.id);
                    if let Some((_, Decision::ApproveWith(arguments))) = decided {
                        self.count(arguments.len());
                    }
                    decisions.retain(|(id, _)| *id != call.id);
                }
                EventKind::ToolCallCompleted(done) => self.count(done.output.len()),
                EventKind::ToolCallError(failed) => self.count(failed.error.len()),
                EventKind::ToolCallProgress(told) => self.count(told.text.len()),
                EventKind::ToolCallProcess(process) => self.count(process.boot.len()),
                EventKind::Steered { message } => self.count(message.text().len()),
                EventKind::CancelRequested { cancel } => {
                    let guess = || match (asked, transcript.open_calls().next()) {
                        (Some(_), _) => Activity::Streaming,
                        (None, Some(_)) => Activity::Tool,
                        (None, None) => Activity::Starting,
                    };
                    self.cancel = Some(Cancel {
                        seq: event.seq,
                        at: event.at,
                        since: moment(event.at, env),
                        reason: cancel.reason.clone(),
                        by: cancel.by.clone(),
                        cut: cancel.cut.unwrap_or_else(guess),
                    });
                }
                EventKind::Paused(_) => self.worked += between(since.take(), event.at),
                EventKind::Continued(continued) => {
                    // After a crash it is not known for how long it was at work beyond its last event.
                    self.worked += between(since.take(), last);
                    decisions.extend(continued.decisions.iter().cloned());
                    // What is open here and was begun was taken up to be made again: whoever approved it has approved it.
                    let calls = transcript.open_calls();
                    let begun = calls.filter(|call| transcript.is_begun(&call.id));
                    decisions.extend(begun.map(|call| (call.id.clone(), Decision::Approve)));
                    // So was an answer that had been cut, and what it has cost is spent.
                    self.not_behind(asked.take());
                    self.tally.broken();
                }
                EventKind::Started(_)
                | EventKind::Completed { .. }
                | EventKind::Cancelled { .. }
                | EventKind::Error { .. } => {}
            }
            last = event.at;
        }
        self.worked += between(since, last);
        let count = self.open.count;
        for call in transcript.open_calls() {
            self.open.ask(call.clone());
            let decision = decisions.iter().rfind(|(id, _)| *id == call.id);
            if let Some(open) = self.open.get_mut(&call.id) {
                // A call loses its decision when it is begun, and a begun one gets one only to be begun again.
                open.begun = transcript.is_begun(&call.id) && decision.is_none();
                open.decision = decision.map(|(_, decision)| decision.clone());
            }
        }
        self.open.count = count;
        self.not_behind(asked);
    }

    /// An answer that was cut is asked for again: its turn is not behind the run.
    fn not_behind(&mut self, asked: Option<u32>) {
        if let Some(turn) = asked {
            self.request.0 = turn.saturating_sub(1);
        }
    }

    fn count(&mut self, words: usize) {
        self.bytes = self.bytes.saturating_add(words as u64 + EVENT_BYTES);
    }
}

/// From `since`, if it is known, until `at`.
fn between(since: Option<Timestamp>, at: Timestamp) -> Duration {
    let since = since.map_or(at.as_millis(), Timestamp::as_millis);
    Duration::from_millis(at.as_millis().saturating_sub(since))
}

/// The moment of a time that is past, by the clock that counts.
fn moment(at: Timestamp, env: &RuntimeEnv) -> Instant {
    let now = Instant::now();
    now.checked_sub(between(Some(at), env.clock.at(now)))
        .unwrap_or(now)
}
