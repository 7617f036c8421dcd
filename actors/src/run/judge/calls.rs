//! The judge's decisions on tools: what is called, what comes back, and what waits for a person.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Verdict, budget::MAX_LOG_BYTES, steer::Steers};
use crate::{
    agent::Agent,
    cancel::ToolEnd,
    event::{
        Continued, Decision, EventKind, ModelRequestCompleted, Paused, ToolCallCompleted,
        ToolFault, WaitingCall, WaitsFor,
    },
    id::Timestamp,
    machine::{Input, State},
    message::ToolCall,
    outcome::FinishReason,
    provider::ProviderParts,
    run::{
        flush::Batch,
        log::{Inner, RunLog},
        open_calls::{OpenCall, tool_error},
    },
    status::RunStatus,
    tool::CallFault,
    transcript::{Transcript, is_object},
};

/// What is to become of a call that has not begun.
pub(in crate::run) enum Plan {
    /// It is made so: as the model asked for it, or with other arguments.
    Begin(Arc<ToolCall>),
    /// Somebody has to decide.
    Wait,
    /// It is not made here: this is its output.
    Answer(Arc<str>),
    /// It is not called; the model is told why.
    Refuse(ToolFault, Arc<str>),
}

/// Calls that may begin, once everything up to `seq` is stored.
#[derive(Debug, Default)]
pub(in crate::run) struct Starting {
    pub(in crate::run) seq: u64,
    pub(in crate::run) calls: Vec<Arc<ToolCall>>,
}

