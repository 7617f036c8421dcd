//! Segments: a run's events in blobs of at most 64 KiB, written once.

use quell_actors::{RunEvent, RunId, id::Timestamp};
use rusqlite::{Connection, params};

use super::{
    codec::{Damaged, SEAL, StretchReader, StretchWriter, kind, seal, segment_seed, unseal},
    error::Fault,
};

/// How large a segment is at most, unless a single event is larger.
pub(super) const SEGMENT_BYTES: usize = 64 * 1024;

/// How much a time and a length take at most.
const EVENT_HEADER: usize = 20;

/// Writes the events of a run after those that are in segments.
pub(super) struct SegmentWriter<'a> {
    db: &'a Connection,
    run: RunId,
    /// The first position of the segment that grows.
    first: u64,
    /// The position of the next event.
    next: u64,
    payload: Vec<u8>,
    stretch: StretchWriter,
}

impl<'a> SegmentWriter<'a> {
    pub(super) fn new(db: &'a Connection, run: RunId, folded: u64) -> SegmentWriter<'a> {
        SegmentWriter {
            db,
            run,
            first: folded + 1,
            next: folded + 1,
            payload: vec![0; SEAL],
            stretch: StretchWriter::default(),
        }
    }

    pub(super) fn push(&mut self, at: Timestamp, json: &[u8]) -> Result<(), Fault> {
        let full = self.payload.len() + EVENT_HEADER + json.len() > SEGMENT_BYTES;
        if full && self.next > self.first {
            self.write()?;
        }
        self.stretch.push(&mut self.payload, at, json);
        self.next += 1;
        Ok(())
    }

    /// Writes the last segment. Returns the position that segments go up to now.
    pub(super) fn finish(mut self) -> Result<u64, Fault> {
        if self.next > self.first {
            self.write()?;
        }
        Ok(self.next - 1)
    }

    fn write(&mut self) -> Result<(), Fault> {
        let last = self.next - 1;
        seal(segment_seed(self.run, self.first, last), &mut self.payload);
        let mut insert = self.db.prepare_cached(
            "INSERT INTO segments (run, first, last, payload) VALUES (?, ?, ?, ?)",
        )?;
        insert.execute(params![
            self.run.as_bytes(),
            self.first as i64,
            last as i64,
            self.payload
        ])?;
        self.first = self.next;
        self.payload.truncate(SEAL);
        self.stretch = StretchWriter::default();
        Ok(())
    }
}

/// Reads events from segments into `page`: those after position `after` up to `last`, until it has `limit` of them or has
/// read `bytes`.
pub(super) fn read(
    db: &Connection,
    run: RunId,
    after: u64,
    last: u64,
    page: &mut Page,
) -> Result<(), Fault> {
    if after >= last {
        return Ok(());
    }
    // The segment that holds the first event may begin before it.
    let mut find = db.prepare_cached(
        "SELECT first, last, payload FROM segments WHERE run = ?1 AND first >= \
         (SELECT coalesce(max(first), 0) FROM segments WHERE run = ?1 AND first <= ?2) ORDER BY first",
    )?;
    let mut rows = find.query(params![run.as_bytes(), after as i64 + 1])?;
    let mut next = after + 1;
    while next <= last && page.has_room() {
        let row = rows.next()?.ok_or(Damaged("a segment is missing"))?;
        let (from, to) = (row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64);
        if from > next || to < next {
            return Err(Damaged("a segment is missing").into());
        }
        let payload = row.get_ref(2)?;
        let payload = payload
            .as_blob()
            .map_err(|_| Damaged("a segment is no blob"))?;
        let stretch = unseal(segment_seed(run, from, to), payload)?;
        for (seq, event) in (from..=to).zip(StretchReader::new(stretch)) {
            let (at, json) = event?;
            if seq >= next && seq <= last && page.has_room() {
                page.push(run, seq, at, json)?;
            }
        }
        next = to + 1;
    }
    Ok(())
}

/// Events that are read in one go.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) events: Vec<RunEvent>,
    limit: usize,
    bytes: usize,
}

/// How many bytes of events a page holds, beside its first event: no reader holds the file for long.
const PAGE_BYTES: usize = 1 << 20;

impl Page {
    pub(super) fn new(limit: usize) -> Page {
        Page {
            events: Vec::new(),
            limit,
            bytes: 0,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.events.len() < self.limit && self.bytes < PAGE_BYTES
    }

    pub(super) fn left(&self) -> usize {
        match self.has_room() {
            true => self.limit - self.events.len(),
            false => 0,
        }
    }

    pub(super) fn push(
        &mut self,
        run_id: RunId,
        seq: u64,
        at: Timestamp,
        json: &[u8],
    ) -> Result<(), Damaged> {
        let kind = kind(json)?;
        self.bytes += json.len();
        self.events.push(RunEvent {
            run_id,
            seq,
            at,
            kind,
        });
        Ok(())
    }
}
