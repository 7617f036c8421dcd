//! Connections, each set up for what it does.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::options::{SqliteOptions, Synchronous};

/// How long a connection waits for another program that looks at the file with tools of its own.
const PATIENCE: Duration = Duration::from_secs(5);

/// How large the write-ahead log may stay once everything in it is in the file.
const LOG_KEPT: i64 = 1 << 20;

/// The writer's connection, which changes nothing yet: the file may not be ours.
pub(super) fn writer(options: &SqliteOptions) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(&options.path, flags)?;
    set_up(&db)?;
    Ok(db)
}

/// Has a file that is ours be written to as it should be. Checkpoints are not this connection's business.
pub(super) fn prepare(db: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    db.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match options.synchronous {
        Synchronous::Normal => "NORMAL",
        Synchronous::Full => "FULL",
    };
    db.pragma_update(None, "synchronous", synchronous)?;
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    db.pragma_update(None, "journal_size_limit", LOG_KEPT)?;
    db.pragma_update(None, "cache_size", -16 * 1024)?;
    // Closing must be quick; the next opening finds what is in the log.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    if let Some(bytes) = options.max_bytes {
        let page: i64 = db.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = (bytes / page.unsigned_abs().max(1)).clamp(1, u64::from(u32::MAX - 1));
        db.pragma_update(None, "max_page_count", pages as i64)?;
    }
    Ok(())
}

/// The connection that brings the write-ahead log into the file.
pub(super) fn checkpointer(options: &SqliteOptions) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(&options.path, flags)?;
    set_up(&db)?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(db)
}

/// A connection that never writes.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    set_up(&db)?;
    Ok(db)
}

fn set_up(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(PATIENCE)?;
    db.set_prepared_statement_cache_capacity(64);
    // The file may be anybody's until it is proved to be ours, and may be damaged after that.
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "cell_size_check", true)?;
    Ok(())
}
