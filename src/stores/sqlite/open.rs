//! Opening: the lock, the proof that the file is ours and whole, and bringing it up to date.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::Connection;

use super::{
    connect,
    error::{Fault, OpenError},
    fill_in::fill_in,
    lock::Lock,
    options::{IntegrityCheck, Retention, SqliteOptions},
    recover::recover,
    retention, schema,
    shared::{Finish, Shared},
    writer::Writer,
};

/// Opens a file for writing, and starts the thread that writes.
pub(super) fn open(mut options: SqliteOptions) -> Result<Arc<Shared>, OpenError> {
    // One file has one lock, by whatever path it is reached.
    options.path = resolved(&options.path)?;
    let path = options.path.clone();
    let lock = Lock::take(&path)?;
    look_at_header(&path)?;
    let mut db = migrated(&options)?;
    let next = recover(&mut db).map_err(|fault| OpenError::fault(&path, fault))?;
    fill_in(&mut db).map_err(|fault| OpenError::fault(&path, fault))?;
    retain(&mut db, options.retention).map_err(|fault| OpenError::fault(&path, fault))?;

    let shared = Shared::new(&path);
    let finish = Finish(shared.clone());
    let spawned = Writer::new(options, finish, db, next, lock).and_then(|writer| {
        let thread = std::thread::Builder::new().name("quell-store".into());
        thread.spawn(move || writer.work())
    });
    spawned.map_err(|error| OpenError::io(&path, error))?;
    Ok(shared)
}

/// The one path of the file, which need not be there yet.
fn resolved(path: &Path) -> Result<PathBuf, OpenError> {
    if let Ok(found) = path.canonicalize() {
        return Ok(found);
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(OpenError::NotFound {
            path: path.to_owned(),
        });
    };
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let folder = folder.canonicalize();
    Ok(folder
        .map_err(|error| OpenError::io(path, error))?
        .join(name))
}

/// Refuses what is plainly something else before SQLite is let near it.
fn look_at_header(path: &Path) -> Result<(), OpenError> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(OpenError::io(path, error)),
    };
    let mut header = Vec::new();
    let read = file.by_ref().take(100).read_to_end(&mut header);
    read.map_err(|error| OpenError::io(path, error))?;
    let is_database = header.is_empty() || header.starts_with(MAGIC);
    let known_mark = match header.get(68..72) {
        Some(mark) => schema::may_be_ours(mark),
        None => true,
    };
    match is_database && known_mark {
        true => Ok(()),
        false => Err(OpenError::Foreign {
            path: path.to_owned(),
        }),
    }
}

/// A connection to a file of this release's form, that has been checked.
pub(super) fn migrated(options: &SqliteOptions) -> Result<Connection, OpenError> {
    let path = &options.path;
    let fault = |error: rusqlite::Error| OpenError::fault(path, error.into());
    let mut db = connect::writer(options).map_err(fault)?;
    if db.is_readonly("main").map_err(fault)? {
        return Err(OpenError::ReadOnly { path: path.clone() });
    }
    schema::owned(&db).map_err(|unfit| unfit.at(path))?;
    connect::prepare(&db, options).map_err(fault)?;
    schema::migrate(&mut db).map_err(|unfit| unfit.at(path))?;
    let check = match options.check {
        IntegrityCheck::Skip => return Ok(db),
        IntegrityCheck::Quick => "quick_check",
        IntegrityCheck::Full => "integrity_check",
    };
    let found: String = db
        .pragma_query_value(None, check, |row| row.get(0))
        .map_err(fault)?;
    if found != "ok" {
        return Err(OpenError::Corrupt {
            path: path.clone(),
            what: found,
        });
    }
    Ok(db)
}

/// Deletes all that is not kept any longer.
fn retain(db: &mut Connection, kept: Retention) -> Result<(), Fault> {
    if kept == Retention::default() {
        return Ok(());
    }
    loop {
        let change = db.transaction()?;
        let deleted = retention::delete_some(&change, kept)?;
        change.commit()?;
        if deleted.len() < retention::AT_ONCE {
            return Ok(());
        }
    }
}
