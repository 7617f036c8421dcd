//! Server-sent events out of a body, none larger than allowed.
//!
//! `sse-stream` does the decoding. It has no limit on size, drops a last event that lacks its blank line, and skips
//! lines it has no word for, among them the `error: {..}` by which some servers end. So the bytes pass a [`Scan`] first.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use sse_stream::{Sse, SseByteStream};

use super::body::{Body, BodyError};

/// Why there are no more events.
#[derive(Debug, thiserror::Error)]
pub(super) enum SseError {
    #[error(transparent)]
    Body(BodyError),
    #[error("one event is larger than {limit} bytes")]
    TooLarge { limit: usize },
    /// A line `error: ..`, which is none of the protocol's: the rest of that line.
    #[error("{0}")]
    ErrorLine(String),
    #[error("the stream of events is not UTF-8")]
    NotUtf8,
}

/// The events of a body.
pub(super) struct Events {
    events: SseByteStream<Bounded>,
    meter: Arc<Meter>,
}

impl Events {
    /// Decodes `body`. An event, from one blank line to the next and without the line ends at its edges, may have
    /// `limit` bytes.
    pub(super) fn new(body: Body, limit: usize) -> Events {
        let meter = Arc::new(Meter {
            read: AtomicU64::new(0),
            stop_at: AtomicU64::new(u64::MAX),
            ended: AtomicBool::new(false),
        });
        let bounded = Bounded {
            body,
            scan: Scan::new(limit),
            ready: VecDeque::new(),
            over: false,
            meter: meter.clone(),
        };
        Events {
            events: SseByteStream::new(bounded),
            meter,
        }
    }

    /// The next event. After an error there is none.
    pub(super) async fn next(&mut self) -> Option<Result<Sse, SseError>> {
        Some(self.events.next().await?.map_err(|error| match error {
            sse_stream::Error::Body(error) => match error.downcast::<SseError>() {
                Ok(error) => *error,
                Err(error) => SseError::Body(BodyError::Broken(error.to_string())),
            },
            _ => SseError::NotUtf8,
        }))
    }

    /// Reads at most about so many bytes from here on.
    pub(super) fn stop_after(&self, bytes: u64) {
        let stop_at = self.meter.read.load(Relaxed).saturating_add(bytes);
        self.meter.stop_at.store(stop_at, Relaxed);
    }

    /// Whether the body has ended, so that the last event may be half of one.
    pub(super) fn body_ended(&self) -> bool {
        self.meter.ended.load(Relaxed)
    }
}

/// What [`Events`] and the byte stream it gave away to the decoder tell each other. One task uses both.
struct Meter {
    read: AtomicU64,
    stop_at: AtomicU64,
    ended: AtomicBool,
}

/// The bytes of a body on their way to the decoder.
struct Bounded {
    body: Body,
    scan: Scan,
    ready: VecDeque<Result<Bytes, SseError>>,
    over: bool,
    meter: Arc<Meter>,
}

impl Bounded {
    /// Passes on what stands before the error, so that the events before it are heard however the bytes were split.
    fn end_with(&mut self, before: Bytes, error: SseError) {
        self.over = true;
        if !before.is_empty() {
            self.ready.push_back(Ok(before));
        }
        self.ready.push_back(Err(error));
    }
}

impl Stream for Bounded {
    type Item = Result<Bytes, SseError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(item) = this.ready.pop_front() {
                return Poll::Ready(Some(item));
            }
            if this.over || this.meter.read.load(Relaxed) >= this.meter.stop_at.load(Relaxed) {
                return Poll::Ready(None);
            }
            match ready!(this.body.poll_next_unpin(cx)) {
                Some(Ok(piece)) => {
                    this.meter.read.fetch_add(piece.len() as u64, Relaxed);
                    match this.scan.scan(&piece) {
                        Verdict::Pass => return Poll::Ready(Some(Ok(piece))),
                        Verdict::TooLarge(at) => {
                            let limit = this.scan.limit;
                            this.end_with(piece.slice(..at), SseError::TooLarge { limit });
                        }
                        Verdict::ErrorLine(at, line) => {
                            this.ready.push_back(Ok(piece.slice(..at)));
                            this.end_with(BLANK_LINE, SseError::ErrorLine(line));
                        }
                    }
                }
                Some(Err(error)) => this.end_with(Bytes::new(), SseError::Body(error)),
                None => {
                    this.over = true;
                    this.meter.ended.store(true, Relaxed);
                    match this.scan.open_error_line() {
                        Some(line) => this.end_with(BLANK_LINE, SseError::ErrorLine(line)),
                        // Without it the last event would be lost where the server spares its blank line.
                        None => this.ready.push_back(Ok(BLANK_LINE)),
                    }
                }
            }
        }
    }
}

