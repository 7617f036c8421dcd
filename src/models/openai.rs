//! The chat completions protocol of OpenAI.

mod answer;
mod back;
mod calls;
mod complaint;
mod connection;
mod key;
mod lenient;
mod parse;
mod request;
mod settings;
mod status;

use std::{fmt, sync::Arc};

use futures::Stream;
use quell_actors::{
    Model,
    model::{ModelChunk, ModelError, ModelName, ModelRequest},
};

use self::{connection::Connection, request::Asking};
pub(super) use connection::describe;
pub use key::ApiKey;
pub use settings::{OpenAiChatBuilder, OpenAiError};

/// A model behind the chat completions protocol, as OpenAI, llama.cpp, vLLM, Ollama, OpenRouter and others speak it.
///
/// ```no_run
/// use quell::{Agent, models::OpenAiChat};
///
/// let model = OpenAiChat::from_env()?.model("gpt-5-mini");
/// let agent = Agent::new("Storyteller", model);
/// # Ok::<(), quell::models::OpenAiError>(())
/// ```
///
/// A clone is cheap and shares the connections. Requests go over HTTP/1.1, each stream over a connection of its own that
/// is used again once an answer was read to its end: over HTTP/2 streams that are not read would stall the others.
/// Redirects are not followed, as they would send the prompt and the key to somewhere else.
///
/// # The stream of an answer
///
/// It is cancelled by dropping it, in any state, which closes the connection. It says `Connected` when a status of
/// success has come, and `Finished` last, after the provider's count of tokens, which follows the finish reason: what
/// follows that reason is read for at most 1 s and 64 KiB. A body that ends with neither a finish reason nor `[DONE]`
/// ends the stream without `Finished`, which a run takes for a truncated answer. A failure after a finish reason is no
/// longer one.
///
/// # Tools
///
/// The agent's tools are sent with each request, and what the model calls comes as it is said: each piece with the number
/// of its call, counted from 0 as they come, whatever a server says of their index. Ids, names and arguments are the
/// model's own: no id, an empty name and arguments that are no JSON are for the run to deal with. An answer that calls
/// tools ends with `ToolCalls`, also where the server says `stop`. A conversation is sent as it stands.
///
/// What the provider of an agent with tools wants to be given back is given back to it: reasoning in the field it came in
/// (DeepSeek), `reasoning_details` (OpenRouter), and the `extra_content` of calls (Gemini). Nothing else is.
///
/// # Errors
///
/// A [`ModelError`] names the method, host and path, never user, password, query or key. `Connect`: no connection was
/// made. `Connection`: it broke, or nothing came for the read timeout. `Status`: the provider refused, or redirects.
/// `Provider`: it failed within its answer. `Protocol`: what came is no answer, as HTML, a compressed body or an empty
/// one. `TooLarge`: one event, or a body in one piece, is larger than allowed, or more than 128 tools are called.
/// Nothing is said of a repeat once anything but `Connected` was heard; before that, connect and connection errors, the
/// statuses 408, 409, 429 and 5xx may be repeated, unless `x-should-retry` or `insufficient_quota` says otherwise.
/// `retry-after-ms`, `retry-after` and `x-ratelimit-reset-*` say when.
#[derive(Clone)]
pub struct OpenAiChat {
    connection: Arc<Connection>,
    asking: Arc<Asking>,
}

impl OpenAiChat {
    /// A model with what the environment says, and defaults for all else.
    ///
    /// `OPENAI_API_KEY` is the key, `OPENAI_BASE_URL` the address up to and with `/v1`, `OPENAI_MODEL` the name of the
    /// model, `OPENAI_ORG_ID` the organization. An empty variable is one that is not set.
    ///
    /// # Errors
    ///
    /// [`OpenAiError::MissingKey`] when neither key nor address is set: servers of one's own need no key, OpenAI does.
    /// Otherwise as [`OpenAiChatBuilder::build`].
    pub fn from_env() -> Result<OpenAiChat, OpenAiError> {
        OpenAiChatBuilder::from_env()?.build()
    }

    /// A model with other settings. The environment is not read.
    pub fn builder() -> OpenAiChatBuilder {
        OpenAiChatBuilder::new()
    }

    /// The same provider over the same connections, asked for another model.
    pub fn model(mut self, name: impl Into<String>) -> OpenAiChat {
        Arc::make_mut(&mut self.asking).model = name.into();
        self
    }
}

impl Model for OpenAiChat {
    fn stream(
        &self,
        request: ModelRequest,
    ) -> impl Stream<Item = Result<ModelChunk, ModelError>> + Send + 'static {
        answer::stream(self.connection.clone(), self.asking.clone(), request)
    }

    fn name(&self) -> Option<ModelName> {
        let asking = &self.asking;
        Some(ModelName::new(asking.provider.clone(), &*asking.model))
    }
}

impl fmt::Debug for OpenAiChat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiChat")
            .field("place", &self.connection.place())
            .field("model", &self.asking.model)
            .finish_non_exhaustive()
    }
}
