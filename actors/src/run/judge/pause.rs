//! The judge's decisions on waiting for a person: a run is paused, and goes on.

use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    agent::Agent,
    error::{Cause, ContinueError},
    event::{Continued, Decision, EventKind, Paused, WaitingCall, WaitsFor},
    id::Timestamp,
    machine::{Input, State},
    message::ToolCall,
    run::{
        log::{Inner, RunLog},
        outbox,
    },
    status::RunStatus,
    transcript::is_object,
};

impl RunLog {
    /// Pauses the run. Its work must be dropped before this call: a person may decide as soon as the pause is stored.
    /// `false`: the law does not have it now.
    pub(in crate::run) fn pause(self: &Arc<Self>, agent: &Agent) -> bool {
        let mut inner = self.lock();
        // With the store lost, a pause would never be read.
        if inner.outbox.lost().is_some() || !inner.apply(Input::Pauses) {
            return false;
        }
        let now = Instant::now();
        let waits = |call: &Arc<ToolCall>| {
            let tool = agent.tool(&call.name);
            let waits_for = match tool.is_some_and(|tool| tool.settings().external) {
                true => WaitsFor::Answer,
                false => WaitsFor::Approval,
            };
            WaitingCall::new(call.clone(), waits_for)
        };
        let waiting = inner.facts.calls().waiting();
        let calls = waiting.map(|(call, _)| waits(call)).collect();
        let expiry = self.limits().and_then(|limits| limits.pause_expiry);
        let expires_at = expiry.map(|expiry| {
            let millis = u64::try_from(expiry.as_millis()).unwrap_or(u64::MAX);
            let at = self.env.clock.at(now).max(inner.facts.last_at());
            Timestamp::from_millis(at.as_millis().saturating_add(millis))
        });
        let paused = Paused { calls, expires_at };
        self.write(&mut inner, now, EventKind::Paused(Arc::new(paused)));
        let steers = inner.steers.take();
        let batch = self.next_batch(&mut inner);
        drop(inner);

        self.host.paused(self);
        self.carry(batch);
        steers.too_late(RunStatus::Paused);
        true
    }

    /// Continues after a pause, with these decisions. The append that stores it acquires the run. Returns its position.
    pub(crate) fn go_on_with(&self, continued: Continued) -> Result<u64, ContinueError> {
        let mut inner = self.lock();
        if inner.state() != State::Paused {
            let status = inner.facts.status();
            return Err(ContinueError::NotPaused { status });
        }
        if let Some(lost) = inner.outbox.lost() {
            return Err(ContinueError::Store(Cause::new(lost.clone())));
        }
        let is_decided = |id: &str| continued.decisions.iter().any(|(call, _)| **call == *id);
        let mut undecided = inner.facts.calls().waiting();
        if let Some((call, _)) = undecided.find(|(call, _)| !is_decided(&call.id)) {
            return Err(ContinueError::Undecided(call.id.clone()));
        }
        let paused = inner.facts.paused();
        for (id, decision) in &continued.decisions {
            let mut waiting = inner.facts.calls().waiting();
            if !waiting.any(|(call, _)| call.id == *id) {
                return Err(ContinueError::UnknownCall(id.clone()));
            }
            match decision {
                Decision::Approve | Decision::ApproveWith(_) if waits_for_answer(paused, id) => {
                    return Err(ContinueError::NeedsAnswer(id.clone()));
                }
                Decision::ApproveWith(arguments) if !is_object(arguments) => {
                    return Err(ContinueError::InvalidArguments(id.clone()));
                }
                Decision::Approve
                | Decision::ApproveWith(_)
                | Decision::Reject(_)
                | Decision::Answer(_) => {}
            }
        }
        drop(undecided);
        inner.apply(Input::Continues);
        self.continued(&mut inner, continued);
        Ok(inner.outbox.decided())
    }

    /// Writes that the run goes on. The append that stores it takes the run over.
    pub(in crate::run) fn continued(&self, inner: &mut Inner, continued: Continued) {
        inner.outbox.apply(outbox::Input::Acquire);
        let kind = EventKind::Continued(Arc::new(continued));
        self.write(inner, Instant::now(), kind);
    }
}

/// Whether the call of this id waits for its output, by the event of the pause.
fn waits_for_answer(paused: Option<&Paused>, id: &str) -> bool {
    let mut calls = paused.into_iter().flat_map(|paused| &paused.calls);
    calls.any(|waiting| *waiting.call.id == *id && waiting.waits_for == WaitsFor::Answer)
}
