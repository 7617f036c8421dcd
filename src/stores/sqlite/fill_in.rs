//! Filling in what the rows of an older file do not say of runs and sessions, from the events: once, before the file is
//! written to. It goes through all runs in the order in which they were created, in slices that are all or nothing, so that
//! a crash costs the slice that was under way.

use std::sync::Arc;

use quell_actors::{EventKind, RunEvent, event::Started, store::RunHead};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{
    error::Fault,
    rows::{RUN_COLUMNS, RunRow},
    segment::{self, Page},
    sessions,
};

/// How many runs one slice has.
const SLICE: usize = 256;

/// How far it has got: the creation and the id of the last run that is done.
struct Mark {
    at: i64,
    run: Vec<u8>,
}

/// Fills in all that is due. The journal must have been folded.
pub(super) fn fill_in(db: &mut Connection) -> Result<(), Fault> {
    let mut runs = 0;
    while let Some(mark) = due(db)? {
        let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        runs += slice(&change, &mark, SLICE)?;
        change.commit()?;
    }
    if runs > 0 {
        tracing::info!(runs, "what older rows did not say was filled in");
    }
    Ok(())
}

/// Whether there is anything to fill in.
pub(super) fn is_due(db: &Connection) -> Result<bool, Fault> {
    due(db).map(|mark| mark.is_some())
}

fn due(db: &Connection) -> Result<Option<Mark>, Fault> {
    let mut find = db.prepare(
        "SELECT at.value, run.value FROM meta AS at JOIN meta AS run \
         WHERE at.key = 'filled_in_at' AND run.key = 'filled_in_run'",
    )?;
    let mark = find.query_row([], |row| {
        Ok(Mark {
            at: row.get(0)?,
            run: row.get(1)?,
        })
    });
    Ok(mark.optional()?)
}

/// Fills in the next runs, at most `most`. Returns how many.
fn slice(db: &Connection, mark: &Mark, most: usize) -> Result<usize, Fault> {
    let mut find = db.prepare_cached(&format!(
        "SELECT {RUN_COLUMNS} FROM runs INDEXED BY runs_by_age WHERE (created_at, id) > (?, ?) \
         ORDER BY created_at, id LIMIT ?"
    ))?;
    let found = find.query_map(params![mark.at, mark.run, most as i64], |row| {
        let mark = Mark {
            at: row.get("created_at")?,
            run: row.get("id")?,
        };
        Ok((mark, RunRow::read(row)))
    })?;
    let found: Vec<_> = found.collect::<rusqlite::Result<_>>()?;
    for (_, row) in &found {
        // A row that is damaged stays as it is, for its readers.
        if let Ok(row) = row
            && let Err(fault) = fill(db, row.clone())
        {
            match fault {
                Fault::Damaged(what) => {
                    tracing::warn!(run_id = %row.head.run_id, %what, "a row was not filled in");
                }
                Fault::Sql(error) => return Err(error.into()),
            }
        }
    }
    match found.last() {
        Some((mark, _)) if found.len() == most => {
            let mut note = db.prepare_cached("UPDATE meta SET value = ? WHERE key = ?")?;
            note.execute(params![mark.at, "filled_in_at"])?;
            note.execute(params![mark.run, "filled_in_run"])?;
        }
        Some(_) | None => {
            db.execute(
                "DELETE FROM meta WHERE key IN ('filled_in_at', 'filled_in_run')",
                [],
            )?;
        }
    }
    Ok(found.len())
}

/// Fills in one run, and what it says of its session.
fn fill(db: &Connection, mut row: RunRow) -> Result<(), Fault> {
    let created_at = row.head.created_at;
    let mut said = vec![first(db, &row)?];
    if let EventKind::Started(started) = &said[0].kind {
        let RunHead {
            user_id, parent, ..
        } = RunHead::new(row.head.run_id, started, created_at);
        (row.head.user_id, row.head.parent) = (user_id, parent);
    }
    if row.head.status.is_ended()
        && let Some(ending) = event(db, &row, row.head.last)?
    {
        row.head.apply(&ending);
        said.push(ending);
    }
    row.replace(db)?;
    match &row.head.session_id {
        Some(session) => sessions::apply(db, session, created_at, &said),
        None => Ok(()),
    }
}

/// A run's first event. Where it cannot be read, what the row says of it.
fn first(db: &Connection, row: &RunRow) -> Result<RunEvent, Fault> {
    let read = event(db, row, 1)?.filter(|event| matches!(event.kind, EventKind::Started(_)));
    Ok(read.unwrap_or_else(|| {
        let mut started = Started::new(row.head.agent.clone(), Vec::new());
        started.session_id = row.head.session_id.clone();
        RunEvent {
            run_id: row.head.run_id,
            seq: 1,
            at: row.head.created_at,
            kind: EventKind::Started(Arc::new(started)),
        }
    }))
}

/// The event at this position, unless it is damaged.
fn event(db: &Connection, row: &RunRow, seq: u64) -> Result<Option<RunEvent>, Fault> {
    let mut page = Page::new(1);
    match segment::read(db, row.head.run_id, seq - 1, row.folded, &mut page) {
        Ok(()) => Ok(page.events.pop()),
        Err(Fault::Damaged(what)) => {
            tracing::warn!(run_id = %row.head.run_id, seq, %what, "an event could not be read");
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
#[path = "fill_in_tests.rs"]
mod tests;
