//! What a model is shown of a run: the fold of the run's stored events into messages.
//!
//! The same fold serves a run's own next turn and the later runs of its session. Pure, like all words: what a model is
//! shown follows from what is stored, and from nothing else.
//!
//! Whatever events come, the messages keep the rules that providers and chat templates insist on: each call of a tool
//! has exactly one result, directly after the answer that asked for it and in the order of the calls; no answer is
//! empty; the arguments of a call are a JSON object.

mod said;
mod sendable;
mod words;

use std::sync::Arc;

pub use self::said::Said;
pub(crate) use self::sendable::{is_object, is_tool_name};
pub(crate) use self::words::Words;
use self::{said::Place, sendable::sendable};
use crate::{
    event::{EventKind, ModelRequestCompleted, RunEvent},
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

/// What a model is shown of one run. It receives the run's events one by one, from the first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Transcript {
    /// What is settled: nothing comes in between any more.
    shown: Vec<Message>,
    /// Where each of these was said.
    places: Vec<Place>,
    /// Where the last event stands.
    now: Place,
    /// The answer under way.
    answer: Option<Answer>,
    /// The last answer, where it asked for tools.
    round: Option<Round>,
    /// What came from outside since that answer: it is shown after the results.
    steered: Vec<(Place, Message)>,
    status: RunStatus,
    /// A model was asked.
    asked: bool,
}

/// An answer, as far as it goes.
#[derive(Clone, Debug, Default, PartialEq)]
struct Answer {
    place: Place,
    text: String,
    reasoning: String,
}

/// An answer that asked for tools.
#[derive(Clone, Debug, PartialEq)]
struct Round {
    place: Place,
    text: Arc<str>,
    provider: Option<Arc<ProviderParts>>,
    calls: Vec<Call>,
}

#[derive(Clone, Debug, PartialEq)]
struct Call {
    call: Arc<ToolCall>,
    begun: bool,
    result: Option<(Place, Arc<str>)>,
}

impl Transcript {
    /// Of a run that has said nothing yet.
    pub(crate) fn new() -> Transcript {
        Transcript {
            shown: Vec::new(),
            places: Vec::new(),
            now: Place::default(),
            answer: None,
            round: None,
            steered: Vec::new(),
            status: RunStatus::Pending,
            asked: false,
        }
    }

    /// Records the run's next event, and keeps where it stands.
    pub(crate) fn event_at(&mut self, event: &RunEvent) {
        self.now = Place {
            seq: event.seq,
            at: event.at,
            usage: None,
        };
        self.event(&event.kind);
    }

