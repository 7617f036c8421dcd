//! The form of the file, its version, and the way from older ones.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{
    codec::EVENTS_VERSION,
    error::{Fault, OpenError},
    fill_in,
};

/// The mark of our files, at byte 68: "Qull".
const APPLICATION_ID: u32 = 0x5175_6c6c;

/// The steps from each version to the next. A step is never changed once it was released.
const MIGRATIONS: [&str; 2] = [include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// The version that this program reads and writes.
pub(super) const VERSION: u32 = MIGRATIONS.len() as u32;

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("it is not a store of quell")]
    Foreign,
    #[error("its format is {0}")]
    Newer(u32),
    #[error("its format is {0}")]
    Older(u32),
    #[error("its events are of version {0}")]
    NewerEvents(u32),
    #[error("{0}")]
    Fault(#[from] Fault),
}

impl Unfit {
    pub(super) fn at(self, path: &Path) -> OpenError {
        let known = (VERSION, EVENTS_VERSION);
        let at = path.to_owned();
        match self {
            Unfit::Foreign => OpenError::Foreign { path: at },
            Unfit::Newer(found) => OpenError::Newer {
                path: at,
                found,
                known: known.0,
            },
            Unfit::Older(found) => OpenError::Older {
                path: at,
                found,
                known: known.0,
            },
            Unfit::NewerEvents(found) => OpenError::NewerEvents {
                path: at,
                found,
                known: known.1,
            },
            Unfit::Fault(fault) => OpenError::fault(path, fault),
        }
    }
}

impl From<rusqlite::Error> for Unfit {
    fn from(error: rusqlite::Error) -> Unfit {
        Unfit::Fault(error.into())
    }
}

/// Whether a file whose header has this mark may be ours: it is, or nobody has marked it.
pub(super) fn may_be_ours(mark: &[u8]) -> bool {
    mark == APPLICATION_ID.to_be_bytes() || mark == [0; 4]
}

/// Brings a file that may be written to up to date, or makes it. All or nothing.
pub(super) fn migrate(db: &mut Connection) -> Result<(), Unfit> {
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = owned(&change)?;
    step_up(&change, version, &MIGRATIONS)?;
    // A program before this one must not read what this one is going to write.
    if known_events(&change)? < EVENTS_VERSION {
        change.execute(
            "INSERT INTO meta (key, value) VALUES ('events_version', ?1) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [EVENTS_VERSION],
        )?;
    }
    change.commit()?;
    Ok(())
}

/// Takes a file from `version` through those of `steps` that come after it.
fn step_up(db: &Connection, version: u32, steps: &[&str]) -> rusqlite::Result<()> {
    let due = steps.iter().zip(1u32..).filter(|(_, to)| *to > version);
    for (step, to) in due {
        db.execute_batch(step)?;
        db.pragma_update(None, "application_id", APPLICATION_ID)?;
        db.pragma_update(None, "user_version", to)?;
    }
    Ok(())
}

/// The version of a file that is ours to write to: 0 for one that is empty.
pub(super) fn owned(db: &Connection) -> Result<u32, Unfit> {
    match application_id(db)? {
        APPLICATION_ID => known_version(db),
        0 if is_empty(db)? => Ok(0),
        _ => Err(Unfit::Foreign),
    }
}

/// Whether this program can read a file as it is.
pub(super) fn verify(db: &Connection) -> Result<(), Unfit> {
    match owned(db)? {
        // An upgrade from an older version was interrupted.
        VERSION if fill_in::is_due(db)? => Err(Unfit::Older(VERSION - 1)),
        VERSION => known_events(db).map(|_| ()),
        older => Err(Unfit::Older(older)),
    }
}

fn application_id(db: &Connection) -> rusqlite::Result<u32> {
    // It is a signed number to SQLite.
    let id = db.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0))?;
    Ok(id as u32)
}

/// Whether nothing was ever put into a file. One with pages and no tables is what is left of something.
fn is_empty(db: &Connection) -> rusqlite::Result<bool> {
    let tables = "SELECT count(*) = 0 FROM sqlite_schema";
    let no_tables: bool = db.query_row(tables, [], |row| row.get(0))?;
    let pages: i64 = db.pragma_query_value(None, "page_count", |row| row.get(0))?;
    Ok(no_tables && pages <= 1)
}

fn known_version(db: &Connection) -> Result<u32, Unfit> {
    let version = db.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0))?;
    match u32::try_from(version) {
        Ok(version) if version <= VERSION => Ok(version),
        _ => Err(Unfit::Newer(version as u32)),
    }
}

fn known_events(db: &Connection) -> Result<u32, Unfit> {
    let version: Option<i64> = db.query_row(
        "SELECT max(value) FROM meta WHERE key = 'events_version'",
        [],
        |row| row.get(0),
    )?;
    match u32::try_from(version.unwrap_or(0)) {
        Ok(version) if version <= EVENTS_VERSION => Ok(version),
        Ok(version) => Err(Unfit::NewerEvents(version)),
        Err(_) => Err(Unfit::NewerEvents(u32::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_takes_every_step_that_it_has_not_taken_and_no_other() {
        let steps = [
            "CREATE TABLE notes (text); INSERT INTO notes VALUES ('from version 1')",
            "ALTER TABLE notes ADD COLUMN length; UPDATE notes SET length = length(text)",
            "DELETE FROM notes WHERE length = 0; INSERT INTO notes VALUES ('from version 3', 14)",
        ];
        for from in 0..=3u32 {
            let db = Connection::open_in_memory().unwrap();
            step_up(&db, 0, &steps[..from as usize]).unwrap();
            step_up(&db, from, &steps).unwrap();
            step_up(&db, 3, &steps).unwrap();
            let mut read = db.prepare("SELECT text, length FROM notes").unwrap();
            let notes = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
            let notes: Vec<(String, i64)> = notes.unwrap().map(Result::unwrap).collect();
            let all = [
                ("from version 1".to_owned(), 14),
                ("from version 3".to_owned(), 14),
            ];
            assert_eq!(notes, all);
            let version: u32 = db
                .pragma_query_value(None, "user_version", |row| row.get(0))
                .unwrap();
            assert_eq!(version, 3);
        }
    }
}
