//! Stores that outlive the process.
//!
//! [`SqliteStore`] keeps runs in one file. What it promises, and how its file lives, is described in `docs/store.md`.

mod sqlite;

pub use sqlite::{
    BackupError, IntegrityCheck, OpenError, Retention, SqliteOptions, SqliteStore, StoreStats,
    Synchronous,
};
