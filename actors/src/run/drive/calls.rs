//! The calls of an answer: requested, begun when that is stored, and awaited to the end.

use std::{collections::HashSet, sync::Arc};

use super::{Driver, Next};
use crate::{
    agent::Agent,
    event::{Decision, ToolFault},
    message::{Message, ToolCall},
    outcome::{ErrorReason, FinishReason},
    run::{call_tasks::CallEnd, ending::Ending, judge::calls::Plan, verdict::Verdict},
    tool::{ToolContext, in_bounds, too_long},
};

impl Driver {
    /// The model finished its answer: the run is over, unless tools are to be called or somebody has said something.
    pub(super) fn finished(&mut self, reason: FinishReason) -> Next {
        let calls = std::mem::take(&mut self.calls);
        let parts = std::mem::take(&mut self.parts);
        let provider = parts.finish(self.work.agent().model().name());
        if calls.is_empty() {
            if !self.log.is_steered(self.turn + 1) {
                return Next::Over(Ending::Completed(reason, provider));
            }
            let verdict = self.log.turned(reason, provider);
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
        if self.log.answered(reason, calls, provider) == Verdict::Stop {
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

    /// Records the open calls as begun, or refused. Drops the model's stream.
    pub(super) fn begin(&mut self) -> Next {
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

    /// Starts the calls that are recorded as begun.
    pub(super) fn call(&mut self) {
        let Some(begun) = self.begun.take() else {
            return;
        };
        if !self.log.mark_running(&begun.calls) {
            return;
        }
        let agent = self.work.agent().clone();
        for call in begun.calls {
            let Some(tool) = agent.tool(&call.name) else {
                continue;
            };
            let (log, id) = (self.log.clone(), call.id.clone());
            let started = log.started();
            let context = |told| ToolContext::new(log.id, started.as_deref(), id, told, log);
            self.work
                .calls()
                .begin(&self.log.env.tokio, tool, call, context);
        }
    }

    pub(super) fn called(&mut self, call: &ToolCall, end: CallEnd) -> Next {
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
    pub(super) fn all_called(&mut self) -> Next {
        if let Some(ending) = self.closing.take() {
            return Next::Over(ending);
        }
        if self.log.waits_for_a_person() {
            return Next::Pause;
        }
        self.freshen();
        Next::Go(Verdict::Go)
    }
}

/// What is to become of a call that has not begun.
fn plan(agent: &Agent, call: &Arc<ToolCall>, decision: Option<&Decision>) -> Plan {
    match (decision, agent.tool(&call.name)) {
        // Given by the caller, whether there is such a tool here or not.
        (Some(Decision::Answer(output)), tool) => {
            let settings = tool.map(|tool| tool.settings().clone()).unwrap_or_default();
            match too_long(output, settings.max_output_bytes) {
                None => Plan::Answer(output.clone()),
                Some((kind, words)) => Plan::Refuse(kind, words),
            }
        }
        (_, None) => {
            let words = format!("there is no tool of the name {:?}", call.name);
            Plan::Refuse(ToolFault::UnknownTool, in_bounds(words))
        }
        (Some(Decision::Approve), Some(_)) => Plan::Begin(call.clone()),
        (Some(Decision::ApproveWith(arguments)), Some(_)) => Plan::Begin(Arc::new(ToolCall {
            arguments: arguments.clone(),
            ..ToolCall::clone(call)
        })),
        (Some(Decision::Reject(words)), Some(_)) => {
            Plan::Refuse(ToolFault::Rejected, words.clone())
        }
        (None, Some(tool)) if tool.settings().confirm || tool.settings().external => Plan::Wait,
        (None, Some(_)) => Plan::Begin(call.clone()),
    }
}
