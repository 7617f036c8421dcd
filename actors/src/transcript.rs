//! What a model is shown of a run: the fold of the run's stored events into messages.
//!
//! The same fold serves a run's own next turn and the later runs of its session. Pure, like all words: what a model is
//! shown follows from what is stored, and from nothing else.
//!
//! Whatever events come, the messages keep the rules that providers and chat templates insist on: each call of a tool has
//! exactly one result, directly after the answer that asked for it and in the order of the calls; no answer is empty; the
//! arguments of a call are a JSON object.

mod sendable;

use std::sync::Arc;

use self::sendable::sendable;
pub(crate) use self::sendable::{is_object, is_tool_name};
use crate::{
    event::{EventKind, ModelRequestCompleted},
    message::{Message, ToolCall},
    provider::ProviderParts,
    status::RunStatus,
};

/// Stands at the end of an answer that was cut, for the model of a later run to read.
const INTERRUPTED: &str = "[This answer was interrupted.]";

/// Stands at the end of an answer of a run that has not ended.
const UNFINISHED: &str = "[This answer is not finished.]";

/// Stands for the result of a call that a person has yet to approve.
const AWAITING_APPROVAL: &str = "awaiting approval";

/// Stands for the result of a call that has none.
const NOT_FINISHED: &str = "not finished";

/// What a model is shown of one run. It is told the run's events one by one, from the first.
#[derive(Clone, Debug)]
pub(crate) struct Transcript {
    /// What is settled: nothing comes in between any more.
    shown: Vec<Message>,
    /// The answer under way.
    answer: Option<Answer>,
    /// The last answer, where it asked for tools.
    round: Option<Round>,
    /// What came from outside since that answer: it is shown after the results.
    steered: Vec<Message>,
    status: RunStatus,
    /// A model was asked.
    asked: bool,
}

/// An answer, as far as it goes.
#[derive(Clone, Debug, Default)]
struct Answer {
    text: String,
    reasoning: String,
}

/// An answer that asked for tools.
#[derive(Clone, Debug)]
struct Round {
    text: Arc<str>,
    provider: Option<Arc<ProviderParts>>,
    calls: Vec<Call>,
}

#[derive(Clone, Debug)]
struct Call {
    call: Arc<ToolCall>,
    begun: bool,
    result: Option<Arc<str>>,
}

impl Transcript {
    /// Of a run that has said nothing yet.
    pub(crate) fn new() -> Transcript {
        Transcript {
            shown: Vec::new(),
            answer: None,
            round: None,
            steered: Vec::new(),
            status: RunStatus::Pending,
            asked: false,
        }
    }

    /// Takes in the run's next event.
    pub(crate) fn event(&mut self, kind: &EventKind) {
        self.status = kind.status().unwrap_or(self.status);
        match kind {
            EventKind::Started(started) => self.shown.extend_from_slice(&started.input),
            EventKind::ModelRequestStarted { .. } => {
                self.asked = true;
                self.close_round();
                self.drop_answer();
                self.answer = Some(Answer::default());
            }
            EventKind::Content { text } => {
                self.answer.get_or_insert_default().text.push_str(text);
            }
            EventKind::ReasoningContent { text } => {
                self.answer.get_or_insert_default().reasoning.push_str(text);
            }
            EventKind::ModelRequestCompleted(completed) => self.completed(completed),
            EventKind::ToolCallStarted(call) => {
                if let Some(open) = self.open(&call.id) {
                    // Whoever approved it may have changed its arguments.
                    open.call = call.clone();
                    open.begun = true;
                }
            }
            EventKind::ToolCallCompleted(done) => self.result(&done.id, &done.output),
            EventKind::ToolCallError(failed) => self.result(&failed.id, &failed.error),
            EventKind::Steered { message } => {
                self.steered.push((**message).clone());
                self.settle();
            }
            // After a crash the model is asked again: what it had said before belongs to no answer.
            EventKind::Continued(_) => self.drop_answer(),
            EventKind::Completed { .. } => self.close_answer(&[], None),
            EventKind::ToolCallProgress(_)
            | EventKind::ToolCallProcess(_)
            | EventKind::CancelRequested { .. }
            | EventKind::Paused(_)
            | EventKind::Cancelled { .. }
            | EventKind::Error { .. } => {}
        }
    }

