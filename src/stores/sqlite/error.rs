//! What can go wrong, said so that a program can act on it.

use std::{
    io,
    path::{Path, PathBuf},
};

use quell_actors::{error::Cause, store::ReadError};
use rusqlite::ErrorCode;

use super::codec::Damaged;

/// Why a store could not be opened. Nothing that is stored was harmed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another store of this one, has it open for writing.
    #[error("{} is in use{}", path.display(), by.map(|by| format!(" by process {by}")).unwrap_or_default())]
    InUse {
        /// The file.
        path: PathBuf,
        /// The process that has it open, where it is known.
        by: Option<u32>,
    },
    /// There is no such file, or no such folder to make it in.
    #[error("{} is not there", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a store of Quell's.
    #[error("{} is not a store of quell", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer release, in a form that this one does not know.
    #[error("{} was made by a newer release: its format is {found}, and the newest known here is {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        found: u32,
        /// The newest version that this release knows.
        known: u32,
    },
    /// The file was written by an older release, and only one that may write can bring it up to date.
    #[error("{} was made by an older release, and has to be opened for writing once: its format is {found}, and the one known here is {known}", path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        found: u32,
        /// The version that this release knows.
        known: u32,
    },
    /// The file holds events that a newer release wrote, of kinds that this one may not know.
    #[error("{} holds events of a newer release: version {found}, and the newest known here is {known}", path.display())]
    NewerEvents {
        /// The file.
        path: PathBuf,
        /// The version of its events.
        found: u32,
        /// The newest version that this release knows.
        known: u32,
    },
    /// The file is damaged.
    #[error("{} is damaged: {what}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The file, or its folder, cannot be written to.
    #[error("{} cannot be written to", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// There is no room to bring the file up to date.
    #[error("there is no room to bring {} up to date", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be reached.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// SQLite failed in another way.
    #[error("{}: {what}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// How it failed.
        what: String,
    },
}

impl OpenError {
    pub(super) fn io(path: &Path, source: io::Error) -> OpenError {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => OpenError::NotFound { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                OpenError::ReadOnly { path }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::Full { path },
            _ => OpenError::Io { path, source },
        }
    }

    pub(super) fn fault(path: &Path, fault: Fault) -> OpenError {
        let path = path.to_owned();
        let what = fault.to_string();
        match fault.code() {
            None | Some(ErrorCode::DatabaseCorrupt) => OpenError::Corrupt { path, what },
            Some(ErrorCode::NotADatabase) => OpenError::Foreign { path },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => OpenError::ReadOnly { path },
            Some(ErrorCode::DiskFull) => OpenError::Full { path },
            Some(_) => OpenError::Failed { path, what },
        }
    }
}

/// Why there is no backup. The store continues, whatever it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is something at the path already. A backup replaces nothing.
    #[error("{} is there already", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// The copy could not be made.
    #[error("the backup to {} failed: {what}", path.display())]
    Failed {
        /// The path.
        path: PathBuf,
        /// How it failed.
        what: String,
    },
}

/// What goes wrong inside.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Sql(#[from] rusqlite::Error),
    #[error("{0}")]
    Damaged(#[from] Damaged),
}

impl Fault {
    /// SQLite's word for it; `None` when the bytes that it gave are not ours.
    fn code(&self) -> Option<ErrorCode> {
        match self {
            Fault::Damaged(_) => None,
            Fault::Sql(rusqlite::Error::SqliteFailure(error, _)) => Some(error.code),
            // A column of another type, or text that is not UTF-8.
            Fault::Sql(
                rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::Utf8Error(..),
            ) => None,
            Fault::Sql(_) => Some(ErrorCode::Unknown),
        }
    }
}

impl Fault {
    /// Whether it may be the fault of one of those who write together, and not of the disk.
    pub(super) fn is_of_one(&self) -> bool {
        match self.code() {
            None => true,
            Some(code) => matches!(
                code,
                ErrorCode::DatabaseCorrupt
                    | ErrorCode::ConstraintViolation
                    | ErrorCode::TooBig
                    | ErrorCode::OutOfMemory
                    | ErrorCode::Unknown
            ),
        }
    }
}

impl From<Fault> for ReadError {
    fn from(fault: Fault) -> ReadError {
        ReadError::Failed(Cause::new(fault))
    }
}
