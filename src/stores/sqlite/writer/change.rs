//! Changes that are no appends: names, and deletions.

use quell_actors::{
    RunId,
    id::Timestamp,
    store::{SessionHead, WriteError},
};
use rusqlite::Connection;

use super::{
    super::{
        error::Fault,
        queue::Change,
        rows::{RunRow, drop_bare_session, find_session, put_session, run_id},
    },
    Failed, Writer,
};

impl Writer {
    /// Makes a change. Answers whether there was something to change.
    pub(super) fn change(&mut self, change: &Change) -> Result<bool, WriteError> {
        let changed = match change {
            Change::NameSession { id, name, at } => {
                if at.as_millis() > super::super::journal::LARGEST {
                    return Err(WriteError::Unavailable("the time is too large".into()));
                }
                self.transact(|db| name_session(db, id, name.as_ref(), *at))
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
            Err(Failed::Undone(fault)) => Err(WriteError::Unavailable(fault.to_string().into())),
            Err(Failed::Unclear(fault)) => Err(WriteError::Unknown(fault.to_string().into())),
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

fn name_session(
    db: &Connection,
    id: &std::sync::Arc<str>,
    name: Option<&std::sync::Arc<str>>,
    at: Timestamp,
) -> Result<(), Fault> {
    let found = find_session(db, id)?;
    let head = found.unwrap_or_else(|| SessionHead {
        session_id: id.clone(),
        name: None,
        created_at: at,
        updated_at: at,
        runs: 0,
    });
    let name = name.cloned();
    put_session(db, &SessionHead { name, ..head })
}

fn delete_run(db: &Connection, run: RunId) -> Result<bool, Fault> {
    let Some(row) = RunRow::find(db, run)? else {
        return Ok(false);
    };
    delete_rows(db, run)?;
    if let Some(session) = &row.head.session_id {
        drop_bare_session(db, session)?;
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
    let mut delete = db.prepare_cached("DELETE FROM sessions WHERE id = ?")?;
    let deleted = delete.execute([id])? > 0 || !runs.is_empty();
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
