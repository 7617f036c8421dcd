//! One request and its answer, as a stream that only its owner polls.

use std::{collections::VecDeque, sync::Arc, time::Duration, time::SystemTime};

use bytes::BytesMut;
use futures::{Stream, stream};
use quell_actors::{
    model::{ModelChunk, ModelError, ModelErrorKind, ModelRequest, Retry},
    outcome::FinishReason,
};
use reqwest::{Response, header};
use tokio::time::Instant;

use super::{
    connection::Connection,
    key::excerpt,
    parse::{Fault, Parser, complaint_in},
    request::Asking,
    status::refusal,
};
use crate::models::{
    body::{Body, BodyError},
    sse::{Events, SseError},
};

/// How much is read of the body of an error, and for how long.
const ERROR_BODY: (usize, Duration) = (64 * 1024, Duration::from_secs(5));
/// How much is read after the finish reason, and for how long: the count of tokens stands there, and a connection that
/// was read to its end can be used again.
const TAIL: (u64, Duration) = (64 * 1024, Duration::from_secs(1));

/// The answer to one request. Nothing is sent before the first poll; dropping it closes the connection.
pub(super) fn stream(
    connection: Arc<Connection>,
    asking: Arc<Asking>,
    request: ModelRequest,
) -> impl Stream<Item = Result<ModelChunk, ModelError>> + Send + 'static {
    let answer = Answer {
        with_tools: !request.tools.is_empty(),
        connection,
        phase: Phase::Asking(asking, request),
        parser: Parser::default(),
        chunks: VecDeque::new(),
        spoke: false,
        ending: None,
    };
    stream::unfold(answer, async |mut answer| {
        let item = answer.next().await?;
        Some((item, answer))
    })
}

struct Answer {
    /// The model may call tools.
    with_tools: bool,
    connection: Arc<Connection>,
    phase: Phase,
    parser: Parser,
    /// What was read and not yet returned.
    chunks: VecDeque<ModelChunk>,
    /// Anything but `Connected` was returned.
    spoke: bool,
    /// What is returned after the chunks, last.
    ending: Option<Result<FinishReason, ModelError>>,
}

enum Phase {
    Asking(Arc<Asking>, ModelRequest),
    Opening(Body),
    Hearing(Events),
    /// Reading on after a finish reason, until then.
    Tail(Events, Instant),
    Over,
}

impl Answer {
    async fn next(&mut self) -> Option<Result<ModelChunk, ModelError>> {
        loop {
            if let Some(chunk) = self.chunks.pop_front() {
                self.spoke |= chunk != ModelChunk::Connected;
                return Some(Ok(chunk));
            }
            let over = matches!(self.phase, Phase::Over);
            if over {
                // Without tools nobody asks for it again.
                if let Some(Ok(_)) = self.ending
                    && self.with_tools
                    && let Some(part) = self.parser.given_back()
                {
                    return Some(Ok(ModelChunk::Opaque(part)));
                }
                return Some(match self.ending.take()? {
                    Ok(reason) => Ok(ModelChunk::Finished(self.redacted(reason))),
                    // A caller that got part of an answer must not get it again.
                    Err(error) if self.spoke => Err(error.with_retry(Retry::Never)),
                    Err(error) => Err(error),
                });
            }
            // The phase is taken out, so what is not put back is dropped: an answer that is over holds no connection.
            let phase = std::mem::replace(&mut self.phase, Phase::Over);
            match self.step(phase).await {
                Ok(phase) => self.phase = phase,
                Err(error) => self.ending = Some(Err(error)),
            }
        }
    }

    async fn step(&mut self, phase: Phase) -> Result<Phase, ModelError> {
        match phase {
            Phase::Asking(asking, request) => {
                let response = self.connection.send(asking.body(&request)).await?;
                let body = self.accept(response).await?;
                self.chunks.push_back(ModelChunk::Connected);
                Ok(Phase::Opening(body))
            }
            Phase::Opening(body) => self.open(body).await,
            Phase::Hearing(mut events) => {
                let event = events.next().await;
                self.hear(event, events)
            }
            Phase::Tail(mut events, until) => {
                // Whatever fails here, the answer is whole.
                let event = tokio::time::timeout_at(until, events.next()).await;
                let told = self.chunks.len();
                if let Ok(Some(Ok(event))) = event {
                    let data = event.data.as_deref().unwrap_or_default();
                    let read = self
                        .parser
                        .event(event.event.as_deref(), data, &mut self.chunks);
                    if read.is_ok() {
                        // Some servers give a reason with every piece: one that says more is not at its end.
                        let said = self.chunks.iter().skip(told).any(|chunk| !is_usage(chunk));
                        return Ok(if said {
                            self.tail(events)
                        } else {
                            Phase::Tail(events, until)
                        });
                    }
                }
                self.ending = self.parser.finish().map(Ok);
                Ok(Phase::Over)
            }
            Phase::Over => Ok(Phase::Over),
        }
    }

    /// Judges the head of a response.
    async fn accept(&mut self, response: Response) -> Result<Body, ModelError> {
        let status = response.status();
        let headers = response.headers().clone();
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let encoding = header(header::CONTENT_ENCODING)
            .unwrap_or("identity")
            .trim();
        let plain = encoding.is_empty() || encoding.eq_ignore_ascii_case("identity");
        let mut body = Body::new(response, self.connection.read_timeout);
        if !status.is_success() {
            let said = if plain {
                error_text(&mut body).await
            } else {
                String::new()
            };
            let (message, retry) = refusal(status, &headers, &said, SystemTime::now());
            let kind = ModelErrorKind::Status(status.as_u16());
            return Err(self.connection.error(kind, &message).with_retry(retry));
        }
        if !plain {
            let message = format!("the body is compressed ({encoding}), which was not asked for");
            return Err(self.protocol(&message));
        }
        if header(header::CONTENT_TYPE).is_some_and(is_page) {
            return Err(self.page(&mut body).await);
        }
        Ok(body)
    }