    /// The messages for the run's own next turn. An answer under way is not among them, and every call is expected to
    /// have its result.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let mut whole = self.clone();
        whole.close_round();
        whole.drop_answer();
        whole.shown
    }

    /// The messages for a later run of the session. With `marked` an answer that was cut is shown as far as it went, with
    /// a mark at its end, and a question that got no answer is answered by the mark alone, so that the roles stay in
    /// order. Without, nothing is shown of it.
    ///
    /// A run that has not ended is shown likewise, and its open calls as awaiting approval, or as not finished.
    pub(crate) fn into_history(mut self, marked: bool) -> Vec<Message> {
        let mark = match self.status {
            RunStatus::Completed => None,
            RunStatus::Cancelled | RunStatus::Error => Some(INTERRUPTED),
            RunStatus::Pending | RunStatus::Running | RunStatus::Cancelling | RunStatus::Paused => {
                Some(UNFINISHED)
            }
        };
        self.close_round();
        if let Some(mark) = mark {
            let said = self.answer.take();
            if marked {
                self.mark(&said.unwrap_or_default().text, mark);
            }
        }
        self.settle();
        self.shown
    }

    /// Whether the run was cancelled before a model was asked: nobody has heard what it was to say.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.status == RunStatus::Cancelled && !self.asked
    }

    /// The calls that were asked for and have no result yet, as the model wrote them and in its order.
    pub(crate) fn open_calls(&self) -> impl Iterator<Item = &Arc<ToolCall>> {
        let calls = self.round.iter().flat_map(|round| &round.calls);
        calls
            .filter(|call| call.result.is_none())
            .map(|call| &call.call)
    }

    /// Whether this call of the last answer was begun: a tool may have done something for it.
    pub(crate) fn is_begun(&self, id: &str) -> bool {
        let mut calls = self.round.iter().flat_map(|round| &round.calls);
        calls.any(|call| *call.call.id == *id && call.begun)
    }

    fn completed(&mut self, completed: &ModelRequestCompleted) {
        if completed.retry_in_ms.is_some() {
            // The attempt failed before anything was heard of it; another follows.
            self.drop_answer();
        } else if completed.fault.is_none() {
            self.close_answer(&completed.calls, completed.provider.as_deref());
        }
        // A request that failed for good leaves its answer unfinished: the run's ending says so.
    }

    fn close_answer(&mut self, calls: &[Arc<ToolCall>], parts: Option<&ProviderParts>) {
        self.close_round();
        let Answer { text, reasoning } = self.answer.take().unwrap_or_default();
        let provider = parts.map(|parts| Arc::new(parts.clone().reasoning(reasoning)));
        if !calls.is_empty() {
            let open = |call: &Arc<ToolCall>| Call {
                call: call.clone(),
                begun: false,
                result: None,
            };
            self.round = Some(Round {
                text: text.into(),
                provider,
                calls: calls.iter().map(open).collect(),
            });
        } else if !is_blank(&text) {
            self.shown.push(Message::Assistant {
                text: text.into(),
                calls: Vec::new(),
                provider,
            });
        }
    }

    fn drop_answer(&mut self) {
        self.answer = None;
        self.settle();
    }

    /// The call of this id, when it has no result yet.
    fn open(&mut self, id: &str) -> Option<&mut Call> {
        let mut calls = self.round.iter_mut().flat_map(|round| &mut round.calls);
        calls.find(|call| *call.call.id == *id && call.result.is_none())
    }

    fn result(&mut self, id: &str, text: &Arc<str>) {
        if let Some(open) = self.open(id) {
            open.result = Some(text.clone());
        }
    }

    /// Shows the last answer and its results. A call that has none gets one that says so.
    fn close_round(&mut self) {
        let Some(round) = self.round.take() else {
            return;
        };
        let without = match self.status {
            RunStatus::Paused => AWAITING_APPROVAL,
            RunStatus::Pending
            | RunStatus::Running
            | RunStatus::Cancelling
            | RunStatus::Completed
            | RunStatus::Cancelled
            | RunStatus::Error => NOT_FINISHED,
        };
        self.shown.push(Message::Assistant {
            text: round.text,
            calls: round
                .calls
                .iter()
                .map(|call| sendable(&call.call))
                .collect(),
            provider: round.provider,
        });
        self.shown
            .extend(round.calls.into_iter().map(|call| Message::Tool {
                call_id: call.call.id.clone(),
                text: call.result.unwrap_or_else(|| without.into()),
            }));
        self.settle();
    }

    /// Shows what came from outside, unless an answer stands before it that is not shown yet.
    fn settle(&mut self) {
        if self.answer.is_none() && self.round.is_none() {
            self.shown.append(&mut self.steered);
        }
    }

    /// Shows as much as was said of an answer, with `mark` at its end; or `mark` alone, where otherwise a question would
    /// stand without an answer.
    fn mark(&mut self, said: &str, mark: &str) {
        if !is_blank(said) {
            let text = format!("{said}\n\n{mark}");
            self.shown.push(Message::assistant(text));
        } else if matches!(
            self.shown.last(),
            Some(Message::User { .. } | Message::System { .. })
        ) {
            self.shown.push(Message::assistant(mark));
        }
    }
}

/// Providers refuse answers of white space as they refuse empty ones.
fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

#[cfg(test)]
mod tests;
