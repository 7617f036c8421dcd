//! What can be set, and what is refused.

use std::time::Duration;

use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Map, Value};

use super::{ApiKey, OpenAiChat, connection::Connection, request::Asking};

const OPENAI: &str = "https://api.openai.com/v1";

/// Why a model could not be made. No message holds a key or an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenAiError {
    /// There is no key, and OpenAI itself needs one.
    #[error("neither OPENAI_API_KEY nor OPENAI_BASE_URL is set")]
    MissingKey,
    /// The key is empty, or has characters that no header can carry.
    #[error("the api key is empty or has characters that no header can carry")]
    InvalidKey,
    /// A variable of the environment is not Unicode.
    #[error("{variable} is not unicode")]
    NotUnicode {
        /// The variable's name.
        variable: &'static str,
    },
    /// The base URL cannot be used.
    #[error("the base url cannot be used: {reason}")]
    InvalidUrl {
        /// Why not.
        reason: String,
    },
    /// The base URL has a user or password, and there is a key as well; one request can carry only one of them.
    #[error("the base url has a user or password, and there is a key as well")]
    TwoCredentials,
    /// A header's name or value cannot be sent, or belongs to the connection.
    #[error("the header {name} cannot be set so")]
    InvalidHeader {
        /// The header's name.
        name: String,
    },
    /// The address of the proxy cannot be used.
    #[error("the address of the proxy cannot be used")]
    InvalidProxy,
    /// The temperature is infinite or no number.
    #[error("the temperature is no finite number")]
    InvalidTemperature,
    /// The HTTP client could not be made, as when the system has no certificates to trust.
    #[error("the http client could not be made: {reason}")]
    Client {
        /// Why not.
        reason: String,
    },
}

/// Makes an [`OpenAiChat`].
///
/// ```
/// use std::time::Duration;
/// use quell::models::OpenAiChat;
///
/// let local = OpenAiChat::builder()
///     .base_url("http://localhost:8080/v1")
///     .model("any")
///     .read_timeout(Duration::from_secs(120))
///     .build()?;
/// # Ok::<(), quell::models::OpenAiError>(())
/// ```
///
/// TLS is rustls with aws-lc-rs, and trust is what the platform's own certificate store says; a system without one (a
/// bare container, for instance) makes [`build`](OpenAiChatBuilder::build) fail, also for an address without TLS.
#[derive(Clone)]
pub struct OpenAiChatBuilder {
    pub(super) base_url: String,
    pub(super) api_key: Option<ApiKey>,
    pub(super) organization: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) proxy: Option<String>,
    pub(super) connect_timeout: Duration,
    pub(super) read_timeout: Duration,
    pub(super) max_event_bytes: usize,
    provider: Option<String>,
    model: String,
    temperature: Option<f64>,
    max_tokens: Option<u32>,
    include_usage: bool,
    give_reasoning_back: bool,
    extra: Map<String, Value>,
}

impl OpenAiChatBuilder {
    pub(super) fn new() -> OpenAiChatBuilder {
        OpenAiChatBuilder {
            base_url: OPENAI.to_owned(),
            api_key: None,
            organization: None,
            headers: Vec::new(),
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(600),
            max_event_bytes: 8 * 1024 * 1024,
            provider: None,
            model: "gpt-5-mini".to_owned(),
            temperature: None,
            max_tokens: None,
            include_usage: true,
            give_reasoning_back: true,
            extra: Map::new(),
        }
    }

    /// Settings with what the environment says; see [`OpenAiChat::from_env`].
    ///
    /// # Errors
    ///
    /// [`OpenAiError::MissingKey`] and [`OpenAiError::NotUnicode`].
    pub fn from_env() -> Result<OpenAiChatBuilder, OpenAiError> {
        Self::from_variables(|variable| match std::env::var(variable) {
            Ok(value) => Ok(Some(value)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(OpenAiError::NotUnicode { variable }),
        })
    }

    fn from_variables(
        get: impl Fn(&'static str) -> Result<Option<String>, OpenAiError>,
    ) -> Result<OpenAiChatBuilder, OpenAiError> {
        let set = |variable| {
            let value = get(variable)?.map(|value| value.trim().to_owned());
            Ok(value.filter(|value| !value.is_empty()))
        };
        let mut builder = OpenAiChatBuilder::new();
        let (key, base_url) = (set("OPENAI_API_KEY")?, set("OPENAI_BASE_URL")?);
        if key.is_none() && base_url.is_none() {
            return Err(OpenAiError::MissingKey);
        }
        builder.api_key = key.map(ApiKey::new);
        builder.base_url = base_url.unwrap_or(builder.base_url);
        builder.model = set("OPENAI_MODEL")?.unwrap_or(builder.model);
        builder.organization = set("OPENAI_ORG_ID")?;
        Ok(builder)
    }

    /// The address up to and with `/v1`; `/chat/completions` is added unless it ends so. `http` or `https`. A query is
    /// kept; a user and password are sent as basic authentication. Default: OpenAI.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = url.into();
        self
    }

    /// The key, sent as `authorization: Bearer ..`. Default: none.
    pub fn api_key(mut self, key: impl Into<ApiKey>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// Sent as `openai-organization`. Default: none.
    pub fn organization(mut self, id: impl Into<String>) -> Self {
        self.organization = Some(id.into());
        self
    }

    /// One more header with every request; it wins over the headers set here. Its value is held to be a secret.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A proxy for every request, `http` or `https`, in place of those the environment names (`HTTP_PROXY`,
    /// `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`), which are never used for this machine itself.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(url.into());
        self
    }

    /// How long a connection may take to be made, TLS included. Default: 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long nothing may come: until the head of the response, and between two pieces of its body. Time in which
    /// nobody reads does not count. Default: 10 min; a run has limits of its own, which are shorter.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// How many bytes one event may have, or the whole body of an answer that does not come as a stream. Default: 8 MiB.
    pub fn max_event_bytes(mut self, bytes: usize) -> Self {
        self.max_event_bytes = bytes;
        self
    }

    /// The name of the provider, as runs store it. What an answer wants to be given back ([`ModelChunk::Opaque`]) is given
    /// back to models of the same provider only. Default: the host of the base URL, with its port where that is not the
    /// usual one.
    ///
    /// [`ModelChunk::Opaque`]: quell_actors::model::ModelChunk::Opaque
    pub fn provider(mut self, name: impl Into<String>) -> Self {
        self.provider = Some(name.into());
        self
    }

    /// The name of the model. Default: `gpt-5-mini`.
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = name.into();
        self
    }

