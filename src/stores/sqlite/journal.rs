//! The journal: one row for each commit, with what all runs appended in it.

use std::collections::HashMap;

use quell_actors::{
    RunId, RunStatus,
    id::Timestamp,
    store::{BatchId, Expected},
};
use rusqlite::Connection;
use uuid::Uuid;

use super::{
    codec::{Cursor, Damaged, SEAL, StretchReader, put_varint, seal, unseal},
    error::Fault,
    rows::RunRow,
    status,
};

/// What one append left in a journal row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) run: RunId,
    pub(super) batch: BatchId,
    /// The run's epoch from then on.
    pub(super) epoch: u64,
    pub(super) first: u64,
    pub(super) last: u64,
    /// The run's status from then on, where an event changed it.
    pub(super) status: Option<RunStatus>,
    /// The events, as a [`StretchReader`] reads them.
    pub(super) stretch: &'a [u8],
}

impl Entry<'_> {
    /// Appends the entry to a row.
    pub(super) fn put(&self, row: &mut Vec<u8>) {
        row.extend_from_slice(self.run.as_bytes());
        row.extend_from_slice(&self.batch.0.to_be_bytes());
        put_varint(row, self.epoch);
        put_varint(row, self.first);
        put_varint(row, self.last - self.first);
        let status = self
            .status
            .map_or(0, |status| u64::from(status::number(status)) + 1);
        put_varint(row, status);
        put_varint(row, self.stretch.len() as u64);
        row.extend_from_slice(self.stretch);
    }
}

/// An empty row, with the place of its seal.
pub(super) fn begin_row(row: &mut Vec<u8>) {
    row.clear();
    row.resize(SEAL, 0);
}

/// Seals row number `id`.
pub(super) fn seal_row(id: u64, row: &mut [u8]) {
    seal(id, row);
}

/// The entries of row number `id`.
pub(super) fn entries(
    id: u64,
    row: &[u8],
) -> Result<impl Iterator<Item = Result<Entry<'_>, Damaged>>, Damaged> {
    let mut cursor = Cursor(unseal(id, row)?);
    Ok(std::iter::from_fn(move || {
        (!cursor.0.is_empty()).then(|| {
            let entry = entry(&mut cursor);
            if entry.is_err() {
                cursor = Cursor(&[]);
            }
            entry
        })
    }))
}

fn entry<'a>(cursor: &mut Cursor<'a>) -> Result<Entry<'a>, Damaged> {
    let run = RunId::from(Uuid::from_bytes(cursor.array()?));
    let batch = BatchId(u128::from_be_bytes(cursor.array()?));
    let epoch = cursor.varint()?;
    let first = cursor.varint()?;
    let more = cursor.varint()?;
    let status = match cursor.varint()? {
        0 => None,
        number => Some(status::status(number - 1)?),
    };
    let length = cursor.varint()?;
    Ok(Entry {
        run,
        batch,
        epoch,
        first,
        last: first
            .checked_add(more)
            .ok_or(Damaged("a position is too large"))?,
        status,
        stretch: cursor.take(length)?,
    })
}

/// What the journal holds, by run: what is not in segments yet, and some that is.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pieces: HashMap<RunId, Vec<Piece>>,
    /// The last row that was read; 0 when none was.
    pub(super) through: u64,
}

/// What one append stored.
#[derive(Debug)]
pub(super) struct Piece {
    row: u64,
    batch: BatchId,
    epoch: u64,
    pub(super) first: u64,
    last: u64,
    status: Option<RunStatus>,
    pub(super) stretch: Box<[u8]>,
}

impl Replay {
    /// Reads the rows that were written since the last time.
    pub(super) fn follow(&mut self, db: &Connection) -> Result<(), Fault> {
        let mut rows =
            db.prepare_cached("SELECT id, payload FROM journal WHERE id > ? ORDER BY id")?;
        let mut rows = rows.query([self.through as i64])?;
        while let Some(row) = rows.next()? {
            let id = row.get::<_, i64>(0)? as u64;
            let payload = row.get_ref(1)?;
            let payload = payload
                .as_blob()
                .map_err(|_| Damaged("a journal row is no blob"))?;
            for entry in entries(id, payload)? {
                let entry = entry?;
                self.pieces.entry(entry.run).or_default().push(Piece {
                    row: id,
                    batch: entry.batch,
                    epoch: entry.epoch,
                    first: entry.first,
                    last: entry.last,
                    status: entry.status,
                    stretch: entry.stretch.into(),
                });
            }
            self.through = id;
        }
        Ok(())
    }

    /// Forgets what stood in rows before number `first`: those are gone, so it is in segments.
    pub(super) fn forget_before(&mut self, first: u64) {
        self.pieces.retain(|_, pieces| {
            pieces.retain(|piece| piece.row >= first);
            !pieces.is_empty()
        });
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = RunId> + '_ {
        self.pieces.keys().copied()
    }

    /// Brings a row up to date. Returns what of the run is not in segments.
    ///
    /// What was written before the run's life began is of a run of the same id that was deleted.
    pub(super) fn apply(&self, row: &mut RunRow) -> Result<Vec<&Piece>, Damaged> {
        let mut last = row.folded;
        let mut tail = Vec::new();
        let pieces = self.pieces.get(&row.head.run_id);
        for piece in pieces.into_iter().flatten() {
            if piece.row < row.born || piece.last <= row.folded {
                continue;
            }
            if piece.first != last + 1 {
                return Err(Damaged("a run has a gap"));
            }
            last = piece.last;
            row.head.last = last;
            row.head.epoch = piece.epoch;
            row.batch = piece.batch;
            row.head.status = piece.status.unwrap_or(row.head.status);
            row.head.updated_at = piece.at()?;
            tail.push(piece);
        }
        if last != row.head.last {
            return Err(Damaged("the last events of a run are missing"));
        }
        Ok(tail)
    }
}

impl Piece {
    /// The time of the last event.
    fn at(&self) -> Result<Timestamp, Damaged> {
        let mut at = Err(Damaged("an append is empty"));
        let mut count = 0;
        for event in StretchReader::new(&self.stretch) {
            at = Ok(event?.0);
            count += 1;
        }
        if Some(count) != (self.last - self.first).checked_add(1) {
            return Err(Damaged("an append has another number of events"));
        }
        at
    }
}

/// The largest position, epoch and time: SQLite has no larger integers.
pub(super) const LARGEST: u64 = i64::MAX as u64;

/// Whether the numbers of an append have a place in the file.
pub(super) fn fits(expected: Expected, last: u64) -> bool {
    expected.epoch < LARGEST && expected.last < LARGEST && last < LARGEST
}