    /// Records the run's next event.
    pub(crate) fn event(&mut self, kind: &EventKind) {
        self.status = kind.status().unwrap_or(self.status);
        match kind {
            EventKind::Started(started) => {
                for message in &started.input {
                    self.show(self.now, message.clone());
                }
            }
            EventKind::ModelRequestStarted { .. } => {
                self.asked = true;
                self.close_round();
                self.drop_answer();
                self.answer = Some(Answer::default());
            }
            EventKind::Content { text } => {
                let answer = self.answer.get_or_insert_default();
                answer.text.push_str(text);
                answer.place = self.now;
            }
            EventKind::ReasoningContent { text } => {
                self.answer.get_or_insert_default().reasoning.push_str(text);
            }
            EventKind::ModelRequestCompleted(completed) => self.completed(completed),
            EventKind::ToolCallStarted(call) => {
                if let Some(open) = self.open(&call.id) {
                    // The approval may have changed its arguments.
                    open.call = call.clone();
                    open.begun = true;
                }
            }
            EventKind::ToolCallCompleted(done) => self.result(&done.id, &done.output),
            EventKind::ToolCallError(failed) => self.result(&failed.id, &failed.error),
            EventKind::Steered { message } => {
                self.steered.push((self.now, (**message).clone()));
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
    pub(crate) fn messages(&mut self) -> &[Message] {
        self.close_round();
        self.drop_answer();
        &self.shown
    }

    /// The messages for a later run of the session. With `marked` an answer that was cut is shown as far as it went,
    /// with a mark at its end, and a question that got no answer is answered by the mark alone, so that the roles stay
    /// in order. Without, nothing is shown of it.
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

    /// What was said and done so far, for people to read: the same messages, without marks, with an answer as far as it
    /// went, and with the results that there are.
    pub(crate) fn said(&self) -> Vec<Said> {
        let shown = self.places.iter().zip(&self.shown);
        let mut said: Vec<Said> = shown
            .map(|(place, message)| place.said(message.clone()))
            .collect();
        if let Some(round) = &self.round {
            said.push(round.place.said(round.answer()));
            for call in &round.calls {
                if let Some((place, text)) = &call.result {
                    said.push(place.said(Message::tool(call.call.id.clone(), text.clone())));
                }
            }
        }
        if let Some(answer) = &self.answer
            && !is_blank(&answer.text)
        {
            said.push(answer.place.said(Message::assistant(&*answer.text)));
        }
        let steered = self.steered.iter().cloned();
        said.extend(steered.map(|(place, message)| place.said(message)));
        said
    }

    /// Whether the run was cancelled before a model was asked: no model has seen its input.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.status == RunStatus::Cancelled && !self.asked
    }

    fn completed(&mut self, completed: &ModelRequestCompleted) {
        if completed.retry_in_ms.is_some() {
            // The attempt failed before any output arrived; another follows.
            self.drop_answer();
        } else if completed.fault.is_none() {
            self.now.usage = Some(completed.usage);
            self.close_answer(&completed.calls, completed.provider.as_deref());
        }
        // A request that failed for good leaves its answer unfinished: the run's ending says so.
    }

    fn close_answer(&mut self, calls: &[Arc<ToolCall>], parts: Option<&ProviderParts>) {
        self.close_round();
        let Answer {
            text, reasoning, ..
        } = self.answer.take().unwrap_or_default();
        let provider = parts.map(|parts| Arc::new(parts.clone().reasoning(reasoning)));
        if !calls.is_empty() {
            let open = |call: &Arc<ToolCall>| Call {
                call: call.clone(),
                begun: false,
                result: None,
            };
            self.round = Some(Round {
                place: self.now,
                text: text.into(),
                provider,
                calls: calls.iter().map(open).collect(),
            });
        } else if !is_blank(&text) {
            let answer = Message::Assistant {
                text: text.into(),
                calls: Vec::new(),
                provider,
            };
            self.show(self.now, answer);
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
        let now = self.now;
        if let Some(open) = self.open(id) {
            open.result = Some((now, text.clone()));
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
        self.show(round.place, round.answer());
        for call in round.calls {
            let (place, text) = call.result.unwrap_or((self.now, without.into()));
            self.show(place, Message::tool(call.call.id.clone(), text));
        }
        self.settle();
    }

    /// Shows what came from outside, unless an answer stands before it that is not shown yet.
    fn settle(&mut self) {
        if self.answer.is_none() && self.round.is_none() {
            for (place, message) in std::mem::take(&mut self.steered) {
                self.show(place, message);
            }
        }
    }

    fn show(&mut self, place: Place, message: Message) {
        self.shown.push(message);
        self.places.push(place);
    }

    /// Shows as much as was said of an answer, with `mark` at its end; or `mark` alone, where otherwise a question
    /// would stand without an answer.
    fn mark(&mut self, said: &str, mark: &str) {
        if !is_blank(said) {
            let text = format!("{said}\n\n{mark}");
            self.show(self.now, Message::assistant(text));
        } else if matches!(
            self.shown.last(),
            Some(Message::User { .. } | Message::System { .. })
        ) {
            self.show(self.now, Message::assistant(mark));
        }
    }
}

impl Round {
    /// The answer, as it may be sent back.
    fn answer(&self) -> Message {
        let calls = self.calls.iter().map(|call| sendable(&call.call));
        Message::Assistant {
            text: self.text.clone(),
            calls: calls.collect(),
            provider: self.provider.clone(),
        }
    }
}

/// Providers refuse answers of white space as they refuse empty ones.
fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

#[cfg(test)]
pub(crate) mod tests;
