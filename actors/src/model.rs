//! The seam to models: a request in, a stream of chunks out.

mod calls;
mod parts;

use std::{fmt, sync::Arc, time::Duration};

use futures::{Stream, StreamExt, stream::BoxStream};
use serde_json::Value;

pub(crate) use self::{calls::CallsBuilder, parts::PartsBuilder};
pub use crate::provider::ModelName;
use crate::{message::Message, outcome::FinishReason, tool::ToolSpec};

/// Something that answers requests with a stream of chunks.
///
/// What an implementation owes the runtime:
///
/// * **Dropping the stream is the cancel.** It must end whatever works for the request: the connection is closed, no
///   task of the request is left behind. The runtime polls the stream inside the run's own actor, so a model that polls
///   its connection inline has this for nothing.
/// * `poll_next` returns quickly. A poll that blocks its thread cannot be cancelled by anything.
/// * The stream says [`ModelChunk::Connected`] when the provider has answered, then what it hears, and
///   [`ModelChunk::Finished`] last. A stream that ends without `Finished` was cut off: its run ends `Error`.
/// * It never retries by itself once it has yielded anything but `Connected`. Before that the runtime retries an error
///   that allows it, as the agent's [`RetryPolicy`](crate::agent::RetryPolicy) says, asleep where a cancel reaches it.
/// * A panic ends the one run.
///
/// ```
/// use futures::{Stream, stream};
/// use quell_actors::{Model, model::{ModelChunk, ModelError, ModelRequest}, outcome::FinishReason};
///
/// struct Echo;
///
/// impl Model for Echo {
///     fn stream(
///         &self,
///         request: ModelRequest,
///     ) -> impl Stream<Item = Result<ModelChunk, ModelError>> + Send + 'static {
///         let last = request.messages.last().map_or("", |message| message.text());
///         stream::iter([
///             Ok(ModelChunk::Connected),
///             Ok(ModelChunk::Text(last.into())),
///             Ok(ModelChunk::Finished(FinishReason::Stop)),
///         ])
///     }
/// }
/// ```
pub trait Model: Send + Sync + 'static {
    /// Answers one request. Nothing happens before the stream is polled.
    fn stream(
        &self,
        request: ModelRequest,
    ) -> impl Stream<Item = Result<ModelChunk, ModelError>> + Send + 'static;

    /// The model's name, if it has one. It is stored with each run ([`Started::model`](crate::event::Started::model)),
    /// and its provider decides to which models the parts of an answer are given back
    /// ([`ModelChunk::Opaque`]): those of a model without a name are not kept.
    fn name(&self) -> Option<ModelName> {
        None
    }
}

/// What a model is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelRequest {
    /// The conversation: the agent's instructions first, then what was said.
    pub messages: Arc<[Message]>,
    /// The tools the model may ask for.
    pub tools: Arc<[Arc<ToolSpec>]>,
}

impl ModelRequest {
    /// A request with these messages.
    pub fn new(messages: impl Into<Arc<[Message]>>) -> ModelRequest {
        ModelRequest {
            messages: messages.into(),
            tools: Arc::new([]),
        }
    }

    /// The same, with these tools.
    pub fn tools(mut self, tools: impl Into<Arc<[Arc<ToolSpec>]>>) -> ModelRequest {
        self.tools = tools.into();
        self
    }
}

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelChunk {
    /// The provider has answered; its words follow.
    Connected,
    /// The next words.
    Text(Arc<str>),
    /// The next words of what the model thinks aloud.
    Reasoning(Arc<str>),
    /// The next piece of a call of a tool.
    ToolCall(Box<ToolCallDelta>),
    /// Something that only the model's provider can read, such as the signature of a thought: it is kept with the
    /// answer, and given back to the same provider in later requests ([`Message::provider`]), in the order of these
    /// chunks, and with what the model thought aloud. All parts of one answer have at most 1 MiB.
    Opaque(Value),
    /// What the provider counted so far in this request. The last one counts.
    Usage(ModelUsage),
    /// The answer is over. The last chunk; whatever comes after it is not read.
    Finished(FinishReason),
}

