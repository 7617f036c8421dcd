//! The bytes of a response, with a limit on how long they may stay away.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream::BoxStream};
use tokio::time::{Instant, Sleep};

use super::openai::describe;

/// How a body broke.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    #[error("{0}")]
    Broken(String),
}

/// The body of a response.
///
/// reqwest's own read timeout counts from the last piece that was taken, so a stream whose reader was away for longer
/// would fail with its next piece waiting in the socket. Here the clock starts when a read has to wait.
pub(super) struct Body {
    pieces: BoxStream<'static, Result<Bytes, BodyError>>,
    put_back: Option<Bytes>,
    timeout: Duration,
    /// Made by the first read that has to wait, and moved only when it goes off too early: a read that waits for a
    /// moment costs no timer operation.
    sleep: Option<Pin<Box<Sleep>>>,
    waits_since: Option<Instant>,
}

impl Body {
    pub(super) fn new(response: reqwest::Response, timeout: Duration) -> Body {
        let pieces = response.bytes_stream();
        Body::of(
            pieces.map(|piece| piece.map_err(|error| BodyError::Broken(describe(&error)))),
            timeout,
        )
    }

    pub(super) fn of(
        pieces: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
        timeout: Duration,
    ) -> Body {
        Body {
            pieces: pieces.boxed(),
            put_back: None,
            timeout,
            sleep: None,
            waits_since: None,
        }
    }

    /// The first byte of the body that is no white space, which stays in the body, while what stood before it does not:
    /// some providers send empty lines to keep a connection alive until they can answer.
    pub(super) async fn peek(&mut self) -> Result<Option<u8>, BodyError> {
        while let Some(piece) = self.next().await {
            let mut piece = piece?;
            let blank = piece.iter().take_while(|b| b.is_ascii_whitespace()).count();
            let piece = piece.split_off(blank);
            if let Some(&first) = piece.first() {
                self.put_back = Some(piece);
                return Ok(Some(first));
            }
        }
        Ok(None)
    }

    /// Reads until the end or until there are `limit` bytes, whichever is first, and says whether that was the end.
    /// What had come before an error is kept in `into`.
    pub(super) async fn read_into(
        &mut self,
        into: &mut BytesMut,
        limit: usize,
    ) -> Result<bool, BodyError> {
        while let Some(piece) = self.next().await {
            let piece = piece?;
            let room = limit - into.len();
            into.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() > room {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Stream for Body {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(piece) = this.put_back.take() {
            return Poll::Ready(Some(Ok(piece)));
        }
        if let Poll::Ready(piece) = this.pieces.poll_next_unpin(cx) {
            this.waits_since = None;
            return Poll::Ready(piece);
        }
        let since = *this.waits_since.get_or_insert_with(Instant::now);
        // A timeout too long for the clock is ignored.
        let Some(due) = since.checked_add(this.timeout) else {
            return Poll::Pending;
        };
        let sleep = this
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(Some(Err(BodyError::Silent(this.timeout))));
            }
            sleep.as_mut().reset(due);
        }
        Poll::Pending
    }
}