    /// How many tokens an answer may have. Sent to OpenAI as `max_completion_tokens`, and to all others as
    /// `max_tokens`. Default: the provider's.
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.max_tokens = Some(tokens);
        self
    }

    /// The temperature. Default: the provider's.
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// Whether the provider is asked for its count of tokens (`stream_options.include_usage`). Default: yes; some
    /// servers refuse it.
    pub fn include_usage(mut self, include: bool) -> Self {
        self.include_usage = include;
        self
    }

    /// Whether the provider of an agent with tools is given back what its model thought, in the field it came in and with
    /// its details. Default: yes, since DeepSeek and others refuse the next request without it. A provider that sends no
    /// reasoning is given none.
    pub fn give_reasoning_back(mut self, give: bool) -> Self {
        self.give_reasoning_back = give;
        self
    }

    /// One more field of the request's body. It wins over settings, but `model`, `messages`, `stream` and the agent's
    /// tools stay. `tool_choice` and `parallel_tool_calls` are only sent where there are tools.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    /// Makes the model. Nothing is sent.
    ///
    /// # Errors
    ///
    /// As [`OpenAiError`] says: what is set cannot be used, or no HTTP client can be made.
    pub fn build(self) -> Result<OpenAiChat, OpenAiError> {
        if self
            .temperature
            .is_some_and(|temperature| !temperature.is_finite())
        {
            return Err(OpenAiError::InvalidTemperature);
        }
        let endpoint = self.endpoint()?;
        let headers = self.header_map(&endpoint)?;
        let is_deepseek = endpoint.host_str() == Some("api.deepseek.com");
        let is_openai = endpoint.host_str() == Some("api.openai.com");
        let host = endpoint.host_str().unwrap_or_default();
        let host = match endpoint.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let connection = Connection::new(&self, endpoint, headers)?;
        let asking = Asking {
            provider: self.provider.unwrap_or(host).into(),
            model: self.model,
            temperature: self.temperature,
            max_tokens: self.max_tokens,
            max_tokens_field: if is_openai {
                "max_completion_tokens"
            } else {
                "max_tokens"
            },
            include_usage: self.include_usage,
            give_reasoning_back: self.give_reasoning_back,
            is_deepseek,
            extra: self.extra,
        };
        Ok(OpenAiChat {
            connection: connection.into(),
            asking: asking.into(),
        })
    }

    fn endpoint(&self) -> Result<Url, OpenAiError> {
        let refused = |reason: &str| OpenAiError::InvalidUrl {
            reason: reason.to_owned(),
        };
        let mut url =
            Url::parse(self.base_url.trim()).map_err(|error| refused(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("its scheme is neither http nor https"));
        }
        url.set_fragment(None);
        let path = url.path().trim_end_matches('/');
        if !path.ends_with("/chat/completions") {
            let path = format!("{path}/chat/completions");
            url.set_path(&path);
        }
        Ok(url)
    }

    fn header_map(&self, endpoint: &Url) -> Result<HeaderMap, OpenAiError> {
        let mut headers = HeaderMap::new();
        let mut set = |name: &str, value: &str| {
            let refused = || OpenAiError::InvalidHeader {
                name: name.escape_debug().to_string(),
            };
            let header = HeaderName::try_from(name).map_err(|_| refused())?;
            // These are the connection's own.
            let own = ["host", "content-length", "transfer-encoding", "connection"];
            let mut value = HeaderValue::try_from(value).map_err(|_| refused())?;
            if own.contains(&header.as_str()) {
                return Err(refused());
            }
            value.set_sensitive(true);
            headers.insert(header, value);
            Ok(())
        };
        set("content-type", "application/json")?;
        set("accept", "text/event-stream")?;
        if let Some(id) = &self.organization {
            set("openai-organization", id)?;
        }
        for (name, value) in &self.headers {
            set(name, value)?;
        }
        let has_user = !endpoint.username().is_empty() || endpoint.password().is_some();
        match &self.api_key {
            Some(_) if has_user => return Err(OpenAiError::TwoCredentials),
            Some(key) => {
                // A header of the same name, which the user set beside the key, wins.
                let bearer = key.bearer()?;
                headers.entry("authorization").or_insert(bearer);
            }
            None => {}
        }
        Ok(headers)
    }
}

impl std::fmt::Debug for OpenAiChatBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("OpenAiChatBuilder")
            .field("api_key", &self.api_key)
            .field("headers", &headers)
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("max_event_bytes", &self.max_event_bytes)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