    /// Looks at how a body begins, because its content type often does not say what it is.
    async fn open(&mut self, mut body: Body) -> Result<Phase, ModelError> {
        match body.peek().await {
            Err(error) => Err(self.broken(&error)),
            Ok(None) => Err(self.protocol("the body is empty")),
            Ok(Some(b'<')) => Err(self.page(&mut body).await),
            Ok(Some(b'{')) => self.whole(body).await,
            Ok(Some(_)) => {
                let limit = self.connection.max_event_bytes;
                Ok(Phase::Hearing(Events::new(body, limit)))
            }
        }
    }

    /// Reads a body that is one object: an error, or an answer by a server that takes no notice of `stream`.
    async fn whole(&mut self, mut body: Body) -> Result<Phase, ModelError> {
        let limit = self.connection.max_event_bytes;
        let mut bytes = BytesMut::new();
        match body.read_into(&mut bytes, limit).await {
            Err(error) => return Err(self.broken(&error)),
            Ok(false) => {
                let message = format!("the body is larger than {limit} bytes");
                return Err(self.connection.error(ModelErrorKind::TooLarge, &message));
            }
            Ok(true) => {}
        }
        let text =
            std::str::from_utf8(&bytes).map_err(|_| self.protocol("the body is not UTF-8"))?;
        let read = self.parser.event(None, text, &mut self.chunks);
        self.ending = Some(match read {
            Err(fault) => Err(self.fault(fault)),
            Ok(()) => self.parser.finish_whole().ok_or_else(|| {
                self.protocol(&format!(
                    "the body is neither an answer nor an error: {text}"
                ))
            }),
        });
        Ok(Phase::Over)
    }

    fn hear(
        &mut self,
        event: Option<Result<sse_stream::Sse, SseError>>,
        events: Events,
    ) -> Result<Phase, ModelError> {
        match event {
            Some(Ok(event)) => {
                let data = event.data.as_deref().unwrap_or_default();
                match self
                    .parser
                    .event(event.event.as_deref(), data, &mut self.chunks)
                {
                    Ok(()) => {}
                    // Half an event is how a body looks that was cut off.
                    Err(Fault::Protocol(_)) if events.body_ended() && self.parser.answered() => {
                        return Ok(Phase::Over);
                    }
                    Err(fault) => return Err(self.fault(fault)),
                }
                Ok(match self.parser.finish() {
                    Some(_) => self.tail(events),
                    None if self.parser.done() => {
                        return Err(self.protocol("the stream is done and held no answer"));
                    }
                    None => Phase::Hearing(events),
                })
            }
            Some(Err(error)) => Err(match error {
                SseError::Body(error) => self.broken(&error),
                SseError::ErrorLine(line) => self.fault(complaint_in(&line)),
                error @ SseError::TooLarge { .. } => self
                    .connection
                    .error(ModelErrorKind::TooLarge, &error.to_string()),
                error @ SseError::NotUtf8 => self.protocol(&error.to_string()),
            }),
            None if self.parser.answered() => Ok(Phase::Over),
            None => Err(self.protocol("the body ended and held no answer")),
        }
    }

    fn tail(&self, events: Events) -> Phase {
        let (bytes, time) = TAIL;
        events.stop_after(bytes);
        Phase::Tail(events, Instant::now() + time)
    }

    async fn page(&mut self, body: &mut Body) -> ModelError {
        let text = error_text(body).await;
        self.protocol(&format!("the body is a page, not an answer: {text}"))
    }

    fn protocol(&self, message: &str) -> ModelError {
        self.connection.error(ModelErrorKind::Protocol, message)
    }

    fn broken(&self, error: &BodyError) -> ModelError {
        let error = self
            .connection
            .error(ModelErrorKind::Connection, &error.to_string());
        error.with_retry(Retry::Backoff)
    }

    fn fault(&self, fault: Fault) -> ModelError {
        match fault {
            Fault::Provider { message, retry } => {
                let error = self.connection.error(ModelErrorKind::Provider, &message);
                error.with_retry(retry)
            }
            Fault::Protocol(message) => self.protocol(&message),
            Fault::TooLarge(message) => self.connection.error(ModelErrorKind::TooLarge, &message),
        }
    }

    /// A reason that has no word here is what the provider sent, and so is bounded and searched for the key.
    fn redacted(&self, reason: FinishReason) -> FinishReason {
        match reason {
            FinishReason::Other(word) => {
                let word = excerpt(&self.connection.redact(&word), 64);
                FinishReason::Other(word.into())
            }
            reason => reason,
        }
    }
}

/// What can be had of the body of an error.
async fn error_text(body: &mut Body) -> String {
    let (limit, time) = ERROR_BODY;
    let mut bytes = BytesMut::new();
    // What came before a failure or the end of the time is enough to quote.
    let _ = tokio::time::timeout(time, body.read_into(&mut bytes, limit)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_page(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    ["text/html", "application/xhtml+xml"]
        .iter()
        .any(|page| kind.eq_ignore_ascii_case(page))
}

fn is_usage(chunk: &ModelChunk) -> bool {
    matches!(chunk, ModelChunk::Usage(_))
}
