//! The form of the file, its version, and the way from older ones.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{
    codec::EVENTS_VERSION,
    error::{Fault, OpenError},
};

/// The mark of our files, at byte 68: "Qull".
const APPLICATION_ID: u32 = 0x5175_6c6c;

/// The steps from each version to the next. A step is never changed once it was released.
const MIGRATIONS: [&str; 1] = [include_str!("schema/1.sql")];

/// The version that this program reads and writes.
pub(super) const VERSION: u32 = MIGRATIONS.len() as u32;

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("it is not a store of quell")]
    Foreign,
    #[error("its format is {0}")]
    Newer(u32),
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
    let version = match application_id(&change)? {
        APPLICATION_ID => known_version(&change)?,
        0 if is_empty(&change)? => 0,
        _ => return Err(Unfit::Foreign),
    };
    for step in MIGRATIONS.iter().skip(version as usize) {
        change.execute_batch(step)?;
    }
    if version < VERSION {
        change.pragma_update(None, "application_id", APPLICATION_ID)?;
        change.pragma_update(None, "user_version", VERSION)?;
    }
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

/// Whether this program can read a file as it is.
pub(super) fn verify(db: &Connection) -> Result<(), Unfit> {
    if application_id(db)? != APPLICATION_ID {
        return Err(Unfit::Foreign);
    }
    // An older one would have to be migrated, and that is for those who may write.
    match known_version(db)? {
        VERSION => {}
        older => return Err(Unfit::Newer(older)),
    }
    known_events(db)?;
    Ok(())
}

fn application_id(db: &Connection) -> rusqlite::Result<u32> {
    // It is a signed number to SQLite.
    let id = db.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0))?;
    Ok(id as u32)
}

fn is_empty(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| {
        row.get(0)
    })
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
