//! What providers demand of a conversation.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::message::{Message, ToolCall};

/// What is wrong with a conversation. Messages are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatFault {
    /// There is no message.
    #[error("there is no message")]
    Empty,
    /// Instructions stand after something else.
    #[error("messages[{at}]: instructions stand at the beginning or not at all")]
    LateSystem {
        /// Which message.
        at: usize,
    },
    /// The model said nothing, and called nothing.
    #[error("messages[{at}]: the model neither says nor calls anything")]
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
    /// What a call names can be no tool: a tool's name has 1 to 64 letters, digits, `_` and `-`.
    #[error("messages[{at}]: no tool can have the name {name:?}")]
    Name {
        /// Which message.
        at: usize,
        /// The name.
        name: String,
    },
    /// The arguments of a call are no JSON object.
    #[error("messages[{at}]: the arguments of the call {id:?} are no JSON object")]
    Arguments {
        /// Which message.
        at: usize,
        /// Which call.
        id: String,
    },
    /// A call has no result before something else is said, or the conversation ends.
    #[error("messages[{at}]: the call {id:?} has no result")]
    NoResult {
        /// The message with the call.
        at: usize,
        /// Which call.
        id: String,
    },
    /// A call has two results.
    #[error("messages[{at}]: the call {id:?} has a result already")]
    SecondResult {
        /// The message with the second result.
        at: usize,
        /// Which call.
        id: String,
    },
    /// A result of a call that the model did not make just before.
    #[error("messages[{at}]: nobody made the call {id:?}")]
    NoCall {
        /// The message with the result.
        at: usize,
        /// Which call.
        id: String,
    },
    /// The model spoke last, so there is nothing to answer.
    #[error("messages[{at}]: the model has spoken last")]
    NothingToAnswer {
        /// Which message.
        at: usize,
    },
}

/// Checks that a conversation is one that a provider takes as a request. A provider that gets another refuses it, and
/// refuses it again with every later request that has it in its history.
///
/// What is demanded is what the strictest of them demand who speak the chat completions protocol:
///
/// * Instructions come first.
/// * What the model said has words, or calls, or both.
/// * Each of its calls has an id, unique in its message, the name of something that could be a tool, and arguments that
///   are a JSON object: whatever the model wrote, OpenAI checks the name again, llama.cpp, vLLM and Ollama the arguments.
/// * Each call has exactly one result. The results follow at once, in any order, before anything else.
/// * Somebody else than the model has spoken last.
///
/// Two messages of one person after another are allowed, and so is a conversation of instructions alone.
///
/// # Errors
///
/// The first fault.
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

/// Checks the calls of one message, and says their ids.
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

/// Checks the results that follow the calls of the message at `asked`, and says what is the next message after them.
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
    // In the order of the calls, so that the same conversation has always the same fault.
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