/// A piece of a call of a tool. Pieces of one call share its index; of `id` and `name` the first that is given counts,
/// and the `arguments` are joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolCallDelta {
    /// Which call of the answer, from 0.
    pub index: u32,
    /// The call's id.
    pub id: Option<String>,
    /// The tool's name.
    pub name: Option<String>,
    /// The next piece of the arguments' JSON.
    pub arguments: String,
}

impl ToolCallDelta {
    /// A piece of call number `index` with nothing in it.
    pub fn new(index: u32) -> ToolCallDelta {
        ToolCallDelta {
            index,
            ..ToolCallDelta::default()
        }
    }

    /// The same, with the call's id.
    pub fn id(mut self, id: impl Into<String>) -> ToolCallDelta {
        self.id = Some(id.into());
        self
    }

    /// The same, with the tool's name.
    pub fn name(mut self, name: impl Into<String>) -> ToolCallDelta {
        self.name = Some(name.into());
        self
    }

    /// The same, with a piece of the arguments.
    pub fn arguments(mut self, arguments: impl Into<String>) -> ToolCallDelta {
        self.arguments = arguments.into();
        self
    }
}

/// What a provider counted in one request, as far as it says so. The numbers are those of
/// [`Usage`](crate::usage::Usage).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelUsage {
    /// Tokens that went in.
    pub input_tokens: Option<u64>,
    /// Tokens that came out so far.
    pub output_tokens: Option<u64>,
    /// Those of the input that the provider had read before.
    pub cached_input_tokens: Option<u64>,
    /// Those of the input that it has kept for later requests.
    pub cache_write_tokens: Option<u64>,
    /// Those of the output that the model thought and did not say.
    pub reasoning_tokens: Option<u64>,
}

impl ModelUsage {
    /// So many tokens in and out, and nothing more.
    pub const fn new(input_tokens: u64, output_tokens: u64) -> ModelUsage {
        ModelUsage {
            input_tokens: Some(input_tokens),
            output_tokens: Some(output_tokens),
            cached_input_tokens: None,
            cache_write_tokens: None,
            reasoning_tokens: None,
        }
    }
}

/// Whether a failed request may be repeated. Only asked before the first byte of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retry {
    /// It would fail again.
    #[default]
    Never,
    /// Yes, after a pause that the agent's policy decides.
    Backoff,
    /// Yes, and the provider says when.
    After(Duration),
}

/// What kind of thing failed on the way to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ModelErrorKind {
    /// No connection could be made.
    Connect,
    /// The connection broke, or nothing came in time.
    Connection,
    /// The provider refused the request, with this HTTP status.
    Status(u16),
    /// The provider said that it failed, in the middle of its answer.
    Provider,
    /// The provider said something that is not of its protocol.
    Protocol,
    /// The provider said more in one piece than is allowed.
    TooLarge,
}

/// How a model failed. The message is for a person to read, names the place, and holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct ModelError {
    /// What kind of thing failed.
    pub kind: ModelErrorKind,
    /// What happened.
    pub message: String,
    /// Whether the request may be repeated.
    pub retry: Retry,
}

impl ModelError {
    /// An error that is not to be retried.
    pub fn new(kind: ModelErrorKind, message: impl Into<String>) -> ModelError {
        ModelError {
            kind,
            message: message.into(),
            retry: Retry::Never,
        }
    }

    /// The same error, with another word on retrying.
    pub fn with_retry(mut self, retry: Retry) -> ModelError {
        self.retry = retry;
        self
    }
}

/// The stream of one answer, as a run holds it.
pub(crate) type Chunks = BoxStream<'static, Result<ModelChunk, ModelError>>;

/// The object-safe twin of [`Model`], so that an agent needs no type parameter.
pub(crate) trait DynModel: Send + Sync {
    fn stream(&self, request: ModelRequest) -> Chunks;
    fn name(&self) -> Option<ModelName>;
}

impl<M: Model> DynModel for M {
    fn stream(&self, request: ModelRequest) -> Chunks {
        Model::stream(self, request).boxed()
    }

    fn name(&self) -> Option<ModelName> {
        Model::name(self)
    }
}

impl fmt::Debug for dyn DynModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dyn Model")
    }
}
