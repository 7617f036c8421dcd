//! The rows of sessions.

use std::sync::Arc;

use quell_actors::{
    RunEvent, RunId,
    id::Timestamp,
    store::{SessionData, SessionHead},
    usage::Usage,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::{
    codec::{Damaged, checksum, checksum_with},
    error::Fault,
    rows::{parsed, text},
};

/// The columns of a session, as [`read`] expects them.
pub(super) const SESSION_COLUMNS: &str = "id, name, created_at, updated_at, checksum, \
     title, agent, user, state, metadata, usage, runs, last_at, last_run";

/// The columns that are words, as they stand in the row: what was written counts, and not how it would be written today.
#[derive(Default)]
struct Words {
    state: Option<String>,
    metadata: Option<String>,
    usage: Option<String>,
}

pub(super) fn read(row: &Row<'_>) -> Result<SessionHead, Fault> {
    let number = |column| row.get::<_, i64>(column).map(|n| n as u64);
    let id: Arc<str> = row.get(0)?;
    let mut head = SessionHead::new(id, Timestamp::from_millis(number(2)?));
    head.name = row.get(1)?;
    head.updated_at = Timestamp::from_millis(number(3)?);
    head.title = row.get(5)?;
    head.agent = row.get(6)?;
    head.user_id = row.get(7)?;
    let words = Words {
        state: row.get(8)?,
        metadata: row.get(9)?,
        usage: row.get(10)?,
    };
    head.state = parsed::<SessionData>(words.state.as_deref())?;
    head.metadata = parsed::<SessionData>(words.metadata.as_deref())?;
    head.usage = parsed::<Usage>(words.usage.as_deref())?.unwrap_or_default();
    head.runs = number(11)?;
    let at: Option<i64> = row.get(12)?;
    let run: Option<[u8; 16]> = row.get(13)?;
    head.last_run = at.zip(run).map(|(at, run)| {
        let at = Timestamp::from_millis(at as u64);
        (at, RunId::from(Uuid::from_bytes(run)))
    });
    if session_checksum(&head, &words) != number(4)? {
        return Err(Damaged("a session does not match its checksum").into());
    }
    Ok(head)
}

pub(super) fn find(db: &Connection, id: &str) -> Result<Option<SessionHead>, Fault> {
    let mut find = db.prepare_cached(&format!(
        "SELECT {SESSION_COLUMNS} FROM sessions WHERE id = ?"
    ))?;
    let row = find.query_row([id], |row| Ok(read(row)));
    row.optional()?.transpose()
}

/// Writes a session over whatever there is of it.
pub(super) fn write(db: &Connection, head: &SessionHead) -> Result<(), Fault> {
    let mut put = db.prepare_cached(&format!(
        "INSERT INTO sessions ({SESSION_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, updated_at = excluded.updated_at, \
         checksum = excluded.checksum, title = excluded.title, agent = excluded.agent, user = excluded.user, \
         state = excluded.state, metadata = excluded.metadata, usage = excluded.usage, runs = excluded.runs, \
         last_at = excluded.last_at, last_run = excluded.last_run"
    ))?;
    let words = Words {
        state: head.state.as_ref().map(text).transpose()?,
        metadata: head.metadata.as_ref().map(text).transpose()?,
        usage: (head.usage != Usage::default())
            .then(|| text(&head.usage))
            .transpose()?,
    };
    put.execute(params![
        head.session_id,
        head.name,
        head.created_at.as_millis() as i64,
        head.updated_at.as_millis() as i64,
        session_checksum(head, &words) as i64,
        head.title,
        head.agent,
        head.user_id,
        words.state,
        words.metadata,
        words.usage,
        head.runs as i64,
        head.last_run.map(|(at, _)| at.as_millis() as i64),
        head.last_run.as_ref().map(|(_, run)| run.as_bytes()),
    ])?;
    Ok(())
}

/// Records what `events` of one of its runs say of session `id`, which is made where there is none: then it was created
/// when the run was.
pub(super) fn apply(
    db: &Connection,
    id: &Arc<str>,
    created_at: Timestamp,
    events: &[RunEvent],
) -> Result<(), Fault> {
    let found = find(db, id)?;
    let mut head = found.unwrap_or_else(|| SessionHead::new(id.clone(), created_at));
    for event in events {
        head.apply(event);
    }
    write(db, &head)
}

/// Records that a run of session `id` was deleted. The session goes with its last run, unless something was put to it.
pub(super) fn forget_run(db: &Connection, id: &str) -> Result<(), Fault> {
    let Some(mut head) = find(db, id)? else {
        return Ok(());
    };
    head.forget_run();
    match head.is_bare() {
        true => delete(db, id).map(|_| ()),
        false => write(db, &head),
    }
}

/// Deletes the row of a session. `false`: there was none.
pub(super) fn delete(db: &Connection, id: &str) -> Result<bool, Fault> {
    let mut delete = db.prepare_cached("DELETE FROM sessions WHERE id = ?")?;
    Ok(delete.execute([id])? > 0)
}

fn session_checksum(head: &SessionHead, words: &Words) -> u64 {
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
    // The columns of schema 2. A row of schema 1 has none of them, and its checksum stands.
    let runs = (head.runs > 0).then(|| head.runs.to_le_bytes());
    let at = head.last_run.map(|(at, _)| at.as_millis().to_le_bytes());
    let more = [
        head.title.as_deref().map(str::as_bytes),
        head.agent.as_deref().map(str::as_bytes),
        head.user_id.as_deref().map(str::as_bytes),
        words.state.as_deref().map(str::as_bytes),
        words.metadata.as_deref().map(str::as_bytes),
        words.usage.as_deref().map(str::as_bytes),
        runs.as_ref().map(<[u8; 8]>::as_slice),
        at.as_ref().map(<[u8; 8]>::as_slice),
        head.last_run.as_ref().map(|(_, run)| &run.as_bytes()[..]),
    ];
    checksum_with(checksum(2, &bytes), &more)
}
