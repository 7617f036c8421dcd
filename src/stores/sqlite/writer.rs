//! The thread that writes. It takes everything that waits, checks it, stores it in one commit, and answers.

mod append;
mod change;
mod chores;
mod commit;
mod ledger;

pub(super) use self::change::delete_rows;

use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, Instant},
};

use quell_actors::{
    RunId,
    store::{AppendError, BatchId, WriteError},
};
use rusqlite::Connection;

use self::{chores::Chores, ledger::Ledger};
use super::{
    checkpoint::Checkpointer,
    connect,
    error::Fault,
    live::Live,
    lock::Lock,
    options::SqliteOptions,
    queue::{Ending, Op},
    recover::recover,
    rows::RunRow,
    shared::{Finish, Shared},
};

/// How long appends gather while many come: a commit costs as much for one as for a hundred.
const GATHER: Duration = Duration::from_millis(1);

/// How many appends in one commit are many.
const MANY: usize = 8;

pub(super) struct Writer {
    options: SqliteOptions,
    db: Connection,
    ledger: Ledger,
    checkpointer: Checkpointer,
    chores: Chores,
    /// Set when it is not known what the file holds: the batches that may be stored or not.
    doubt: Option<HashSet<BatchId>>,
    buffers: append::Buffers,
    /// How many of the next appends get a commit of their own, because one of them spoils those of others.
    one_by_one: usize,
    /// When the last commit began, and how many appends it had.
    last_commit: (Instant, usize),
    /// Released when the connections are closed.
    _lock: Lock,
    /// Dropped last: it says that all this is over.
    shared: Finish,
}

/// Why a transaction did not happen.
enum Failed {
    /// Surely not stored.
    Undone(Fault),
    /// Stored or not.
    Unclear(Fault),
}

impl Writer {
    /// A writer for a file that was brought up to date; `next` is the number of its next journal row.
    pub(super) fn new(
        options: SqliteOptions,
        shared: Finish,
        db: Connection,
        next: u64,
        lock: Lock,
    ) -> std::io::Result<Writer> {
        Ok(Writer {
            checkpointer: Checkpointer::spawn(&options)?,
            chores: Chores::new(),
            ledger: Ledger::new(next),
            options,
            shared,
            db,
            doubt: None,
            buffers: append::Buffers::default(),
            one_by_one: 0,
            last_commit: (Instant::now(), 0),
            _lock: lock,
        })
    }

    fn shared(&self) -> &Shared {
        &self.shared.0
    }

    /// Works until the queue is closed and empty.
    pub(super) fn work(mut self) {
        let mut waiting = VecDeque::new();
        loop {
            let mut ending = None;
            if waiting.is_empty() {
                let (began, appends) = self.last_commit;
                if appends >= MANY {
                    self.shared().queue.gather(append::MOST, began + GATHER);
                }
                let until = self.next_chore();
                ending = self.shared().queue.take(&mut waiting, until);
            }
            if let (Some(ending), true) = (ending, waiting.is_empty()) {
                return self.end(ending);
            }
            if !waiting.is_empty()
                && let Err(fault) = self.settle()
            {
                self.refuse(&mut waiting, &fault);
                continue;
            }
            let idle = waiting.is_empty();
            match waiting.pop_front() {
                Some(Op::Append(append)) => {
                    waiting.push_front(Op::Append(append));
                    self.commit(&mut waiting);
                }
                Some(Op::Change(change, answer)) => {
                    let answered = self.change(&change);
                    // The caller may be gone.
                    let _ = answer.send(answered);
                }
                None => {}
            }
            self.do_chores(idle);
        }
    }

    /// Finds out what the file holds, where that is in doubt: by doing what is done when it is opened.
    fn settle(&mut self) -> Result<(), Fault> {
        if self.doubt.is_none() {
            return Ok(());
        }
        let mut db = connect::writer(&self.options)?;
        connect::prepare(&db, &self.options)?;
        let next = recover(&mut db)?;
        self.db = db;
        self.ledger = Ledger::new(next);
        // Everything is in segments now, and readers find it there.
        let mut live = self.shared.0.live.lock();
        let runs: Vec<RunId> = live.runs.keys().copied().collect();
        for run in runs {
            match RunRow::find(&self.db, run)? {
                Some(row) => {
                    live.runs.insert(run, Live::folded(row));
                    live.leave(run);
                }
                None => {
                    live.runs.remove(&run);
                }
            }
        }
        drop(live);
        self.doubt = None;
        tracing::info!(path = %self.options.path.display(), "the store works again");
        Ok(())
    }

    /// Answers everything that waits while it is not known what the file holds.
    fn refuse(&mut self, waiting: &mut VecDeque<Op>, fault: &Fault) {
        let doubted = self.doubt.as_ref();
        for op in waiting.drain(..) {
            match op {
                Op::Append(append) => {
                    let doubted = doubted.is_some_and(|batches| batches.contains(&append.batch));
                    let error = match doubted {
                        true => AppendError::Unknown(fault.to_string().into()),
                        false => AppendError::Unavailable(fault.to_string().into()),
                    };
                    let _ = append.answer.send(Err(error));
                }
                Op::Change(_, answer) => {
                    // An earlier try may have been done.
                    let error = WriteError::Unknown(fault.to_string().into());
                    let _ = answer.send(Err(error));
                }
            }
        }
    }

    /// Writes, all or nothing.
    fn transact<T>(
        &mut self,
        write: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, Failed> {
        let began = Instant::now();
        self.execute("BEGIN IMMEDIATE").map_err(Failed::Undone)?;
        let written = match write(&self.db) {
            Ok(written) => written,
            Err(fault) => {
                self.roll_back(&fault);
                return Err(Failed::Undone(fault));
            }
        };
        if let Err(fault) = self.execute("COMMIT") {
            self.roll_back(&fault);
            // What reached the disk may be found there when the file is opened next, unless it is written over.
            self.doubt.get_or_insert_default();
            return Err(Failed::Unclear(fault));
        }
        self.shared().counters.committed(began.elapsed());
        Ok(written)
    }

    fn execute(&self, sql: &str) -> Result<(), Fault> {
        self.db.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    fn roll_back(&mut self, why: &Fault) {
        tracing::warn!(path = %self.options.path.display(), error = %why, "a commit failed");
        // SQLite rolls back by itself where it must.
        if !self.db.is_autocommit() && self.execute("ROLLBACK").is_err() {
            self.doubt.get_or_insert_default();
        }
    }

    fn end(mut self, ending: Ending) {
        self.shared().pool.close();
        if ending == Ending::Tidy && self.settle().is_ok() {
            self.tidy();
        }
    }
}

/// Whatever ends the thread, a panic too, nobody is left waiting.
impl Drop for Writer {
    fn drop(&mut self) {
        let why = match std::thread::panicking() {
            true => "the writer of the store panicked",
            false => super::queue::CLOSED,
        };
        self.shared().queue.abandon(why);
    }
}
