//! What goes to a model: the conversation so far.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Message {
    /// How the model is to behave.
    System {
        /// The instruction.
        text: Arc<str>,
    },
    /// What a person, or a program, said to the model.
    User {
        /// The words.
        text: Arc<str>,
    },
    /// What the model said before, and which tools it asked for.
    Assistant {
        /// The words; empty where it only called tools.
        text: Arc<str>,
        /// The calls, in the model's order. Each has exactly one [`Message::Tool`] after it, before anything else is said.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        calls: Vec<Arc<ToolCall>>,
    },
    /// The result of one call.
    Tool {
        /// Which call.
        call_id: Arc<str>,
        /// What the model is told: the tool's output, or how it failed.
        text: Arc<str>,
    },
}

impl Message {
    /// A message with instructions.
    pub fn system(text: impl Into<Arc<str>>) -> Message {
        Message::System { text: text.into() }
    }

    /// A message from a person.
    pub fn user(text: impl Into<Arc<str>>) -> Message {
        Message::User { text: text.into() }
    }

    /// A message from the model.
    pub fn assistant(text: impl Into<Arc<str>>) -> Message {
        Message::Assistant {
            text: text.into(),
            calls: Vec::new(),
        }
    }

    /// The words of the message.
    pub fn text(&self) -> &str {
        match self {
            Message::System { text }
            | Message::User { text }
            | Message::Assistant { text, .. }
            | Message::Tool { text, .. } => text,
        }
    }

    /// The calls of tools in it.
    pub fn calls(&self) -> &[Arc<ToolCall>] {
        match self {
            Message::Assistant { calls, .. } => calls,
            Message::System { .. } | Message::User { .. } | Message::Tool { .. } => &[],
        }
    }

    /// How many bytes of words a model reads in it.
    pub(crate) fn bytes(&self) -> u64 {
        let calls = self.calls().iter();
        let calls: usize = calls
            .map(|call| call.name.len() + call.arguments.len())
            .sum();
        (self.text().len() + calls) as u64
    }
}

/// A call of a tool, as the model asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The call's id, unique in its run: the model's, or one made here when it gave none, or one twice.
    pub id: Arc<str>,
    /// The name of the tool.
    pub name: Arc<str>,
    /// The arguments as the model wrote them: meant to be a JSON object, not checked here.
    pub arguments: Arc<str>,
}
