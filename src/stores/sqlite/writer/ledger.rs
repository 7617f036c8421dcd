//! What the journal holds, and what of it is still needed.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use quell_actors::RunId;

#[derive(Debug)]
pub(super) struct Ledger {
    next: u64,
    /// The rows, by number, with their bytes and when they were written.
    rows: VecDeque<(u64, usize, Instant)>,
    bytes: u64,
    /// Runs that have events in the journal which are not in segments, by the row in which those begin.
    unfolded: BTreeSet<(u64, RunId)>,
}

impl Ledger {
    /// The ledger of a journal of which everything is in segments.
    pub(super) fn new(next: u64) -> Ledger {
        Ledger {
            next,
            rows: VecDeque::new(),
            bytes: 0,
            unfolded: BTreeSet::new(),
        }
    }

    /// The number of the next row.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn wrote(&mut self, id: u64, bytes: usize) {
        self.next = id + 1;
        self.bytes += bytes as u64;
        self.rows.push_back((id, bytes, Instant::now()));
    }

    pub(super) fn unfolded(&mut self, row: Option<u64>, run: RunId) {
        self.unfolded.extend(row.map(|row| (row, run)));
    }

    pub(super) fn folded(&mut self, oldest: Option<u64>, run: RunId) {
        if let Some(row) = oldest {
            self.unfolded.remove(&(row, run));
        }
    }

    /// The runs that keep the journal from being cut, those that have done so for longest first.
    pub(super) fn stragglers(&self) -> impl Iterator<Item = RunId> + '_ {
        self.unfolded.iter().map(|(_, run)| *run)
    }

    /// When the oldest row that is still needed was written.
    pub(super) fn needed_since(&self) -> Option<Instant> {
        let (row, _) = self.unfolded.first()?;
        let index = self.rows.partition_point(|(id, ..)| id < row);
        self.rows.get(index).map(|(.., at)| *at)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Rows before this one are not needed any more. The newest is kept, for its number.
    fn needed_from(&self) -> u64 {
        let newest = self.next.saturating_sub(1);
        let (first, _) = self
            .unfolded
            .first()
            .copied()
            .unwrap_or((newest, RunId::from(uuid::Uuid::nil())));
        first.min(newest)
    }

    /// The row before which all can go, when those are at least `least`, or more than half of all bytes.
    pub(super) fn cut_before(&self, least: usize) -> Option<u64> {
        let from = self.needed_from();
        let gone = self.rows.partition_point(|(id, ..)| *id < from);
        (gone >= least.max(1)).then_some(from)
    }

    /// The rows before `row` are gone.
    pub(super) fn cut(&mut self, row: u64) {
        while let Some((_, bytes, _)) = self.rows.pop_front_if(|(id, ..)| *id < row) {
            self.bytes -= bytes as u64;
        }
    }

    /// Whether the oldest that is needed has been there for longer than `age`.
    pub(super) fn is_older_than(&self, age: Duration) -> bool {
        self.needed_since().is_some_and(|at| at.elapsed() >= age)
    }
}
