//! The rows of runs and sessions.

use std::sync::Arc;

use quell_actors::{
    RunId,
    id::Timestamp,
    store::{BatchId, RunHead, SessionHead},
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::{
    codec::{Damaged, checksum},
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
pub(super) const RUN_COLUMNS: &str = "id, agent, session, status, epoch, last, folded, born, batch, created_at, updated_at, checksum";

impl RunRow {
    pub(super) fn read(row: &Row<'_>) -> Result<RunRow, Fault> {
        let number = |column| row.get::<_, i64>(column).map(|n| n as u64);
        let run = RunRow {
            head: RunHead {
                run_id: run_id(row)?,
                agent: row.get(1)?,
                session_id: row.get(2)?,
                status: status::status(number(3)?)?,
                epoch: number(4)?,
                last: number(5)?,
                created_at: Timestamp::from_millis(number(9)?),
                updated_at: Timestamp::from_millis(number(10)?),
            },
            folded: number(6)?,
            born: number(7)?,
            batch: BatchId(u128::from_be_bytes(row.get(8)?)),
        };
        if run.checksum() != number(11)? {
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

    pub(super) fn insert(&self, db: &Connection) -> Result<(), Fault> {
        let mut insert = db.prepare_cached(&format!(
            "INSERT INTO runs ({RUN_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        ))?;
        let head = &self.head;
        insert.execute(params![
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
            self.checksum() as i64,
        ])?;
        Ok(())
    }

    /// Writes what changes in the life of a run.
    pub(super) fn update(&self, db: &Connection) -> Result<(), Fault> {
        let mut update = db.prepare_cached(
            "UPDATE runs SET status = ?2, epoch = ?3, last = ?4, folded = ?5, batch = ?6, updated_at = ?7, checksum = ?8 \
             WHERE id = ?1",
        )?;
        let head = &self.head;
        let updated = update.execute(params![
            head.run_id.as_bytes(),
            status::number(head.status),
            head.epoch as i64,
            head.last as i64,
            self.folded as i64,
            self.batch.0.to_be_bytes(),
            head.updated_at.as_millis() as i64,
            self.checksum() as i64,
        ])?;
        match updated {
            1 => Ok(()),
            _ => Err(Damaged("the row of a live run is gone").into()),
        }
    }

    fn checksum(&self) -> u64 {
        let RunHead {
            run_id,
            agent,
            session_id,
            status,
            last,
            epoch,
            created_at,
            updated_at,
        } = &self.head;
        let session = session_id.as_deref();
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(run_id.as_bytes());
        bytes.extend_from_slice(&self.batch.0.to_be_bytes());
        for number in [
            u64::from(status::number(*status)),
            *last,
            *epoch,
            created_at.as_millis(),
            updated_at.as_millis(),
            self.folded,
            self.born,
            agent.len() as u64,
            u64::from(session.is_some()),
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(agent.as_bytes());
        bytes.extend_from_slice(session.unwrap_or_default().as_bytes());
        checksum(1, &bytes)
    }
}

/// The id in the first column.
pub(super) fn run_id(row: &Row<'_>) -> Result<RunId, Fault> {
    Ok(RunId::from(Uuid::from_bytes(row.get(0)?)))
}

/// The columns of a session, as [`session_head`] expects them.
pub(super) const SESSION_COLUMNS: &str = "id, name, created_at, updated_at, checksum, \
     (SELECT count(*) FROM runs WHERE runs.session = sessions.id)";

pub(super) fn session_head(row: &Row<'_>) -> Result<SessionHead, Fault> {
    let number = |column| row.get::<_, i64>(column).map(|n| n as u64);
    let head = SessionHead {
        session_id: row.get(0)?,
        name: row.get(1)?,
        created_at: Timestamp::from_millis(number(2)?),
        updated_at: Timestamp::from_millis(number(3)?),
        runs: number(5)?,
    };
    if session_checksum(&head) != number(4)? {
        return Err(Damaged("a session does not match its checksum").into());
    }
    Ok(head)
}

pub(super) fn find_session(db: &Connection, id: &str) -> Result<Option<SessionHead>, Fault> {
    let mut find = db.prepare_cached(&format!(
        "SELECT {SESSION_COLUMNS} FROM sessions WHERE id = ?"
    ))?;
    let row = find.query_row([id], |row| Ok(session_head(row)));
    row.optional()?.transpose()
}

/// Writes a session over whatever there is of it.
pub(super) fn put_session(db: &Connection, head: &SessionHead) -> Result<(), Fault> {
    let mut put = db.prepare_cached(
        "INSERT INTO sessions (id, name, created_at, updated_at, checksum) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, updated_at = excluded.updated_at, checksum = excluded.checksum",
    )?;
    put.execute(params![
        head.session_id,
        head.name,
        head.created_at.as_millis() as i64,
        head.updated_at.as_millis() as i64,
        session_checksum(head) as i64,
    ])?;
    Ok(())
}

/// Notes that a run of session `id` began, or changed its status. Makes the session where there is none.
pub(super) fn touch_session(db: &Connection, id: &Arc<str>, at: Timestamp) -> Result<(), Fault> {
    let mut find = db.prepare_cached(
        "SELECT id, name, created_at, updated_at, checksum, 0 FROM sessions WHERE id = ?",
    )?;
    let found = find
        .query_row([id], |row| Ok(session_head(row)))
        .optional()?
        .transpose()?;
    let head = match found {
        Some(found) if found.updated_at >= at => return Ok(()),
        Some(found) => SessionHead {
            updated_at: at,
            ..found
        },
        None => SessionHead {
            session_id: id.clone(),
            name: None,
            created_at: at,
            updated_at: at,
            runs: 0,
        },
    };
    put_session(db, &head)
}

/// Deletes the session of this id where it has neither a run nor a name.
pub(super) fn drop_bare_session(db: &Connection, id: &str) -> Result<(), Fault> {
    let mut drop = db.prepare_cached(
        "DELETE FROM sessions WHERE id = ?1 AND name IS NULL \
         AND NOT EXISTS (SELECT 1 FROM runs WHERE session = ?1)",
    )?;
    drop.execute([id])?;
    Ok(())
}

fn session_checksum(head: &SessionHead) -> u64 {
    let name = head.name.as_deref();
    let mut bytes = Vec::with_capacity(96);
    for number in [
        head.created_at.as_millis(),
        head.updated_at.as_millis(),
        head.session_id.len() as u64,
        u64::from(name.is_some()),
    ] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(head.session_id.as_bytes());
    bytes.extend_from_slice(name.unwrap_or_default().as_bytes());
    checksum(2, &bytes)
}
