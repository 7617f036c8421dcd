//! Changes that are no appends: what is put to sessions, and deletions.

use std::sync::Arc;

use quell_actors::{
    RunId,
    error::Cause,
    id::Timestamp,
    store::{SessionHead, SessionPatch, WriteError},
};
use rusqlite::Connection;

use super::{
    super::{
        error::Fault,
        journal::LARGEST,
        queue::Change,
        rows::{RunRow, run_id},
        sessions,
    },
    Failed, Writer,
};

impl Writer {
    /// Makes a change. Returns whether there was something to change.
    pub(super) fn change(&mut self, change: &Change) -> Result<bool, WriteError> {
        let changed = match change {
            Change::PutSession { id, patch, at } => {
                if at.as_millis() > LARGEST {
                    return Err(WriteError::Unavailable("the time is too large".into()));
                }
                self.transact(|db| put_session(db, id, patch, *at))
                    .map(|()| (true, Vec::new()))
            }
            Change::DeleteRun(run) => self
                .transact(|db| delete_run(db, *run))
                .map(|deleted| (deleted, vec![*run])),
            Change::DeleteSession(id) => self.transact(|db| delete_session(db, id)),
            #[cfg(test)]
            Change::Panic => panic!("as the test asked"),
        };
        match changed {
            Ok((changed, runs)) => {
                self.forget(&runs);
                Ok(changed)
            }
            Err(Failed::Undone(fault)) => Err(WriteError::Unavailable(Cause::new(fault))),
            Err(Failed::Unclear(fault)) => Err(WriteError::Unknown(Cause::new(fault))),
        }
    }

    /// Takes deleted runs out of memory. What the journal holds of them is nobody's: replay knows only runs with a row.
    pub(super) fn forget(&mut self, runs: &[RunId]) {
        let mut live = self.shared.0.live.lock();
        for run in runs {
            if let Some(gone) = live.runs.remove(run) {
                self.ledger.folded(gone.oldest, *run);
            }
        }
    }
}

fn put_session(
    db: &Connection,
    id: &Arc<str>,
    patch: &SessionPatch,
    at: Timestamp,
) -> Result<(), Fault> {
    let found = sessions::find(db, id)?;
    let mut head = found.unwrap_or_else(|| SessionHead::new(id.clone(), at));
    head.put(patch.clone());
    sessions::write(db, &head)
}

fn delete_run(db: &Connection, run: RunId) -> Result<bool, Fault> {
    let Some(row) = RunRow::find(db, run)? else {
        return Ok(false);
    };
    delete_rows(db, run)?;
    if let Some(session) = &row.head.session_id {
        sessions::forget_run(db, session)?;
    }
    Ok(true)
}

fn delete_session(db: &Connection, id: &str) -> Result<(bool, Vec<RunId>), Fault> {
    let mut find = db.prepare_cached("SELECT id FROM runs WHERE session = ?")?;
    let runs = find.query_and_then([id], run_id)?;
    let runs: Vec<RunId> = runs.collect::<Result<_, Fault>>()?;
    for run in &runs {
        delete_rows(db, *run)?;
    }
    let deleted = sessions::delete(db, id)? || !runs.is_empty();
    Ok((deleted, runs))
}

/// Deletes a run and its events.
pub(in super::super) fn delete_rows(db: &Connection, run: RunId) -> Result<(), Fault> {
    for sql in [
        "DELETE FROM segments WHERE run = ?",
        "DELETE FROM runs WHERE id = ?",
    ] {
        db.prepare_cached(sql)?.execute([run.as_bytes()])?;
    }
    Ok(())
}
