//! Models that are asked over HTTP.
//!
//! [`OpenAiChat`] speaks the chat completions protocol of OpenAI, which llama.cpp, vLLM, Ollama, OpenRouter and most
//! other servers speak as well. What all models here have in common:
//!
//! * **Dropping the stream closes the connection.** The stream of an answer owns its connection and polls it inline;
//!   no task of its own exists that could live on.
//! * They never repeat a request by themselves. A [`ModelError`](crate::model::ModelError) says whether it may be repeated.
//! * What a provider may send is bounded: one event by the setting, the body of an error and what follows the end of an
//!   answer by constants.
//! * No message, log line or `Debug` shows a key.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod body;
mod openai;
mod sse;

pub use openai::{ApiKey, OpenAiChat, OpenAiChatBuilder, OpenAiError};
