//! Bringing the write-ahead log into the file, off the commit path: a checkpoint waits for the disk.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use rusqlite::Connection;

use super::{connect, options::SqliteOptions};

/// How much the log grows between two checkpoints.
const EVERY: u64 = 8 << 20;

/// How large the log is when the writer helps. The log begins anew only when all of it is in the file at a moment when
/// nobody writes, and under load the thread never finds such a moment.
const LARGE: u64 = 64 << 20;

/// How much the writer brings into the file itself, at most; the thread does the rest before.
const LITTLE: u64 = 4 << 20;

/// How large the log is when the writer does what there is to do, however much it is.
const TOO_LARGE: u64 = 4 * LARGE;

#[derive(Debug)]
pub(super) struct Checkpointer {
    ask: Option<SyncSender<u64>>,
    thread: Option<JoinHandle<()>>,
    progress: Arc<Progress>,
    /// How large the log was when a checkpoint was asked for, and when the writer helped, since it began anew.
    asked_at: u64,
    helped_at: u64,
}

/// What the thread is at.
#[derive(Debug, Default)]
struct Progress {
    busy: AtomicBool,
    /// How large the log was when the last checkpoint began: so much of it is in the file, unless a reader held it.
    done_to: AtomicU64,
}

impl Checkpointer {
    pub(super) fn spawn(options: &SqliteOptions) -> std::io::Result<Checkpointer> {
        let (ask, asked) = sync_channel::<u64>(1);
        let progress = Arc::new(Progress::default());
        let (options, at) = (options.clone(), progress.clone());
        let work = move || {
            let mut db = None;
            while let Ok(size) = asked.recv() {
                if db.is_none() {
                    db = connect::checkpointer(&options).ok();
                }
                if let Some(Err(error)) = db.as_ref().map(checkpoint) {
                    tracing::warn!(path = %options.path.display(), %error, "a checkpoint failed");
                }
                at.done_to.store(size, Ordering::SeqCst);
                at.busy.store(false, Ordering::SeqCst);
            }
        };
        let thread = std::thread::Builder::new().name("quell-checkpoint".into());
        Ok(Checkpointer {
            ask: Some(ask),
            thread: Some(thread.spawn(work)?),
            progress,
            asked_at: 0,
            helped_at: 0,
        })
    }

    /// Makes a checkpoint when it is time. Returns the size of the log.
    pub(super) fn look_after(&mut self, db: &Connection, path: &Path) -> u64 {
        let size = fs::metadata(log_of(path)).map_or(0, |file| file.len());
        if size < self.asked_at {
            (self.asked_at, self.helped_at) = (0, 0);
            self.progress.done_to.store(0, Ordering::SeqCst);
        }
        if self.progress.busy.load(Ordering::SeqCst) {
            return size;
        }
        let left = size.saturating_sub(self.progress.done_to.load(Ordering::SeqCst));
        // A reader may keep it from being of use, so the next time is when the log has grown as much again.
        let large = size >= self.helped_at + LARGE;
        if large && (left <= LITTLE || size >= self.helped_at + TOO_LARGE) {
            self.helped_at = size;
            if let Err(error) = checkpoint(db) {
                tracing::warn!(path = %path.display(), %error, "a checkpoint failed");
            }
        } else if large || size >= self.asked_at + EVERY {
            self.asked_at = size;
            self.progress.busy.store(true, Ordering::SeqCst);
            let asked = self.ask.as_ref().map(|ask| ask.try_send(size));
            if !matches!(asked, Some(Ok(()))) {
                self.progress.busy.store(false, Ordering::SeqCst);
            }
        }
        size
    }

    /// Ends the thread.
    pub(super) fn stop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has ended too.
            let _ = thread.join();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Brings into the file what no reader is in want of. It waits for nobody.
fn checkpoint(db: &Connection) -> rusqlite::Result<()> {
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    PathBuf::from(log)
}
