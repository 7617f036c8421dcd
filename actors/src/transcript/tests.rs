//! The events that the tests of the fold are made of.

use super::*;
use crate::{
    cancel::{Activity, CancelReason, Receipt},
    event::{
        CancelRequested, Continued, Paused, Started, ToolCallCompleted, ToolCallError, ToolFault,
        WaitingCall, WaitsFor,
    },
    id::Timestamp,
    outcome::{ErrorReason, FinishReason, Partial, Reply, RunError},
    usage::Usage,
};

mod history;
pub(crate) mod lawful;
mod turn;

impl Transcript {
    /// The calls that were asked for and have no result yet, as the model wrote them and in its order.
    fn open_calls(&self) -> impl Iterator<Item = &Arc<ToolCall>> {
        let calls = self.round.iter().flat_map(|round| &round.calls);
        calls
            .filter(|call| call.result.is_none())
            .map(|call| &call.call)
    }

    /// Whether this call of the last answer was begun: a tool may have done something for it.
    fn is_begun(&self, id: &str) -> bool {
        let mut calls = self.round.iter().flat_map(|round| &round.calls);
        calls.any(|call| *call.call.id == *id && call.begun)
    }
}

fn call_with(id: &str, arguments: &str) -> Arc<ToolCall> {
    Arc::new(ToolCall::new(id, "look", arguments))
}

fn call(id: &str) -> Arc<ToolCall> {
    call_with(id, "{}")
}

fn started() -> EventKind {
    EventKind::Started(Arc::new(Started::new("guide", vec![Message::user("Go.")])))
}

fn asks() -> EventKind {
    EventKind::ModelRequestStarted {
        turn: 1,
        attempt: 1,
        input_bytes: None,
    }
}

fn says(text: &str) -> EventKind {
    EventKind::Content { text: text.into() }
}

fn thinks(text: &str) -> EventKind {
    EventKind::ReasoningContent { text: text.into() }
}

fn request(calls: Vec<Arc<ToolCall>>, fault: Option<&str>, retry_in_ms: Option<u64>) -> EventKind {
    EventKind::ModelRequestCompleted(Arc::new(ModelRequestCompleted {
        turn: 1,
        attempt: 1,
        finish: FinishReason::Stop,
        usage: Usage::default(),
        calls,
        provider: None,
        fault: fault.map(str::to_owned),
        retry_in_ms,
    }))
}

fn answered(calls: &[&str]) -> EventKind {
    request(calls.iter().map(|id| call(id)).collect(), None, None)
}

fn failed_attempt() -> EventKind {
    request(vec![], Some("overloaded"), Some(10))
}

fn begun(id: &str) -> EventKind {
    EventKind::ToolCallStarted(call(id))
}

fn done(id: &str, output: &str) -> EventKind {
    EventKind::ToolCallCompleted(Arc::new(ToolCallCompleted {
        id: id.into(),
        output: output.into(),
    }))
}

fn broke(id: &str, kind: ToolFault, error: &str) -> EventKind {
    EventKind::ToolCallError(Arc::new(ToolCallError {
        id: id.into(),
        kind,
        error: error.into(),
    }))
}

fn steered(text: &str) -> EventKind {
    EventKind::Steered {
        message: Arc::new(Message::user(text)),
    }
}

fn waits(call: Arc<ToolCall>) -> WaitingCall {
    WaitingCall::new(call, WaitsFor::Approval)
}

fn paused(calls: &[&str]) -> EventKind {
    EventKind::Paused(Arc::new(Paused {
        calls: calls.iter().map(|id| waits(call(id))).collect(),
        expires_at: None,
    }))
}

fn continued() -> EventKind {
    EventKind::Continued(Arc::new(Continued::default()))
}

fn completed() -> EventKind {
    let reply = Reply {
        text: String::new(),
        reasoning: String::new(),
        finish: FinishReason::Stop,
        usage: Usage::default(),
    };
    let reply = Arc::new(reply);
    EventKind::Completed { reply }
}

/// A cancel, and the ending that follows it.
fn cancelled() -> [EventKind; 2] {
    let cancel = Arc::new(CancelRequested {
        reason: CancelReason::Requested,
        by: None,
        cut: None,
    });
    let partial = Arc::new(Partial {
        text: String::new(),
        reasoning: String::new(),
        receipt: Receipt {
            requested_at: Timestamp::default(),
            seq: 1,
            reason: CancelReason::Requested,
            by: None,
            cut: Activity::Streaming,
            took: std::time::Duration::ZERO,
            usage: Usage::default(),
            cost: None,
            tools: vec![],
            children: vec![],
            fault: None,
        },
    });
    [
        EventKind::CancelRequested { cancel },
        EventKind::Cancelled { partial },
    ]
}

fn error() -> EventKind {
    let error = RunError {
        reason: ErrorReason::Model,
        message: "gone".to_owned(),
        text: String::new(),
        reasoning: String::new(),
        usage: Usage::default(),
    };
    let error = Arc::new(error);
    EventKind::Error { error }
}

/// The fold of a run that was asked to go, and of which these events came then.
fn fold(events: impl IntoIterator<Item = EventKind>) -> Transcript {
    let mut transcript = Transcript::new();
    transcript.event(&started());
    for kind in events {
        transcript.event(&kind);
    }
    transcript
}

/// Messages in a line each, without the first, which asks the run to go.
fn lines(messages: &[Message]) -> Vec<String> {
    assert_eq!(messages.first(), Some(&Message::user("Go.")));
    let line = |message: &Message| match message {
        Message::System { text } => format!("system: {text}"),
        Message::User { text } => format!("user: {text}"),
        Message::Tool { call_id, text } => format!("{call_id}: {text}"),
        Message::Assistant { text, calls, .. } => {
            let calls = calls
                .iter()
                .map(|call| format!(" {}({})", call.id, call.arguments));
            format!("model: {text}{}", calls.collect::<String>())
        }
    };
    messages[1..].iter().map(line).collect()
}
