//! Which ended runs are kept, and deleting the others.

use std::time::SystemTime;

use quell_actors::{RunId, id::Timestamp};
use rusqlite::Connection;

use super::{
    error::Fault, journal::LARGEST, options::Retention, rows::run_id, sessions, writer::delete_rows,
};

/// How many runs are deleted in one commit, at most twice.
pub(super) const AT_ONCE: usize = 64;

/// Deletes some of the ended runs that are not kept any longer, and returns which. [`AT_ONCE`] or more: there may be
/// others.
pub(super) fn delete_some(db: &Connection, retention: Retention) -> Result<Vec<RunId>, Fault> {
    let mut deleted = Vec::new();
    if let Some(age) = retention.max_age {
        let oldest = SystemTime::now().checked_sub(age);
        let oldest = oldest.map_or(Timestamp::default(), Timestamp::from);
        let oldest = oldest.as_millis().min(LARGEST);
        delete_ended(db, oldest, AT_ONCE as u64, &mut deleted)?;
    }
    if let Some(most) = retention.max_ended_runs {
        let mut count =
            db.prepare_cached("SELECT count(*) FROM runs INDEXED BY runs_ended WHERE status >= 4")?;
        let ended = count.query_row([], |row| row.get::<_, i64>(0))?;
        let beyond = ended.unsigned_abs().saturating_sub(most);
        delete_ended(db, LARGEST, beyond.min(AT_ONCE as u64), &mut deleted)?;
    }
    Ok(deleted)
}

/// Deletes runs that ended before `before`, at most `most`, those that ended first.
fn delete_ended(
    db: &Connection,
    before: u64,
    most: u64,
    deleted: &mut Vec<RunId>,
) -> Result<(), Fault> {
    let mut find = db.prepare_cached(
        "SELECT id, session FROM runs INDEXED BY runs_ended WHERE status >= 4 AND updated_at < ?1 \
         ORDER BY updated_at, id LIMIT ?2",
    )?;
    let found = find.query_and_then([before as i64, most as i64], |row| {
        Ok((run_id(row)?, row.get(1)?))
    })?;
    let found: Vec<(RunId, Option<String>)> = found.collect::<Result<_, Fault>>()?;
    for (run, session) in found {
        delete_rows(db, run)?;
        if let Some(session) = session {
            sessions::forget_run(db, &session)?;
        }
        deleted.push(run);
    }
    Ok(())
}
