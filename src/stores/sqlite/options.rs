//! How a store is opened.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{OpenError, SqliteStore};

/// What an answered append survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// The end of the process, however it comes. A power cut, or a crash of the system, may take the last moments with
    /// it, of all runs alike: what is left is as it was at one moment before.
    #[default]
    Normal,
    /// A power cut as well. Each commit waits for the disk.
    Full,
}

/// How much of a file is looked at before it is used.
///
/// Every blob and every row has a checksum that is compared whenever it is read, whatever is chosen here. What only a
/// check finds is damage to the tree that SQLite keeps them in: a run that is not listed, a page that belongs to two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IntegrityCheck {
    /// Nothing.
    Skip,
    /// The structure of every page. It reads the whole file.
    #[default]
    Quick,
    /// And that every index says the same as its table.
    Full,
}

/// Which ended runs are kept. Unfinished and paused runs are kept always; a session goes with its last run, unless it
/// has a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// How long after its end a run is kept. Default: for ever.
    pub max_age: Option<Duration>,
    /// How many ended runs are kept, those that ended last. Default: all.
    pub max_ended_runs: Option<u64>,
}

/// How a store is opened: see [`SqliteStore::options`].
#[derive(Clone, Debug)]
#[must_use]
pub struct SqliteOptions {
    pub(super) path: PathBuf,
    pub(super) synchronous: Synchronous,
    pub(super) check: IntegrityCheck,
    pub(super) retention: Retention,
    pub(super) max_bytes: Option<u64>,
    pub(super) journal_bytes: u64,
    pub(super) journal_age: Duration,
}

impl SqliteOptions {
    pub(super) fn new(path: &Path) -> SqliteOptions {
        SqliteOptions {
            path: path.to_owned(),
            synchronous: Synchronous::default(),
            check: IntegrityCheck::default(),
            retention: Retention::default(),
            max_bytes: None,
            journal_bytes: 64 << 20,
            journal_age: Duration::from_secs(60),
        }
    }

    /// What an answered append survives. Default: [`Synchronous::Normal`].
    pub fn synchronous(mut self, synchronous: Synchronous) -> SqliteOptions {
        self.synchronous = synchronous;
        self
    }

    /// How much of the file is looked at before it is used. Default: [`IntegrityCheck::Quick`].
    pub fn integrity_check(mut self, check: IntegrityCheck) -> SqliteOptions {
        self.check = check;
        self
    }

    /// Which ended runs are kept. Default: all.
    pub fn retention(mut self, retention: Retention) -> SqliteOptions {
        self.retention = retention;
        self
    }

    /// How large the file may grow, in bytes. Appends beyond it are answered
    /// [`Unavailable`](quell_actors::store::AppendError::Unavailable) until there is room again. A file that is larger
    /// already does not grow. Default: as large as the disk.
    pub fn max_bytes(mut self, bytes: u64) -> SqliteOptions {
        self.max_bytes = Some(bytes);
        self
    }

    /// How much is written to the journal before runs that said little are folded out of it, in bytes. Default: 64 MiB.
    ///
    /// It bounds what has to be replayed when the file is opened after a crash.
    pub fn journal_bytes(mut self, bytes: u64) -> SqliteOptions {
        self.journal_bytes = bytes;
        self
    }

    /// How long an event may stay in the journal. Default: 60 s.
    pub fn journal_age(mut self, age: Duration) -> SqliteOptions {
        self.journal_age = age;
        self
    }

    /// Opens the store, or makes it where there is none. The folder must be there.
    ///
    /// It reads and writes on the calling thread: bring the file up to date, which takes longer after a crash, and check
    /// it.
    ///
    /// # Errors
    ///
    /// [`OpenError`]. Nothing stored is harmed.
    pub fn open(self) -> Result<SqliteStore, OpenError> {
        SqliteStore::open_with(self)
    }
}
