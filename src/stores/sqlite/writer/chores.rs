//! What the writer does beside storing appends: folding stragglers, cutting the journal, retention, checkpoints.

use std::time::{Duration, Instant};

use quell_actors::RunId;

use super::{
    super::{error::Fault, live::Live, options::Retention, retention},
    Failed, Writer, commit,
};

/// How many rows are cut from the journal at once, when there is something else to do.
const CUT_AT_ONCE: usize = 64;

/// How many runs, and how many bytes, of stragglers are folded in one commit.
const STRAGGLERS: usize = 64;
const STRAGGLER_BYTES: usize = 1 << 20;

/// How often it is looked for runs that are not kept any longer, in time and in ended runs.
const RETENTION_EVERY: Duration = Duration::from_secs(60);
const RETENTION_ENDED: u64 = 256;

/// How long chores rest after one that failed.
const REST: Duration = Duration::from_secs(1);

/// How long the writer sleeps at most, when there is something to fold or to cut.
const NAP: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Chores {
    /// After one that failed, none is tried before this.
    rests_until: Option<Instant>,
    retention: Instant,
    /// How many runs have ended since retention was applied.
    pub(super) ended: u64,
    /// There may be more to delete.
    retention_goes_on: bool,
}

impl Chores {
    pub(super) fn new() -> Chores {
        Chores {
            rests_until: None,
            retention: Instant::now(),
            ended: 0,
            retention_goes_on: false,
        }
    }
}

impl Writer {
    /// When the writer is to wake up, though nothing came.
    pub(super) fn next_chore(&self) -> Instant {
        let now = Instant::now();
        let nap = match self.ledger.cut_before(1) {
            Some(_) => Duration::from_millis(100),
            None => NAP,
        };
        let idle = self.ledger.rows() <= 1 && self.ledger.needed_since().is_none();
        let retention = self.chores.retention + RETENTION_EVERY;
        match (idle, self.chores.retention_goes_on) {
            (_, true) => now,
            (true, false) => retention.max(now),
            (false, false) => retention.min(now + nap),
        }
    }

    /// A bounded piece of whatever there is to do.
    pub(super) fn do_chores(&mut self) {
        let now = Instant::now();
        if self.doubt.is_some() || self.chores.rests_until.is_some_and(|until| now < until) {
            return;
        }
        let idle = self.shared().queue.len() == 0;
        let done = self
            .fold_stragglers()
            .and_then(|()| self.cut_journal(if idle { 1 } else { CUT_AT_ONCE }))
            .and_then(|()| self.retain(now));
        self.chores.rests_until = done.is_err().then(|| now + REST);
        self.shared()
            .counters
            .journal(self.ledger.rows(), self.ledger.bytes());
        let log = self.checkpointer.look_after(&self.db, &self.options.path);
        self.shared().counters.log(log);
    }

    fn fold_stragglers(&mut self) -> Result<(), Failed> {
        let large = self.ledger.bytes() > self.options.journal_bytes;
        if large || self.ledger.is_older_than(self.options.journal_age) {
            self.fold_some()?;
        }
        Ok(())
    }

    /// Folds those that have been in the journal for longest. `false`: there was none.
    fn fold_some(&mut self) -> Result<bool, Failed> {
        let mut bytes = 0;
        let some: Vec<(RunId, Live)> = {
            let live = self.shared.0.live.lock();
            let stragglers = self.ledger.stragglers().take(STRAGGLERS);
            stragglers
                .filter_map(|run| Some((run, live.runs.get(&run)?.clone())))
                .take_while(|(_, live)| {
                    let fits = bytes < STRAGGLER_BYTES;
                    bytes += live.tail_bytes;
                    fits
                })
                .collect()
        };
        if some.is_empty() {
            return Ok(false);
        }
        self.transact(|db| {
            for (_, live) in &some {
                let mut row = live.row.clone();
                row.folded = commit::fold(db, live, None)?;
                row.update(db)?;
            }
            Ok(())
        })?;
        let mut live = self.shared.0.live.lock();
        for (run, _) in some {
            if let Some(known) = live.runs.get_mut(&run) {
                self.ledger.folded(known.fold(), run);
                // A run that was so quiet may be so for long.
                live.leave(run);
            }
        }
        live.let_go();
        Ok(true)
    }

    fn cut_journal(&mut self, least: usize) -> Result<(), Failed> {
        let Some(row) = self.ledger.cut_before(least) else {
            return Ok(());
        };
        self.transact(|db| {
            db.prepare_cached("DELETE FROM journal WHERE id < ?")?
                .execute([row as i64])?;
            Ok(())
        })?;
        self.ledger.cut(row);
        Ok(())
    }

    fn retain(&mut self, now: Instant) -> Result<(), Failed> {
        let due = now.saturating_duration_since(self.chores.retention) >= RETENTION_EVERY
            || self.chores.ended >= RETENTION_ENDED;
        if !due && !self.chores.retention_goes_on {
            return Ok(());
        }
        self.chores.retention = now;
        self.chores.ended = 0;
        let retention = self.options.retention;
        if retention != Retention::default() {
            let deleted = self.transact(|db| retention::delete_some(db, retention))?;
            self.chores.retention_goes_on = deleted.len() >= retention::AT_ONCE;
            self.forget(&deleted);
        }
        Ok(())
    }

    /// Leaves one file in which everything is in its place.
    pub(super) fn tidy(&mut self) {
        let folded = loop {
            match self.fold_some() {
                Ok(true) => {}
                Ok(false) => break self.cut_journal(1),
                Err(failed) => break Err(failed),
            }
        };
        // Nothing is lost when it fails: it is done when the file is opened next.
        if let Err(Failed::Undone(fault) | Failed::Unclear(fault)) = folded {
            tracing::warn!(path = %self.options.path.display(), error = %fault, "the journal was not folded");
        }
        self.checkpointer.stop();
        let truncated: Result<i64, Fault> = self
            .db
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(Fault::from);
        if let Err(error) = truncated {
            tracing::warn!(path = %self.options.path.display(), %error, "the log was not brought into the file");
        }
    }
}
