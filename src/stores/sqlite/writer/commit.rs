//! One commit: what many runs appended, in one journal row.

use std::{
    collections::{HashSet, VecDeque},
    time::Instant,
};

use quell_actors::{
    error::Cause,
    store::{AppendError, BatchId, Events},
};
use rusqlite::{Connection, params};

use super::{
    super::{
        codec::{Damaged, SEAL},
        error::Fault,
        journal::seal_row,
        live::Live,
        queue::{Append, Op},
        segment::SegmentWriter,
        sessions,
    },
    Failed, Writer,
    append::{MOST, MOST_BYTES, Planned, plan, rests},
};

/// How many bytes of runs that only have much in the journal are folded in one commit: folding is to be spread out.
const FOLDED_AT_ONCE: usize = 512 * 1024;

impl Writer {
    /// Stores the appends at the front of what waits, and answers them.
    pub(super) fn commit(&mut self, waiting: &mut VecDeque<Op>) {
        let began = Instant::now();
        let planned = self.plan(waiting);
        if planned.is_empty() {
            return;
        }
        self.last_commit = (began, planned.len());
        let row = (self.buffers.row.len() > SEAL).then(|| self.ledger.next());
        if let Some(id) = row {
            seal_row(id, &mut self.buffers.row);
        }
        let payload = std::mem::take(&mut self.buffers.row);
        let written = self.transact(|db| {
            if let Some(id) = row {
                let mut insert =
                    db.prepare_cached("INSERT INTO journal (id, payload) VALUES (?, ?)")?;
                insert.execute(params![id as i64, payload])?;
            }
            planned.iter().try_for_each(|planned| write(db, planned))
        });
        match written {
            Ok(()) => {
                if let Some(id) = row {
                    self.ledger.wrote(id, payload.len());
                }
                self.publish(planned, row);
            }
            Err(Failed::Undone(fault)) if planned.len() > 1 && fault.is_of_one() => {
                // One of them has a row that is damaged, say. The others are not to suffer for it.
                self.one_by_one = planned.len();
                for planned in planned.into_iter().rev() {
                    waiting.push_front(Op::Append(planned.back()));
                }
            }
            Err(Failed::Undone(fault)) => {
                answer_all(planned, AppendError::Unavailable(Cause::new(fault)));
            }
            Err(Failed::Unclear(fault)) => {
                let batches: HashSet<BatchId> =
                    planned.iter().map(|planned| planned.batch).collect();
                self.doubt.get_or_insert_default().extend(batches);
                answer_all(planned, AppendError::Unknown(Cause::new(fault)));
            }
        }
        self.buffers.row = payload;
        // One large append is not to be paid for in memory from then on.
        self.buffers.row.shrink_to(MOST_BYTES);
    }

    /// Takes appends from the front, as many as one commit has. Those that are refused are answered at once: what they
    /// are refused for is committed.
    fn plan(&mut self, waiting: &mut VecDeque<Op>) -> Vec<Planned> {
        self.buffers.begin();
        let most = match self.one_by_one {
            0 => MOST,
            _ => 1,
        };
        self.one_by_one = self.one_by_one.saturating_sub(1);
        let mut planned: Vec<Planned> = Vec::with_capacity(waiting.len().min(most));
        let mut runs = HashSet::with_capacity(waiting.len().min(most));
        let (mut bytes, mut folded) = (0, 0);
        while planned.len() < most && bytes < MOST_BYTES {
            // What is planned is not committed, so a run's second append waits for the next commit.
            let append = match waiting.pop_front() {
                Some(Op::Append(append)) if runs.insert(append.run) => append,
                Some(op) => {
                    waiting.push_front(op);
                    break;
                }
                None => break,
            };
            let next_row = self.ledger.next();
            let may_fold = folded < FOLDED_AT_ONCE;
            let shared = &self.shared.0;
            let plan = plan(
                &self.db,
                &shared.live,
                next_row,
                append,
                may_fold,
                &mut self.buffers,
            );
            if let Some(plan) = plan {
                bytes += plan.bytes;
                if let Some(live) = &plan.folds {
                    bytes += live.tail_bytes;
                    folded += live.tail_bytes + plan.bytes;
                }
                planned.push(plan);
            }
        }
        planned
    }

    /// Shows what was committed, and answers.
    fn publish(&mut self, planned: Vec<Planned>, row: Option<u64>) {
        let (mut events, appends) = (0, planned.len() as u64);
        let mut answers = Vec::with_capacity(planned.len());
        let mut live = self.shared.0.live.lock();
        for planned in planned {
            events += planned.events.last() - planned.events.first() + 1;
            answers.push((planned.answer, planned.head.last));
            let (run, rests) = (planned.run, rests(&planned.head));
            self.chores.ended += u64::from(planned.head.status.is_ended());
            if planned.folds.is_some() && rests && planned.begins.is_some() {
                continue;
            }
            let known = match planned.begins {
                Some(row) => live
                    .runs
                    .entry(run)
                    .insert_entry(Live::folded(row))
                    .into_mut(),
                // It came into memory when the append was planned, and nobody else takes it out.
                None => match live.runs.get_mut(&run) {
                    Some(known) => known,
                    None => continue,
                },
            };
            known.row.head = planned.head;
            known.row.batch = planned.batch;
            if planned.folds.is_some() {
                self.ledger.folded(known.fold(), run);
                if rests {
                    live.leave(run);
                }
            } else {
                known.push(planned.events, planned.bytes);
                if known.oldest.is_none() {
                    known.oldest = row;
                    self.ledger.unfolded(row, run);
                }
            }
        }
        live.let_go();
        drop(live);
        self.shared().counters.appended(appends, events);
        for (answer, last) in answers {
            // The caller may be gone.
            let _ = answer.send(Ok(last));
        }
    }
}

/// Writes what of an append is not in the journal row.
fn write(db: &Connection, planned: &Planned) -> Result<(), Fault> {
    let mut row = planned.begins.clone();
    if let Some(live) = &planned.folds {
        let folded = fold(db, live, Some(&planned.events))?;
        let row = row.get_or_insert_with(|| live.row.clone());
        row.head = planned.head.clone();
        row.batch = planned.batch;
        row.folded = folded;
    }
    match (row, planned.begins.is_some()) {
        (Some(row), true) => row.insert(db)?,
        (Some(row), false) => row.update(db)?,
        (None, _) => {}
    }
    match &planned.head.session_id {
        Some(session) if !planned.changes.is_empty() => {
            sessions::apply(db, session, planned.head.created_at, &planned.changes)
        }
        Some(_) | None => Ok(()),
    }
}

/// Writes the tail of a run, and then `more`, to segments. Returns the position that segments go up to then.
pub(super) fn fold(db: &Connection, live: &Live, more: Option<&Events>) -> Result<u64, Fault> {
    let mut segments = SegmentWriter::new(db, live.row.head.run_id, live.row.folded);
    let mut json = Vec::new();
    for event in live.tail.iter().chain(more).flat_map(Events::iter) {
        json.clear();
        let written = serde_json::to_writer(&mut json, &event.kind);
        written.map_err(|_| Damaged("an event has no form in JSON"))?;
        segments.push(event.at, &json)?;
    }
    segments.finish()
}

fn answer_all(planned: Vec<Planned>, error: AppendError) {
    for planned in planned {
        let _ = planned.answer.send(Err(error.clone()));
    }
}

impl Planned {
    /// The append as it came.
    fn back(self) -> Append {
        Append {
            run: self.run,
            expected: self.expected,
            batch: self.batch,
            events: self.events,
            answer: self.answer,
        }
    }
}
