//! Deciding about one append: what it is answered, or what of it is to be written.

use std::sync::Arc;

use quell_actors::{
    EventKind, RunId, RunStatus,
    id::Timestamp,
    store::{AppendError, BatchId, Events, Expected, RunHead},
};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::super::{
    codec::{Damaged, StretchWriter},
    error::Fault,
    journal::{Entry, LARGEST, begin_row, fits},
    live::{Live, LiveIndex},
    queue::Append,
    rows::RunRow,
};

/// How many appends, and how many bytes, a commit has at most: beyond that, those who wait for it wait too long.
pub(super) const MOST: usize = 1024;
pub(super) const MOST_BYTES: usize = 4 << 20;

/// How large one append may be, in bytes: SQLite has a limit of 1 GB for a row, and other appends are in it too.
const LARGEST_APPEND: usize = 512 << 20;

/// How much a run has in the journal before it is folded: at least so many bytes, and at most twice as many. Runs that
/// began together are not to be folded together, so each has a number of its own between.
const FOLD_FROM: usize = 28 * 1024;

/// Memory that is used again for each commit.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// The journal row.
    pub(super) row: Vec<u8>,
    stretch: Vec<u8>,
    json: Vec<u8>,
}

impl Buffers {
    pub(super) fn begin(&mut self) {
        begin_row(&mut self.row);
    }
}

/// An append that is going to be stored.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) run: RunId,
    pub(super) expected: Expected,
    pub(super) batch: BatchId,
    pub(super) events: Events,
    pub(super) answer: oneshot::Sender<Result<u64, AppendError>>,
    /// Where the run stands then.
    pub(super) after: After,
    /// The row, when the run begins with it.
    pub(super) begins: Option<RunRow>,
    /// The session that has to know of it, and when it happened.
    pub(super) touches: Option<(Arc<str>, Timestamp)>,
    pub(super) bytes: usize,
    /// The run as it is in memory, when all that it has is written to segments, and not to the journal.
    pub(super) folds: Option<Live>,
}

/// Where a run stands after an append.
#[derive(Clone, Copy, Debug)]
pub(super) struct After {
    pub(super) epoch: u64,
    pub(super) last: u64,
    pub(super) status: RunStatus,
    pub(super) updated_at: Timestamp,
}

impl After {
    pub(super) fn put(self, row: &mut RunRow, batch: BatchId) {
        row.head.epoch = self.epoch;
        row.head.last = self.last;
        row.head.status = self.status;
        row.head.updated_at = self.updated_at;
        row.batch = batch;
    }

    /// Whether nothing more is likely to come: the run has ended, or waits for a person.
    pub(super) fn rests(self) -> bool {
        self.status.is_ended() || self.status == RunStatus::Paused
    }
}

/// What is known of a run before an append.
struct Before {
    status: RunStatus,
    session: Option<Arc<str>>,
    tail_bytes: usize,
}

/// Answers an append, or plans it: its entry stands in the journal row then, unless the run is folded.
pub(super) fn plan(
    db: &Connection,
    live: &LiveIndex,
    next_row: u64,
    append: Append,
    may_fold: bool,
    buffers: &mut Buffers,
) -> Option<Planned> {
    match try_plan(db, live, next_row, &append, may_fold, buffers) {
        Ok((after, begins, touches, bytes, folds)) => Some(Planned {
            run: append.run,
            expected: append.expected,
            batch: append.batch,
            events: append.events,
            answer: append.answer,
            after,
            begins,
            touches,
            bytes,
            folds,
        }),
        Err(answer) => {
            // Whoever asked may be gone.
            let _ = append.answer.send(answer);
            None
        }
    }
}

type Plan = (
    After,
    Option<RunRow>,
    Option<(Arc<str>, Timestamp)>,
    usize,
    Option<Live>,
);

/// The error is the answer, of whatever kind.
type Answer = Result<u64, AppendError>;

fn try_plan(
    db: &Connection,
    live: &LiveIndex,
    next_row: u64,
    append: &Append,
    may_fold: bool,
    buffers: &mut Buffers,
) -> Result<Plan, Answer> {
    let Append {
        run,
        expected,
        batch,
        events,
        ..
    } = append;
    if events.run_id() != *run || !fits(*expected, events.last()) {
        return Err(unavailable("the append is not one of this run's"));
    }
    let mut begins = None;
    let before = match before(db, live, append)? {
        Some(before) => before,
        None => {
            let row = begin(*run, *expected, *batch, next_row, events)?;
            let session = row.head.session_id.clone();
            begins = Some(row);
            Before {
                status: RunStatus::Pending,
                session,
                tail_bytes: 0,
            }
        }
    };

    let encoded = encode(events, buffers).map_err(unavailable)?;
    let after = After {
        epoch: expected.epoch_after(),
        last: events.last(),
        status: encoded.status.map_or(before.status, |(status, _)| status),
        updated_at: encoded.at,
    };
    if let Some(row) = &mut begins {
        after.put(row, *batch);
    }
    let touches = encoded
        .status
        .and_then(|(_, at)| Some((before.session?, at)));
    let bytes = buffers.stretch.len();
    let much = before.tail_bytes + bytes >= fold_from(*run);
    let folds = (after.rests() || (much && may_fold)).then(|| match &begins {
        Some(row) => Live::folded(row.clone()),
        None => live.lock().runs[run].clone(),
    });
    if folds.is_none() {
        let entry = Entry {
            run: *run,
            batch: *batch,
            epoch: after.epoch,
            first: events.first(),
            last: after.last,
            status: encoded.status.map(|(status, _)| status),
            stretch: &buffers.stretch,
        };
        entry.put(&mut buffers.row);
    }
    Ok((after, begins, touches, bytes, folds))
}

