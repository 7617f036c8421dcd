//! Bringing the write-ahead log into the file, off the commit path: a checkpoint waits for the disk.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use rusqlite::Connection;

use super::{connect, options::SqliteOptions};

/// How large the log is when a checkpoint begins, and how much it grows until the next one.
const EVERY: u64 = 8 << 20;

/// How large the log is when the writer itself makes a checkpoint. The log begins anew only when all of it is in the
/// file at a moment when nobody writes, and under load the thread never finds such a moment.
const TOO_LARGE: u64 = 64 << 20;

#[derive(Debug)]
pub(super) struct Checkpointer {
    ask: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    busy: Arc<AtomicBool>,
    /// How large the log was when a checkpoint was asked for, and when the writer made one, since it began anew.
    asked_at: u64,
    made_at: u64,
}

impl Checkpointer {
    pub(super) fn spawn(options: &SqliteOptions) -> std::io::Result<Checkpointer> {
        let (ask, asked) = sync_channel::<()>(1);
        let busy = Arc::new(AtomicBool::new(false));
        let (options, is_busy) = (options.clone(), busy.clone());
        let work = move || {
            let mut db = None;
            while asked.recv().is_ok() {
                is_busy.store(true, Ordering::SeqCst);
                if db.is_none() {
                    db = connect::checkpointer(&options).ok();
                }
                if let Some(Err(error)) = db.as_ref().map(checkpoint) {
                    tracing::warn!(path = %options.path.display(), %error, "a checkpoint failed");
                }
                is_busy.store(false, Ordering::SeqCst);
            }
        };
        let thread = std::thread::Builder::new().name("quell-checkpoint".into());
        Ok(Checkpointer {
            ask: Some(ask),
            thread: Some(thread.spawn(work)?),
            busy,
            asked_at: 0,
            made_at: 0,
        })
    }

    /// Has a checkpoint made when it is time. Answers the size of the log.
    pub(super) fn look_after(&mut self, db: &Connection, path: &Path) -> u64 {
        let size = fs::metadata(log_of(path)).map_or(0, |file| file.len());
        if size < self.asked_at {
            (self.asked_at, self.made_at) = (0, 0);
        }
        let busy = self.busy.load(Ordering::SeqCst);
        if size >= self.made_at + TOO_LARGE && !busy {
            // A reader may keep it from being of use, so the next is not made before the log grew as much again.
            self.made_at = size;
            if let Err(error) = checkpoint(db) {
                tracing::warn!(path = %path.display(), %error, "a checkpoint failed");
            }
        } else if size >= self.asked_at + EVERY && !busy {
            self.asked_at = size;
            // One that was asked for already is as good.
            let _ = self.ask.as_ref().map(|ask| ask.try_send(()));
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
