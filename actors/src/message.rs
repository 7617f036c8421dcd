//! What goes to a model: the conversation so far.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::provider::ModelName;
pub use crate::provider::ProviderParts;

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Message {
    /// How the model is to behave.
    #[non_exhaustive]
    System {
        /// The instruction.
        text: Arc<str>,
    },
    /// What a person, or a program, said to the model.
    #[non_exhaustive]
    User {
        /// The words.
        text: Arc<str>,
    },
    /// What the model said before, and which tools it asked for.
    #[non_exhaustive]
    Assistant {
        /// The words; empty where it only called tools.
        text: Arc<str>,
        /// The calls, in the model's order. Each has exactly one [`Message::Tool`] after it, before anything else is
        /// said.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        calls: Vec<Arc<ToolCall>>,
        /// What the provider wants to be given back with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider: Option<Arc<ProviderParts>>,
    },
    /// The result of one call.
    #[non_exhaustive]
    Tool {
        /// Which call.
        call_id: Arc<str>,
        /// What the model receives: the tool's output, or how it failed.
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
        Message::calling(text, Vec::new())
    }

    /// A message from the model that asks for these tools.
    pub fn calling(text: impl Into<Arc<str>>, calls: Vec<Arc<ToolCall>>) -> Message {
        Message::Assistant {
            text: text.into(),
            calls,
            provider: None,
        }
    }

    /// The result of one call.
    pub fn tool(call_id: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Message {
        Message::Tool {
            call_id: call_id.into(),
            text: text.into(),
        }
    }

    /// The same message, with what the provider wants to be given back. Only the model's messages have that.
    pub fn with_provider(mut self, parts: impl Into<Arc<ProviderParts>>) -> Message {
        if let Message::Assistant { provider, .. } = &mut self {
            *provider = Some(parts.into());
        }
        self
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

    /// What the provider wants to be given back with it.
    pub fn provider(&self) -> Option<&ProviderParts> {
        match self {
            Message::Assistant { provider, .. } => provider.as_deref(),
            Message::System { .. } | Message::User { .. } | Message::Tool { .. } => None,
        }
    }

    /// The message as this provider is shown it: without what another one gave.
    pub(crate) fn shown_to(mut self, shown_to: Option<&ModelName>) -> Message {
        if let Message::Assistant { provider, .. } = &mut self {
            provider.take_if(|parts| shown_to.is_none_or(|name| name.provider != parts.provider));
        }
        self
    }

    /// How many bytes of words a model reads in it.
    pub(crate) fn bytes(&self) -> u64 {
        let calls = self.calls().iter();
        let calls: usize = calls
            .map(|call| call.name.len() + call.arguments.len())
            .sum();
        let reasoning = self.provider().map_or(0, |parts| parts.reasoning.len());
        (self.text().len() + calls + reasoning) as u64
    }
}

/// A call of a tool, as the model asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolCall {
    /// The call's id, unique in its run: the model's, or one made here when it gave none, or one twice.
    pub id: Arc<str>,
    /// The name of the tool.
    pub name: Arc<str>,
    /// The arguments as the model wrote them: meant to be a JSON object, not checked here.
    pub arguments: Arc<str>,
}

impl ToolCall {
    /// A call of the tool `name` with these arguments.
    pub fn new(
        id: impl Into<Arc<str>>,
        name: impl Into<Arc<str>>,
        arguments: impl Into<Arc<str>>,
    ) -> ToolCall {
        ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
        }
    }
}
