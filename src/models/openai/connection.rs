//! One provider: its client, its address, and how it is named in messages.

use std::{
    error::Error,
    io::{self, ErrorKind},
    net::IpAddr,
    time::Duration,
};

use quell_actors::model::{ModelError, ModelErrorKind, Retry};
use reqwest::{
    Client, Method, Proxy, Request, Response, Url,
    header::{AUTHORIZATION, HeaderMap},
    redirect, retry,
};

use super::{
    key::{Secrets, excerpt},
    settings::{OpenAiChatBuilder, OpenAiError},
};

/// How much of what a provider said stands in a message, in bytes.
const EXCERPT: usize = 512;

pub(super) struct Connection {
    client: Client,
    endpoint: Url,
    headers: HeaderMap,
    place: String,
    secrets: Secrets,
    pub(super) read_timeout: Duration,
    pub(super) max_event_bytes: usize,
}

impl Connection {
    pub(super) fn new(
        settings: &OpenAiChatBuilder,
        endpoint: Url,
        mut headers: HeaderMap,
    ) -> Result<Connection, OpenAiError> {
        let mut secrets = Secrets::default();
        secrets.add_url(&endpoint);
        if let Some(key) = &settings.api_key {
            secrets.add_key(key);
        }
        for (_, value) in &settings.headers {
            secrets.add(value);
            // Of `Bearer key` and the like a provider may repeat the second word alone.
            value.split_whitespace().for_each(|word| secrets.add(word));
        }
        if let Some(proxy) = settings
            .proxy
            .as_deref()
            .and_then(|url| Url::parse(url).ok())
        {
            secrets.add_url(&proxy);
        }

        let builder = Client::builder()
            .http1_only()
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(retry::never())
            .connect_timeout(settings.connect_timeout)
            .user_agent(concat!("quell/", env!("CARGO_PKG_VERSION")));
        let builder = match &settings.proxy {
            Some(url) => {
                let web = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
                let proxy = Proxy::all(url).ok().filter(|_| web);
                builder.proxy(proxy.ok_or(OpenAiError::InvalidProxy)?)
            }
            None if is_loopback(&endpoint) => builder.no_proxy(),
            None => builder,
        };
        let client = builder.build().map_err(|error| OpenAiError::Client {
            reason: excerpt(&secrets.redact(&describe(&error)), EXCERPT),
        })?;

        // reqwest turns the user and password of an address into a header.
        let probe = client
            .post(endpoint)
            .build()
            .map_err(|error| OpenAiError::InvalidUrl {
                reason: excerpt(&secrets.redact(&describe(&error)), EXCERPT),
            })?;
        let endpoint = probe.url().clone();
        if let Some(basic) = probe.headers().get(AUTHORIZATION) {
            if let Some((_, encoded)) = basic.to_str().ok().and_then(|b| b.split_once(' ')) {
                secrets.add(encoded);
            }
            headers.entry(AUTHORIZATION).or_insert(basic.clone());
        }

        let place = format!("POST {}", secrets.redact(&address(&endpoint)));
        Ok(Connection {
            client,
            place: excerpt(&place, EXCERPT),
            endpoint,
            headers,
            secrets,
            read_timeout: settings.read_timeout,
            max_event_bytes: settings.max_event_bytes,
        })
    }

    /// Method, host and path.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Sends a request and waits for the head of its response.
    pub(super) async fn send(&self, body: Vec<u8>) -> Result<Response, ModelError> {
        let mut request = Request::new(Method::POST, self.endpoint.clone());
        *request.headers_mut() = self.headers.clone();
        *request.body_mut() = Some(body.into());
        let response = self.client.execute(request);
        match tokio::time::timeout(self.read_timeout, response).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                let kind = if error.is_connect() {
                    ModelErrorKind::Connect
                } else {
                    ModelErrorKind::Connection
                };
                let error = self.error(kind, &describe(&error));
                Err(error.with_retry(Retry::Backoff))
            }
            Err(_) => {
                let waited = format!("nothing came for {:?}", self.read_timeout);
                let error = self.error(ModelErrorKind::Connection, &waited);
                Err(error.with_retry(Retry::Backoff))
            }
        }
    }

    /// An error at this place, bounded in length and without secrets.
    pub(super) fn error(&self, kind: ModelErrorKind, what: &str) -> ModelError {
        let what = excerpt(&self.secrets.redact(what), EXCERPT);
        ModelError::new(kind, format!("{}: {what}", self.place))
    }

    pub(super) fn redact(&self, text: &str) -> String {
        self.secrets.redact(text)
    }
}

/// What went wrong at the bottom of an error, without the address: reqwest says "error sending request" for nearly all.
pub(in crate::models) fn describe(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "timed out".to_owned();
    }
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let Some(deepest) = causes.last() else {
        return "the request failed".to_owned();
    };
    match deepest.downcast_ref::<io::Error>().map(io::Error::kind) {
        // These say it all; others are only as good as what the system says of them.
        Some(
            kind @ (ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable),
        ) => kind.to_string(),
        _ => deepest.to_string(),
    }
}

fn address(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

/// Whether an address is this machine, which no proxy could reach.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}
