//! Runs in one SQLite file. See `docs/store.md` for how the file lives.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod backup;
mod checkpoint;
mod codec;
mod connect;
mod error;
mod fill_in;
mod journal;
mod list;
mod live;
mod lock;
mod observe;
mod open;
mod options;
mod pool;
mod queue;
mod read;
mod recover;
mod retention;
mod rows;
mod schema;
mod segment;
mod sessions;
mod shared;
mod stats;
mod status;
mod store;
mod writer;

use std::{path::Path, sync::Arc, time::Duration};

pub use self::{
    error::{BackupError, OpenError},
    options::{IntegrityCheck, Retention, SqliteOptions, Synchronous},
    stats::StoreStats,
};
use self::{observe::Observer, pool::Pool, queue::Ending, shared::Shared};

/// How long the last handle to go waits for what was accepted to be stored.
const PATIENCE: Duration = Duration::from_secs(5);

/// A store in one SQLite file.
///
/// Clones are handles to the same store: give one to the runtime, and keep one for [`backup`](SqliteStore::backup),
/// [`stats`](SqliteStore::stats) and [`close`](SqliteStore::close). When the last handle goes, everything that was
/// accepted is stored, and the lock is released; that takes a commit, and no longer than 5 s.
///
/// ```
/// use quell::{Runtime, stores::SqliteStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("quell-doc-{}", quell::RunId::new()));
/// # std::fs::create_dir(&folder)?;
/// # let path = folder.join("runs.db");
/// let store = SqliteStore::open(&path)?;
/// let (runtime, _recovered) = Runtime::builder().open(store.clone()).await?;
/// # drop(runtime);
/// store.close().await;
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SqliteStore {
    mode: Mode,
}

#[derive(Clone, Debug)]
enum Mode {
    Writing(Arc<Handle>),
    Looking(Arc<Observer>, Arc<Pool>),
}

/// What all handles of a store that writes share. The writer thread has a share of its own in what is inside.
#[derive(Debug)]
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.queue.close(Ending::Soon);
        self.0.wait_finished(PATIENCE);
    }
}

impl SqliteStore {
    /// Opens the store at `path`, or makes it where there is none, with default settings. See [`SqliteOptions::open`].
    ///
    /// # Errors
    ///
    /// [`OpenError`]. Nothing stored is harmed.
    pub fn open(path: impl AsRef<Path>) -> Result<SqliteStore, OpenError> {
        SqliteStore::options(path).open()
    }

    /// Settings for the store at `path`.
    pub fn options(path: impl AsRef<Path>) -> SqliteOptions {
        SqliteOptions::new(path.as_ref())
    }

    fn open_with(options: SqliteOptions) -> Result<SqliteStore, OpenError> {
        let shared = open::open(options)?;
        Ok(SqliteStore {
            mode: Mode::Writing(Arc::new(Handle(shared))),
        })
    }

    /// Opens the store at `path` to look at it, also while another process writes to it. It takes no lock, brings
    /// nothing up to date and changes nothing; whatever would, is answered `Unavailable`.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; that of a file which an older release wrote is [`Older`](OpenError::Older).
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<SqliteStore, OpenError> {
        let path = path.as_ref();
        let observer = Observer::open(path)?;
        Ok(SqliteStore {
            mode: Mode::Looking(Arc::new(observer), Pool::new(path)),
        })
    }

    fn pool(&self) -> &Arc<Pool> {
        match &self.mode {
            Mode::Writing(handle) => &handle.0.pool,
            Mode::Looking(_, pool) => pool,
        }
    }

    /// Copies the store to `path`, as it is at one moment: with everything that was answered before the call. It goes
    /// on meanwhile. The copy is a store like any other.
    ///
    /// # Errors
    ///
    /// [`BackupError`], also when there is something at `path` already.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves it open whether there is a copy, and whether it is whole.
    pub async fn backup(&self, path: impl AsRef<Path>) -> Result<(), BackupError> {
        let pool = self.pool();
        let to = path.as_ref().to_owned();
        let copied = pool.run({
            let (from, to) = (pool.path().to_owned(), to.clone());
            move || backup::copy(&from, &to)
        });
        copied.await.unwrap_or_else(|error| {
            Err(BackupError::Failed {
                path: to,
                what: error.to_string(),
            })
        })
    }

    /// Numbers of the running store. All zero for one that only looks.
    pub fn stats(&self) -> StoreStats {
        match &self.mode {
            Mode::Writing(handle) => {
                let shared = &handle.0;
                StoreStats {
                    live_runs: shared.live.lock().runs.len() as u64,
                    waiting: shared.queue.len() as u64,
                    ..shared.counters.read()
                }
            }
            Mode::Looking(..) => StoreStats::default(),
        }
    }

    /// Closes the store for all handles: stores everything that was accepted, brings everything into the one file, and
    /// releases the lock. Every later request fails with an error that says it is closed. Closing it twice
    /// does no harm.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves the store closing.
    pub async fn close(&self) {
        match &self.mode {
            Mode::Writing(handle) => {
                handle.0.queue.close(Ending::Tidy);
                handle.0.finished().await;
            }
            Mode::Looking(_, pool) => pool.close(),
        }
    }
}
