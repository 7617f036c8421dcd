//! The rows of runs.

use std::sync::Arc;

use quell_actors::{
    RunId,
    cancel::Activity,
    event::Started,
    id::Timestamp,
    store::{BatchId, RunHead},
    usage::Usage,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{
    codec::{Damaged, checksum, checksum_with},
    error::Fault,
    status,
};

/// What a row says of a run. While a run is live its row is what it was when it was folded last; what happened since
/// stands in the journal, and in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunRow {
    pub(super) head: RunHead,
    /// The position up to which its events are in segments.
    pub(super) folded: u64,
    /// The journal row of its first append, or the next one when that append went into a segment at once. What the
    /// journal holds from before is of an earlier run of this id, which was deleted.
    pub(super) born: u64,
    /// Its last append.
    pub(super) batch: BatchId,
}

/// The columns of a run, as [`RunRow::read`] expects them.
pub(super) const RUN_COLUMNS: &str = "id, agent, session, status, epoch, last, folded, born, batch, created_at, updated_at, checksum, \
     user, parent, usage, cut";

/// The columns that are words, as they stand in the row: what was written counts, and not how it would be written today.
#[derive(Default)]
struct Words {
    usage: Option<String>,
    cut: Option<String>,
}

impl RunRow {
    pub(super) fn read(row: &Row<'_>) -> Result<RunRow, Fault> {
        let number = |column| row.get::<_, i64>(column).map(|n| n as u64);
        let parent: Option<[u8; 16]> = row.get(13)?;
        let agent: Arc<str> = row.get(1)?;
        let mut started = Started::new(agent, Vec::new());
        started.session_id = row.get(2)?;
        started.user_id = row.get(12)?;
        started.parent = parent.map(|id| RunId::from(Uuid::from_bytes(id)));
        let created_at = Timestamp::from_millis(number(9)?);
        let mut head = RunHead::new(run_id(row)?, &started, created_at);
        head.status = status::status(number(3)?)?;
        head.epoch = number(4)?;
        head.last = number(5)?;
        head.updated_at = Timestamp::from_millis(number(10)?);
        let words = Words {
            usage: row.get(14)?,
            cut: row.get(15)?,
        };
        head.usage = parsed::<Usage>(words.usage.as_deref())?;
        head.cut = parsed::<Activity>(words.cut.as_deref())?;
        let run = RunRow {
            head,
            folded: number(6)?,
            born: number(7)?,
            batch: BatchId(u128::from_be_bytes(row.get(8)?)),
        };
        if run.checksum(&words) != number(11)? {
            return Err(Damaged("a run does not match its checksum").into());
        }
        Ok(run)
    }

    pub(super) fn find(db: &Connection, id: RunId) -> Result<Option<RunRow>, Fault> {
        let mut find =
            db.prepare_cached(&format!("SELECT {RUN_COLUMNS} FROM runs WHERE id = ?"))?;
        let row = find.query_row([id.as_bytes()], |row| Ok(RunRow::read(row)));
        row.optional()?.transpose()
    }

    /// Writes the row of a run that is not there yet.
    pub(super) fn insert(&self, db: &Connection) -> Result<(), Fault> {
        self.write(db, "INSERT")
    }

    /// Writes all of the row, over what is there.
    pub(super) fn replace(&self, db: &Connection) -> Result<(), Fault> {
        self.write(db, "REPLACE")
    }

    fn write(&self, db: &Connection, verb: &str) -> Result<(), Fault> {
        let mut write = db.prepare_cached(&format!(
            "{verb} INTO runs ({RUN_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        ))?;
        let (head, words) = (&self.head, self.words()?);
        write.execute(params![
            head.run_id.as_bytes(),
            head.agent,
            head.session_id,
            status::number(head.status),
            head.epoch as i64,
            head.last as i64,
            self.folded as i64,
            self.born as i64,
            self.batch.0.to_be_bytes(),
            head.created_at.as_millis() as i64,
            head.updated_at.as_millis() as i64,
            self.checksum(&words) as i64,
            head.user_id,
            head.parent.as_ref().map(RunId::as_bytes),
            words.usage,
            words.cut,
        ])?;
        Ok(())
    }

    /// Writes what changes in the life of a run.
    pub(super) fn update(&self, db: &Connection) -> Result<(), Fault> {
        let mut update = db.prepare_cached(
            "UPDATE runs SET status = ?2, epoch = ?3, last = ?4, folded = ?5, batch = ?6, updated_at = ?7, checksum = ?8, \
             usage = ?9, cut = ?10 WHERE id = ?1",
        )?;
        let (head, words) = (&self.head, self.words()?);
        let updated = update.execute(params![
            head.run_id.as_bytes(),
            status::number(head.status),
            head.epoch as i64,
            head.last as i64,
            self.folded as i64,
            self.batch.0.to_be_bytes(),
            head.updated_at.as_millis() as i64,
            self.checksum(&words) as i64,
            words.usage,
            words.cut,
        ])?;
        match updated {
            1 => Ok(()),
            _ => Err(Damaged("the row of a live run is gone").into()),
        }
    }

    fn words(&self) -> Result<Words, Damaged> {
        Ok(Words {
            usage: self.head.usage.as_ref().map(text).transpose()?,
            cut: self.head.cut.as_ref().map(text).transpose()?,
        })
    }

    fn checksum(&self, words: &Words) -> u64 {
        let head = &self.head;
        let session = head.session_id.as_deref();
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(head.run_id.as_bytes());
        bytes.extend_from_slice(&self.batch.0.to_be_bytes());
        for number in [
            u64::from(status::number(head.status)),
            head.last,
            head.epoch,
            head.created_at.as_millis(),
            head.updated_at.as_millis(),
            self.folded,
            self.born,
            head.agent.len() as u64,
            u64::from(session.is_some()),
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(head.agent.as_bytes());
        bytes.extend_from_slice(session.unwrap_or_default().as_bytes());
        // The columns of schema 2. A row of schema 1 has none of them, and its checksum stands.
        let more = [
            head.user_id.as_deref().map(str::as_bytes),
            head.parent.as_ref().map(|parent| &parent.as_bytes()[..]),
            words.usage.as_deref().map(str::as_bytes),
            words.cut.as_deref().map(str::as_bytes),
        ];
        checksum_with(checksum(1, &bytes), &more)
    }
}

/// The id in the first column.
pub(super) fn run_id(row: &Row<'_>) -> Result<RunId, Fault> {
    Ok(RunId::from(Uuid::from_bytes(row.get(0)?)))
}

/// What a column says in JSON.
pub(super) fn parsed<T: DeserializeOwned>(text: Option<&str>) -> Result<Option<T>, Damaged> {
    let parsed = text.map(serde_json::from_str).transpose();
    parsed.map_err(|_| Damaged("a column is not of the form that it has"))
}

/// The JSON of what goes into a column.
pub(super) fn text<T: serde::Serialize>(value: &T) -> Result<String, Damaged> {
    serde_json::to_string(value).map_err(|_| Damaged("a column has no form in JSON"))
}
