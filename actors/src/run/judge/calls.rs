//! The judge's decisions on tools: what is called, and what comes back.

use std::sync::Arc;

use tokio::time::Instant;

use super::budget::MAX_LOG_BYTES;
use crate::{
    cancel::ToolEnd,
    event::{Decision, EventKind, ModelRequestCompleted, ToolCallCompleted, ToolFault},
    machine::{Input, State},
    message::ToolCall,
    outcome::FinishReason,
    provider::ProviderParts,
    run::{
        facts::{bytes_of, cost},
        log::{Inner, RunLog},
        open_calls::tool_error,
        verdict::Verdict,
    },
    tool::CallFault,
    transcript::Transcript,
};

/// What is to become of a call that has not begun.
pub(in crate::run) enum Plan {
    /// It is made so: as the model asked for it, or with other arguments.
    Begin(Arc<ToolCall>),
    /// Somebody has to decide.
    Wait,
    /// It is not made here: this is its output.
    Answer(Arc<str>),
    /// It is not called; the model is given the reason.
    Refuse(ToolFault, Arc<str>),
}

/// Calls that may begin, once everything up to `seq` is stored.
#[derive(Debug, Default)]
pub(in crate::run) struct Starting {
    pub(in crate::run) seq: u64,
    pub(in crate::run) calls: Vec<Arc<ToolCall>>,
}

impl RunLog {
    /// The model has finished an answer that asks for `calls`.
    pub(in crate::run) fn answered(
        self: &Arc<Self>,
        finish: FinishReason,
        calls: Vec<Arc<ToolCall>>,
        provider: Option<Arc<ProviderParts>>,
    ) -> Verdict {
        let mut inner = self.lock();
        if !inner.apply(Input::Calls) {
            return Verdict::Stop;
        }
        let parts = provider.as_ref().map_or(0, |parts| parts.bytes());
        let words = parts + calls.iter().map(|call| bytes_of(call)).sum::<usize>();
        if !self.fits(&inner, words) {
            return self.over_budget(inner, MAX_LOG_BYTES);
        }
        self.complete_request(&mut inner, finish, calls, provider);
        let most = self.limits().and_then(|limits| limits.max_tool_calls);
        if most.is_some_and(|most| inner.facts.calls().count() > most) {
            return self.over_budget(inner, "max_tool_calls");
        }
        self.go_on(inner)
    }

    /// The model has finished an answer, and is to be asked again, since somebody has said something.
    pub(in crate::run) fn turned(
        self: &Arc<Self>,
        finish: FinishReason,
        provider: Option<Arc<ProviderParts>>,
    ) -> Verdict {
        let mut inner = self.lock();
        if !inner.apply(Input::Turned) {
            return Verdict::Stop;
        }
        let parts = provider.as_ref().map_or(0, |parts| parts.bytes());
        if parts > 0 && !self.fits(&inner, parts) {
            return self.over_budget(inner, MAX_LOG_BYTES);
        }
        self.complete_request(&mut inner, finish, Vec::new(), provider);
        // In one step: after a crash in between, the model would be asked to answer itself.
        let taken = self.take_in(&mut inner, Instant::now());
        let verdict = self.go_on(inner);
        taken.tell();
        verdict
    }

    fn complete_request(
        &self,
        inner: &mut Inner,
        finish: FinishReason,
        calls: Vec<Arc<ToolCall>>,
        provider: Option<Arc<ProviderParts>>,
    ) {
        let (turn, attempt) = inner.facts.request();
        let completed = ModelRequestCompleted {
            turn,
            attempt,
            finish,
            usage: inner.facts.tally().request(),
            calls,
            provider,
            fault: None,
            retry_in_ms: None,
        };
        let kind = EventKind::ModelRequestCompleted(Arc::new(completed));
        self.write(inner, Instant::now(), kind);
    }

    /// Resumes calls from before a pause or a crash. Returns `false` when the run may not continue.
    pub(in crate::run) fn reopen_calls(&self) -> bool {
        self.lock().apply(Input::Calls)
    }