/// Ends a line, if one is open, and then an event.
const BLANK_LINE: Bytes = Bytes::from_static(b"\n\n");

const ERROR_FIELD: &[u8] = b"error:";

/// Counts the bytes since the last blank line, and looks for lines `error: ..`. Comments with no field before them are
/// not counted once they are over, because nothing is kept of them.
struct Scan {
    limit: usize,
    event_bytes: usize,
    line_bytes: usize,
    /// The line before ended in CR, so a LF that comes now belongs to it.
    after_cr: bool,
    in_comment: bool,
    /// The line so far is how `error:` begins.
    maybe_error: bool,
    /// The event has a line that is no comment.
    has_field: bool,
    error_line: Option<Vec<u8>>,
}

enum Verdict {
    Pass,
    /// The byte at this position is too much.
    TooLarge(usize),
    /// A line `error: ..` ends before this position.
    ErrorLine(usize, String),
}

impl Scan {
    fn new(limit: usize) -> Scan {
        Scan {
            limit,
            event_bytes: 0,
            line_bytes: 0,
            after_cr: false,
            in_comment: false,
            maybe_error: false,
            has_field: false,
            error_line: None,
        }
    }

    fn scan(&mut self, piece: &[u8]) -> Verdict {
        let mut at = 0;
        while at < piece.len() {
            let byte = piece[at];
            if std::mem::take(&mut self.after_cr) && byte == b'\n' {
                at += 1;
            } else if byte == b'\n' || byte == b'\r' {
                at += 1;
                self.after_cr = byte == b'\r';
                self.end_line();
                if let Some(line) = self.open_error_line() {
                    return Verdict::ErrorLine(at, line);
                }
            } else {
                let start = at;
                at += self.line_part(&piece[at..]);
                if self.event_bytes > self.limit {
                    let over = self.event_bytes - self.limit;
                    // The byte over the limit may be the line end before this part, in another piece.
                    return Verdict::TooLarge(at.saturating_sub(over).max(start));
                }
            }
        }
        Verdict::Pass
    }

    /// Takes some bytes of a line, and says how many.
    fn line_part(&mut self, rest: &[u8]) -> usize {
        if self.line_bytes == 0 {
            self.in_comment = rest[0] == b':';
            self.maybe_error = true;
        }
        let taken = if self.line_bytes < ERROR_FIELD.len() {
            self.maybe_error &= rest[0] == ERROR_FIELD[self.line_bytes];
            if self.maybe_error && self.line_bytes + 1 == ERROR_FIELD.len() {
                self.error_line = Some(Vec::new());
            }
            1
        } else {
            let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            if let Some(line) = &mut self.error_line {
                // One byte too many is refused below, so no more than the limit is ever kept.
                line.extend_from_slice(&rest[..end.min(self.limit)]);
            }
            end
        };
        self.line_bytes += taken;
        self.event_bytes += taken;
        taken
    }

    fn end_line(&mut self) {
        if self.line_bytes == 0 {
            self.event_bytes = 0;
            self.has_field = false;
        } else if self.in_comment && !self.has_field {
            self.event_bytes = 0;
        } else {
            self.has_field |= !self.in_comment;
            self.event_bytes += 1;
        }
        self.line_bytes = 0;
    }

    /// The line `error: ..` that is open, or has just ended, when it says anything.
    fn open_error_line(&mut self) -> Option<String> {
        let line = String::from_utf8_lossy(&self.error_line.take()?).into_owned();
        let line = line.trim();
        (!line.is_empty() && line != "null").then(|| line.to_owned())
    }
}

#[cfg(test)]
#[path = "sse_tests.rs"]
mod tests;
