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
    /// What the model said before.
    Assistant {
        /// The words.
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
        Message::Assistant { text: text.into() }
    }

    /// The words of the message.
    pub fn text(&self) -> &str {
        match self {
            Message::System { text } | Message::User { text } | Message::Assistant { text } => text,
        }
    }
}

/// A call of a tool, as the model asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The id the model gave the call, unique in its run.
    pub id: String,
    /// The name of the tool.
    pub name: String,
    /// The arguments as the model wrote them: meant to be a JSON object, not checked here.
    pub arguments: String,
}
