//! A store that only looks, at a file that another process may be writing to.
//!
//! The other's memory is out of reach, so what it has not folded yet is read from the journal, as far as that has not
//! been read before.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use quell_actors::{
    RunEvent, RunId,
    store::{ReadError, RunHead, RunQuery},
};
use rusqlite::Connection;

use super::{
    codec::StretchReader,
    connect,
    error::{Fault, OpenError},
    journal::Replay,
    list,
    rows::RunRow,
    schema::{self, Unfit},
    segment::{self, Page},
};

#[derive(Debug, Default)]
pub(super) struct Observer {
    journal: Mutex<Replay>,
}

impl Observer {
    /// Checks that the file can be read.
    pub(super) fn open(path: &Path) -> Result<Observer, OpenError> {
        std::fs::metadata(path).map_err(|error| OpenError::io(path, error))?;
        let db = connect::reader(path).map_err(Unfit::from);
        db.and_then(|db| schema::verify(&db))
            .map_err(|unfit| unfit.at(path))?;
        Ok(Observer::default())
    }

    /// Looks at the file and at its journal, as they are at one moment.
    fn look<T>(
        &self,
        db: &Connection,
        look: impl FnOnce(&Connection, &Replay) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let snapshot = db.unchecked_transaction()?;
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let first: Option<i64> =
            snapshot.query_row("SELECT min(id) FROM journal", [], |row| row.get(0))?;
        journal.forget_before(first.unwrap_or(i64::MAX) as u64);
        journal.follow(&snapshot)?;
        look(&snapshot, &journal)
    }

    pub(super) fn head(&self, db: &Connection, run: RunId) -> Result<Option<RunHead>, Fault> {
        self.look(db, |db, journal| {
            let row = RunRow::find(db, run)?;
            row.map(|row| current(journal, row)).transpose()
        })
    }

    pub(super) fn runs(&self, db: &Connection, query: &RunQuery) -> Result<Vec<RunHead>, Fault> {
        self.look(db, |db, journal| {
            list::runs(db, query, |row| current(journal, row))
        })
    }

    pub(super) fn read(
        &self,
        db: &Connection,
        run: RunId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RunEvent>, ReadError> {
        let page = self.look(db, |db, journal| {
            let Some(mut row) = RunRow::find(db, run)? else {
                return Ok(None);
            };
            let mut page = Page::new(limit);
            let tail = journal.apply(&mut row)?;
            segment::read(db, run, after, row.folded, &mut page)?;
            for piece in tail {
                for (seq, event) in (piece.first..).zip(StretchReader::new(&piece.stretch)) {
                    let (at, json) = event?;
                    if seq > after && page.has_room() {
                        page.push(run, seq, at, json)?;
                    }
                }
            }
            Ok(Some(page.events))
        })?;
        let first = after.saturating_add(1);
        page.ok_or(ReadError::Expired { first })
    }
}

fn current(journal: &Replay, mut row: RunRow) -> Result<RunHead, Fault> {
    journal.apply(&mut row)?;
    Ok(row.head)
}