/// Why a run does not go on after a pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotContinued {
    NotPaused(RunStatus),
    /// A call that waits, and of which nothing was decided.
    Undecided(Arc<str>),
    /// A decision on a call that does not wait.
    UnknownCall(Arc<str>),
    /// A call that waits for its output was approved.
    NeedsAnswer(Arc<str>),
    /// A call was approved with arguments that are not a JSON object.
    InvalidArguments(Arc<str>),
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
        if !self.charge(&mut inner, words) {
            return self.over_budget(inner, MAX_LOG_BYTES);
        }
        for call in &calls {
            inner.open.ask(call.clone());
        }
        self.complete_request(&mut inner, finish, calls, provider);
        let most = self.limits().max_tool_calls;
        if most.is_some_and(|most| inner.open.count > most) {
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
        if parts > 0 && !self.charge(&mut inner, parts) {
            return self.over_budget(inner, MAX_LOG_BYTES);
        }
        self.complete_request(&mut inner, finish, Vec::new(), provider);
        // In one step: after a crash in between, the model would be asked to answer itself.
        let taken = self.take_in(&mut inner, Instant::now());
        let verdict = self.go_on(inner);
        taken.answer();
        verdict
    }

    fn complete_request(
        &self,
        inner: &mut Inner,
        finish: FinishReason,
        calls: Vec<Arc<ToolCall>>,
        provider: Option<Arc<ProviderParts>>,
    ) {
        let (turn, attempt) = inner.request;
        let completed = ModelRequestCompleted {
            turn,
            attempt,
            finish,
            usage: inner.tally.close(),
            calls,
            provider,
            fault: None,
            retry_in_ms: None,
        };
        let kind = EventKind::ModelRequestCompleted(Arc::new(completed));
        self.write(inner, Instant::now(), kind);
    }

    /// Takes calls up that were asked for before: the run goes on after a pause or a crash. `false`: it may not.
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
        let planned =
            |open: &OpenCall| (open.call.clone(), plan(&open.call, open.decision.as_ref()));
        let plans: Vec<_> = inner.open.waiting().map(planned).collect();
        for (call, plan) in &plans {
            let fits = match plan {
                // The words were counted when it was asked for; those of other arguments were not.
                Plan::Begin(made) if Arc::ptr_eq(made, call) => self.charge(&mut inner, 0),
                Plan::Begin(made) => self.charge(&mut inner, made.arguments.len()),
                Plan::Wait => true,
                Plan::Answer(words) | Plan::Refuse(_, words) => {
                    self.charge(&mut inner, words.len())
                }
            };
            if !fits {
                let _ = self.over_budget(inner, MAX_LOG_BYTES);
                return None;
            }
        }
        let now = Instant::now();
        let mut begun = Starting::default();
        for (call, plan) in plans {
            match plan {
                Plan::Begin(call) => {
                    inner.open.begin(&call);
                    self.write(&mut inner, now, EventKind::ToolCallStarted(call.clone()));
                    begun.calls.push(call);
                }
                Plan::Wait => {}
                Plan::Answer(output) => {
                    inner.open.close(&call.id);
                    let done = ToolCallCompleted::new(call.id.clone(), output);
                    let kind = EventKind::ToolCallCompleted(Arc::new(done));
                    self.write(&mut inner, now, kind);
                }
                Plan::Refuse(kind, words) => {
                    inner.open.close(&call.id);
                    self.write(&mut inner, now, tool_error(&call, kind, words));
                }
            }
        }
        begun.seq = inner.decided;
        // Whoever waits for `seq` waits for the store anyway.
        let _ = self.go_on(inner);
        Some(begun)
    }

    /// These calls, of which it is stored that they begin, are at work from here on. `false`: they are not, since the run
    /// is to stop.
    pub(in crate::run) fn mark_running(&self, calls: &[Arc<ToolCall>]) -> bool {
        let mut inner = self.lock();
        if inner.lost.is_some() || !inner.apply(Input::Told) {
            return false;
        }
        for call in calls {
            inner.open.at_work(&call.id);
        }
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
        let Some(open) = inner.open.close(&call.id) else {
            return Verdict::Stop;
        };
        let words = match &result {
            Ok(words) | Err((_, words)) => words.len(),
        };
        let fits = self.charge(&mut inner, words);
        let end = match &result {
            Err((ToolFault::NotStarted, _)) => ToolEnd::NotStarted,
            Ok(_) | Err(_) => ToolEnd::Finished,
        };
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
        if inner.state == State::Cancelling {
            inner.open.finished_late(&open, end);
        } else if !fits {
            return self.over_budget(inner, MAX_LOG_BYTES);
        }
        self.go_on(inner)
    }

    /// A call was cut: how it ended.
    pub(in crate::run) fn cut(&self, call: &ToolCall, end: ToolEnd) {
        if let Some(open) = self.lock().open.get_mut(&call.id) {
            open.end = Some(end);
        }
    }

    /// Whether calls wait for a person.
    pub(in crate::run) fn waits_for_a_person(&self) -> bool {
        self.lock().open.waiting().next().is_some()
    }

    /// Whether calls are open.
    pub(in crate::run) fn has_open_calls(&self) -> bool {
        !self.lock().open.is_empty()
    }

    /// Pauses the run, which has been at work for `worked` since it got its slot. Nobody may work for it when this is
    /// called: a person may decide in this very moment. `false`: the law does not have it now.
    pub(in crate::run) fn pause(self: &Arc<Self>, worked: Duration, agent: &Agent) -> bool {
        let Some((steers, batch)) = self.decide_pause(worked, agent) else {
            return false;
        };
        self.host.paused(self);
        steers.too_late(RunStatus::Paused);
        self.carry(batch);
        true
    }

    /// Decides that the run is paused. `None`: the law does not have it now.
    fn decide_pause(
        self: &Arc<Self>,
        worked: Duration,
        agent: &Agent,
    ) -> Option<(Steers, Option<Batch>)> {
        let mut inner = self.lock();
        // A pause that nobody will ever read is none.
        if inner.lost.is_some() || !inner.apply(Input::Pauses) {
            return None;
        }
        inner.worked = worked;
        let now = Instant::now();
        let waits = |open: &OpenCall| {
            let tool = agent.tool(&open.call.name);
            let waits_for = match tool.is_some_and(|tool| tool.settings().external) {
                true => WaitsFor::Answer,
                false => WaitsFor::Approval,
            };
            WaitingCall::new(open.call.clone(), waits_for)
        };
        let calls = inner.open.waiting().map(waits).collect();
        let expires_at = self.limits().pause_expiry.map(|expiry| {
            let millis = u64::try_from(expiry.as_millis()).unwrap_or(u64::MAX);
            let at = self.env.clock.at(now).as_millis();
            Timestamp::from_millis(at.saturating_add(millis))
        });
        let paused = Paused { calls, expires_at };
        self.write(&mut inner, now, EventKind::Paused(Arc::new(paused)));
        let steers = inner.steers.take();
        Some((steers, self.next_batch(&mut inner)))
    }

    /// Goes on after a pause, with these decisions. The append that stores it acquires the run. Answers its position.
    pub(crate) fn go_on_with(&self, continued: Continued) -> Result<u64, NotContinued> {
        let mut inner = self.lock();
        if inner.state != State::Paused {
            return Err(NotContinued::NotPaused(inner.status));
        }
        let decision = |id: &str| {
            let mut decisions = continued.decisions.iter();
            decisions.find(|(call, _)| **call == *id)
        };
        let undecided = inner
            .open
            .waiting()
            .find(|open| decision(&open.call.id).is_none());
        if let Some(open) = undecided {
            return Err(NotContinued::Undecided(open.call.id.clone()));
        }
        let paused = self.tape.get(inner.decided).map(|event| event.kind);
        for (id, decision) in &continued.decisions {
            if !inner.open.waiting().any(|open| open.call.id == *id) {
                return Err(NotContinued::UnknownCall(id.clone()));
            }
            match decision {
                Decision::Approve | Decision::ApproveWith(_) if waits_for_answer(&paused, id) => {
                    return Err(NotContinued::NeedsAnswer(id.clone()));
                }
                Decision::ApproveWith(arguments) if !is_object(arguments) => {
                    return Err(NotContinued::InvalidArguments(id.clone()));
                }
                Decision::Approve
                | Decision::ApproveWith(_)
                | Decision::Reject(_)
                | Decision::Answer(_) => {}
            }
        }
        for open in inner.open.iter_mut() {
            open.decision = decision(&open.call.id).map(|(_, decision)| decision.clone());
        }
        self.continued(&mut inner, continued);
        Ok(inner.decided)
    }

    /// Writes that the run goes on.
    pub(in crate::run) fn continued(&self, inner: &mut Inner, continued: Continued) {
        inner.apply(Input::Continues);
        inner.acquires = true;
        let kind = EventKind::Continued(Arc::new(continued));
        self.write(inner, Instant::now(), kind);
    }

    /// All that the run has said and heard, folded. Only for a log that holds its run from the start.
    pub(crate) fn transcript(&self) -> Transcript {
        let mut transcript = Transcript::new();
        let last = self.lock().decided;
        for event in (1..=last).filter_map(|seq| self.tape.get(seq)) {
            transcript.event(&event.kind);
        }
        transcript
    }
}

/// Whether the call of this id waits for its output, by the event of the pause.
fn waits_for_answer(paused: &Option<EventKind>, id: &str) -> bool {
    let Some(EventKind::Paused(paused)) = paused else {
        return false;
    };
    let mut calls = paused.calls.iter();
    calls.any(|waiting| *waiting.call.id == *id && waiting.waits_for == WaitsFor::Answer)
}

pub(in crate::run) fn bytes_of(call: &ToolCall) -> usize {
    // Asked for, begun: the words are written twice.
    2 * (call.id.len() + call.name.len() + call.arguments.len())
}
