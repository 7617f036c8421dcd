//! The rules that providers have for a conversation.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::message::{Message, ToolCall};

/// What is wrong with a conversation. `at` is the index of a message, from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatFault {
    /// There is no message.
    #[error("the conversation is empty: expected at least one message")]
    Empty,
    /// A system message comes after another kind of message.
    #[error("messages[{at}]: a system message must come before all others")]
    LateSystem {
        /// Which message.
        at: usize,
    },
    /// An assistant message has neither text nor calls.
    #[error("messages[{at}]: the assistant message has neither text nor calls")]
    EmptyAssistant {
        /// Which message.
        at: usize,
    },
    /// A call has no id.
    #[error("messages[{at}]: a call has no id")]
    NoId {
        /// Which message.
        at: usize,
    },
    /// Two calls of one message have the same id.
    #[error("messages[{at}]: two calls have the id {id:?}")]
    SameId {
        /// Which message.
        at: usize,
        /// Their id.
        id: String,
    },
    /// The name in a call is not a valid name of a tool.
    #[error(
        "messages[{at}]: invalid tool name {name:?}: expected 1 to 64 letters, digits, `_` or `-`"
    )]
    Name {
        /// Which message.
        at: usize,
        /// The name.
        name: String,
    },
    /// The arguments of a call are not a JSON object.
    #[error("messages[{at}]: the arguments of the call {id:?} are not a JSON object")]
    Arguments {
        /// Which message.
        at: usize,
        /// Which call.
        id: String,
    },
    /// A call has no result before the next message of another kind, or before the end.
    #[error("messages[{at}]: the call {id:?} has no result")]
    NoResult {
        /// The message with the call.
        at: usize,
        /// Which call.
        id: String,
    },
    /// A call has two results.
    #[error("messages[{at}]: the call {id:?} already has a result")]
    SecondResult {
        /// The message with the second result.
        at: usize,
        /// Which call.
        id: String,
    },
    /// A result belongs to no call of the assistant message just before.
    #[error("messages[{at}]: the result belongs to no call just before it: {id:?}")]
    NoCall {
        /// The message with the result.
        at: usize,
        /// Which call.
        id: String,
    },
    /// The last message is the model's, so there is nothing to answer.
    #[error("messages[{at}]: the last message is the assistant's: there is nothing to answer")]
    NothingToAnswer {
        /// Which message.
        at: usize,
    },
}

/// Checks that a provider would accept this conversation. A provider that refuses it also refuses every later request
/// that has it in its history.
///
/// The rules are those of the strictest providers of the chat completions protocol:
///
/// * System messages come first.
/// * An assistant message has text, calls, or both.
/// * Each call has an id that is unique in its message, a valid tool name, and a JSON object as arguments. This holds
///   although the model wrote them: OpenAI checks the name again, and llama.cpp, vLLM and Ollama check the arguments.
/// * Each call has exactly one result. The results follow at once, in any order, before any other message.
/// * The last message is not the assistant's.
///
/// Two user messages in a row are allowed, and so is a conversation of system messages alone.
///
/// # Errors
///
/// The first fault found.
pub fn check_chat(messages: &[Message]) -> Result<(), ChatFault> {
    let is_system = |message: &&Message| matches!(message, Message::System { .. });
    let mut at = messages.iter().take_while(is_system).count();
    while let Some(message) = messages.get(at) {
        match message {
            Message::System { .. } => return Err(ChatFault::LateSystem { at }),
            Message::User { .. } => at += 1,
            Message::Assistant { text, calls, .. } if text.is_empty() && calls.is_empty() => {
                return Err(ChatFault::EmptyAssistant { at });
            }
            Message::Assistant { calls, .. } => {
                let open = check_calls(at, calls.iter().map(|call| &**call))?;
                at = check_results(messages, at, open)?;
            }
            Message::Tool { call_id, .. } => {
                let id = call_id.to_string();
                return Err(ChatFault::NoCall { at, id });
            }
        }
    }
    match messages.last() {
        None => Err(ChatFault::Empty),
        Some(Message::Assistant { .. }) => Err(ChatFault::NothingToAnswer {
            at: messages.len() - 1,
        }),
        Some(Message::System { .. } | Message::User { .. } | Message::Tool { .. }) => Ok(()),
    }
}

/// Checks the calls of one message, and returns their ids.
fn check_calls<'a>(
    at: usize,
    calls: impl Iterator<Item = &'a ToolCall>,
) -> Result<HashSet<&'a str>, ChatFault> {
    let mut ids = HashSet::new();
    for call in calls {
        let id = || call.id.to_string();
        if call.id.is_empty() {
            return Err(ChatFault::NoId { at });
        }
        if !ids.insert(&*call.id) {
            return Err(ChatFault::SameId { at, id: id() });
        }
        let of_letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !(1..=64).contains(&call.name.len()) || !call.name.chars().all(of_letters) {
            let name = call.name.to_string();
            return Err(ChatFault::Name { at, name });
        }
        if serde_json::from_str::<Map<String, Value>>(&call.arguments).is_err() {
            return Err(ChatFault::Arguments { at, id: id() });
        }
    }
    Ok(ids)
}

/// Checks the results that follow the calls of the message at `asked`, and returns the index of the message after them.
fn check_results(
    messages: &[Message],
    asked: usize,
    ids: HashSet<&str>,
) -> Result<usize, ChatFault> {
    let (mut open, mut at) = (ids.clone(), asked + 1);
    while let Some(Message::Tool { call_id, .. }) = messages.get(at) {
        let id = || call_id.to_string();
        if !ids.contains(&**call_id) {
            return Err(ChatFault::NoCall { at, id: id() });
        }
        if !open.remove(&**call_id) {
            return Err(ChatFault::SecondResult { at, id: id() });
        }
        at += 1;
    }
    // In the order of the calls, so that the same conversation always gives the same fault.
    let mut calls = messages[asked].calls().iter();
    match calls.find(|call| open.contains(&*call.id)) {
        Some(call) => Err(ChatFault::NoResult {
            at: asked,
            id: call.id.to_string(),
        }),
        None => Ok(at),
    }
}

#[cfg(test)]
#[path = "chat_tests.rs"]
mod tests;
