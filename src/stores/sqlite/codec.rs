//! How events lie in the file: stretches of a run's events, each event once as compact JSON, behind a checksum.
//!
//! SQLite has no checksum over its pages, so every blob and every row has one of ours: a byte that changed on the disk
//! is an error, and never another event.

use quell_actors::{EventKind, RunId, id::Timestamp};

/// The release of the words below that this program writes: one more whenever [`EventKind`] learns a kind, or a kind a
/// field, that a program before it could not read.
pub(super) const EVENTS_VERSION: u32 = 2;

/// The first byte of every blob.
const FORMAT: u8 = 1;

/// Bytes that are not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Damaged(pub(super) &'static str);

/// A sum in which every single word counts: each step can be undone, so two texts that differ in one word differ here.
pub(super) fn checksum(seed: u64, bytes: &[u8]) -> u64 {
    let step = |sum: u64, word: u64| {
        (sum ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(seed ^ bytes.len() as u64, |sum, word| {
        step(sum, u64::from_le_bytes(*word))
    });
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let sum = step(step(sum, u64::from_le_bytes(last)), seed);
    sum ^ (sum >> 32)
}

/// Takes more into a checksum, of which each may be there or not. Where there is nothing more it stays as it is.
pub(super) fn checksum_with(sum: u64, more: &[Option<&[u8]>]) -> u64 {
    if more.iter().all(Option::is_none) {
        return sum;
    }
    let mut bytes = Vec::with_capacity(128);
    for part in more {
        bytes.push(u8::from(part.is_some()));
        let part = part.unwrap_or_default();
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    checksum(sum, &bytes)
}

/// Seals a blob whose first [`SEAL`] bytes are free: its format, and the checksum of the rest.
pub(super) fn seal(seed: u64, blob: &mut [u8]) {
    if let Some((head, rest)) = blob.split_first_chunk_mut::<SEAL>() {
        head[0] = FORMAT;
        head[1..].copy_from_slice(&checksum(seed, rest).to_le_bytes());
    }
}

/// What was sealed.
pub(super) fn unseal(seed: u64, blob: &[u8]) -> Result<&[u8], Damaged> {
    let (head, rest) = blob
        .split_first_chunk::<SEAL>()
        .ok_or(Damaged("a blob is cut short"))?;
    let mut sum = [0; 8];
    sum.copy_from_slice(&head[1..]);
    if head[0] != FORMAT {
        return Err(Damaged("a blob has an unknown format"));
    }
    if u64::from_le_bytes(sum) != checksum(seed, rest) {
        return Err(Damaged("a blob does not match its checksum"));
    }
    Ok(rest)
}

/// How many bytes of a blob its seal takes.
pub(super) const SEAL: usize = 9;

/// The seed of a run's segment: a segment that turns up in another place is not taken for that one's.
pub(super) fn segment_seed(run: RunId, first: u64, last: u64) -> u64 {
    let mut place = [0; 32];
    place[..16].copy_from_slice(run.as_bytes());
    place[16..24].copy_from_slice(&first.to_le_bytes());
    place[24..].copy_from_slice(&last.to_le_bytes());
    checksum(0, &place)
}

/// Appends an integer, in as many bytes as it needs.
pub(super) fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends events to a buffer: the time since the event before, and the length and the text of what happened.
#[derive(Debug, Default)]
pub(super) struct StretchWriter {
    previous: u64,
}

impl StretchWriter {
    pub(super) fn push(&mut self, out: &mut Vec<u8>, at: Timestamp, json: &[u8]) {
        let at = at.as_millis();
        let since = at.wrapping_sub(self.previous) as i64;
        self.previous = at;
        // Times may run backwards between two processes, so the sign goes into the lowest bit.
        put_varint(out, ((since << 1) ^ (since >> 63)) as u64);
        put_varint(out, json.len() as u64);
        out.extend_from_slice(json);
    }
}

/// Reads what a [`StretchWriter`] wrote.
#[derive(Clone, Copy, Debug)]
pub(super) struct StretchReader<'a> {
    bytes: Cursor<'a>,
    previous: u64,
}

impl<'a> StretchReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> StretchReader<'a> {
        StretchReader {
            bytes: Cursor(bytes),
            previous: 0,
        }
    }

    fn read(&mut self) -> Result<(Timestamp, &'a [u8]), Damaged> {
        let since = self.bytes.varint()?;
        let since = ((since >> 1) as i64) ^ -((since & 1) as i64);
        self.previous = self.previous.wrapping_add(since as u64);
        let length = self.bytes.varint()?;
        let json = self.bytes.take(length)?;
        Ok((Timestamp::from_millis(self.previous), json))
    }
}

impl<'a> Iterator for StretchReader<'a> {
    type Item = Result<(Timestamp, &'a [u8]), Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.bytes.0.is_empty()).then(|| {
            let event = self.read();
            if event.is_err() {
                self.bytes = Cursor(&[]);
            }
            event
        })
    }
}

/// What happened, from its text.
pub(super) fn kind(json: &[u8]) -> Result<EventKind, Damaged> {
    serde_json::from_slice(json).map_err(|_| Damaged("an event cannot be read"))
}

/// Bytes that are read from the front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

const CUT_SHORT: Damaged = Damaged("a record is cut short");

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, length: u64) -> Result<&'a [u8], Damaged> {
        let length = usize::try_from(length).map_err(|_| CUT_SHORT)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CUT_SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(CUT_SHORT)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn varint(&mut self) -> Result<u64, Damaged> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                break;
            }
            n |= bits << shift;
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err(Damaged("a number is too large"))
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