    /// Begins what may begin of the open calls. `None`: the run is to stop.
    pub(in crate::run) fn begin(
        self: &Arc<Self>,
        plan: impl Fn(&Arc<ToolCall>, Option<&Decision>) -> Plan,
    ) -> Option<Starting> {
        let mut inner = self.lock();
        if !inner.apply(Input::Told) {
            return None;
        }
        let waiting = inner.facts.calls().waiting();
        let planned = waiting.map(|(call, decision)| (call.clone(), plan(call, decision)));
        let plans: Vec<_> = planned.collect();
        let costs = plans.iter().map(|(call, plan)| match plan {
            // The text was counted when it was asked for; that of other arguments was not.
            Plan::Begin(made) if Arc::ptr_eq(made, call) => cost(0),
            Plan::Begin(made) => cost(made.arguments.len()),
            Plan::Wait => 0,
            Plan::Answer(words) | Plan::Refuse(_, words) => cost(words.len()),
        });
        if !self.fits_bytes(&inner, costs.sum()) {
            let _ = self.over_budget(inner, MAX_LOG_BYTES);
            return None;
        }
        let now = Instant::now();
        let mut begun = Starting::default();
        for (call, plan) in plans {
            match plan {
                Plan::Begin(call) => {
                    self.write(&mut inner, now, EventKind::ToolCallStarted(call.clone()));
                    begun.calls.push(call);
                }
                Plan::Wait => {}
                Plan::Answer(output) => {
                    let done = ToolCallCompleted::new(call.id.clone(), output);
                    let kind = EventKind::ToolCallCompleted(Arc::new(done));
                    self.write(&mut inner, now, kind);
                }
                Plan::Refuse(kind, words) => {
                    self.write(&mut inner, now, tool_error(&call, kind, words));
                }
            }
        }
        begun.seq = inner.outbox.decided();
        // Whoever waits for `seq` waits for the store anyway.
        let _ = self.go_on(inner);
        Some(begun)
    }

    /// Marks these calls, whose start is stored, as running. Returns `false` when the run is stopping.
    pub(in crate::run) fn mark_running(&self, calls: &[Arc<ToolCall>]) -> bool {
        let mut inner = self.lock();
        if inner.outbox.lost().is_some() || !inner.apply(Input::Told) {
            return false;
        }
        inner.facts.calls_run(calls);
        true
    }

    /// A call has come to its end, with its output or with a fault.
    pub(in crate::run) fn returned(
        self: &Arc<Self>,
        call: &ToolCall,
        result: Result<Arc<str>, CallFault>,
    ) -> Verdict {
        let mut inner = self.lock();
        if !inner.apply(Input::Returned) {
            return Verdict::Stop;
        }
        if !inner.facts.calls().is_open(&call.id) {
            return Verdict::Stop;
        }
        let words = match &result {
            Ok(words) | Err((_, words)) => words.len(),
        };
        let fits = self.fits(&inner, words);
        let kind = match result {
            _ if !fits => {
                let words = "The result did not fit into what a run may hold.";
                tool_error(call, ToolFault::Failed, words)
            }
            Ok(output) => EventKind::ToolCallCompleted(Arc::new(ToolCallCompleted {
                id: call.id.clone(),
                output,
            })),
            Err((kind, words)) => tool_error(call, kind, words),
        };
        self.write(&mut inner, Instant::now(), kind);
        if !fits && inner.state() != State::Cancelling {
            return self.over_budget(inner, MAX_LOG_BYTES);
        }
        self.go_on(inner)
    }

    /// A call was cut: how it ended.
    pub(in crate::run) fn cut(&self, call: &ToolCall, end: ToolEnd) {
        self.lock().facts.call_cut(&call.id, end);
    }

    /// Whether calls wait for a person.
    pub(in crate::run) fn waits_for_a_person(&self) -> bool {
        self.lock().facts.calls().waiting().next().is_some()
    }

    /// Whether calls are open.
    pub(in crate::run) fn has_open_calls(&self) -> bool {
        !self.lock().facts.calls().is_empty()
    }
}

impl RunLog {
    /// Tells `transcript`, which knows of everything up to `position`, what has happened since. Returns the last position.
    /// Only for a log that holds its run from the start.
    pub(in crate::run) fn tell(&self, transcript: &mut Transcript, position: u64) -> u64 {
        let last = self.lock().outbox.decided();
        for event in (position + 1..=last).filter_map(|seq| self.tape.get(seq)) {
            transcript.event(&event.kind);
        }
        last
    }
}