fn unavailable(why: &str) -> Answer {
    Err(AppendError::Unavailable(why.into()))
}

/// What is known of the run, or the answer when the append is not to be stored. `None`: there is no such run.
///
/// A run that is only in the file comes into memory before anything of it is written, since readers who do not find it
/// in memory rely on the file.
fn before(db: &Connection, live: &LiveIndex, append: &Append) -> Result<Option<Before>, Answer> {
    if let Some(known) = live.lock().runs.get(&append.run) {
        verdict(&known.row, append)?;
        return Ok(Some(Before {
            status: known.row.head.status,
            session: known.row.head.session_id.clone(),
            tail_bytes: known.tail_bytes,
        }));
    }
    let found = RunRow::find(db, append.run).and_then(|row| match row {
        Some(row) if row.folded != row.head.last => {
            Err(Damaged("the last events of a run are missing").into())
        }
        row => Ok(row),
    });
    let Some(row) = found.map_err(|fault: Fault| unavailable(&fault.to_string()))? else {
        return Ok(None);
    };
    verdict(&row, append)?;
    let before = Before {
        status: row.head.status,
        session: row.head.session_id.clone(),
        tail_bytes: 0,
    };
    live.lock().runs.insert(append.run, Live::folded(row));
    Ok(Some(before))
}

/// Whether the append goes on where the run stands; the answer otherwise.
fn verdict(row: &RunRow, append: &Append) -> Result<(), Answer> {
    let (head, expected, events) = (&row.head, append.expected, &append.events);
    let stands_after = (expected.epoch_after(), events.last());
    if row.batch == append.batch && (head.epoch, head.last) == stands_after {
        return Err(Ok(head.last));
    }
    if head.status.is_ended() {
        return Err(Err(AppendError::Ended { last: head.last }));
    }
    let goes_on = (head.epoch, head.last) == (expected.epoch, expected.last)
        && events.first() == head.last + 1;
    if !goes_on {
        return Err(Err(AppendError::Fenced {
            epoch: head.epoch,
            last: head.last,
        }));
    }
    Ok(())
}

/// The row of a run that begins with `events`.
fn begin(
    run_id: RunId,
    expected: Expected,
    batch: BatchId,
    next_row: u64,
    events: &Events,
) -> Result<RunRow, Answer> {
    // Whoever goes on with a run that is not here goes on with one that was deleted, or never was.
    let fenced = || Err(AppendError::Fenced { epoch: 0, last: 0 });
    if expected.last != 0 || expected.acquire || events.first() != 1 {
        return Err(fenced());
    }
    let first = events.iter().next().ok_or_else(fenced)?;
    let EventKind::Started(started) = first.kind else {
        return Err(fenced());
    };
    Ok(RunRow {
        head: RunHead {
            run_id,
            agent: started.agent.clone(),
            session_id: started.session_id.clone(),
            status: RunStatus::Pending,
            last: 0,
            epoch: expected.epoch,
            created_at: first.at,
            updated_at: first.at,
        },
        folded: 0,
        born: next_row,
        batch,
    })
}

/// What the events say of their run.
struct Encoded {
    /// The status they leave it with, where one of them changes it, and when that one was.
    status: Option<(RunStatus, Timestamp)>,
    /// The time of the last.
    at: Timestamp,
}

/// Writes the events to the buffer for them.
fn encode(events: &Events, buffers: &mut Buffers) -> Result<Encoded, &'static str> {
    let Buffers {
        stretch: out, json, ..
    } = buffers;
    out.clear();
    let mut stretch = StretchWriter::default();
    let mut encoded = Encoded {
        status: None,
        at: Timestamp::default(),
    };
    events.try_for_each(|_, at, kind| {
        if at.as_millis() > LARGEST {
            return Err("a time is too large");
        }
        json.clear();
        serde_json::to_writer(&mut *json, kind).map_err(|_| "an event has no form in JSON")?;
        stretch.push(out, at, json);
        if out.len() > LARGEST_APPEND {
            return Err("the append is too large");
        }
        encoded.status = kind.status().map(|status| (status, at)).or(encoded.status);
        encoded.at = at;
        Ok(())
    })?;
    Ok(encoded)
}

fn fold_from(run: RunId) -> usize {
    let [.., a, b] = *run.as_bytes();
    FOLD_FROM + usize::from(u16::from_be_bytes([a, b])) * FOLD_FROM / (1 << 16)
}
