//! Deciding about one append: what it is answered, or what of it is to be written.

use quell_actors::{
    EventKind, RunEvent, RunId, RunStatus,
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
    pub(super) head: RunHead,
    /// The row, when the run begins with it.
    pub(super) begins: Option<RunRow>,
    /// The events that change the run's status. Its session has to know of them.
    pub(super) changes: Vec<RunEvent>,
    pub(super) bytes: usize,
    /// The run as it is in memory, when all that it has is written to segments, and not to the journal.
    pub(super) folds: Option<Live>,
}

/// Whether nothing more of a run is likely to come: it has ended, or waits for a person.
pub(super) fn rests(run: &RunHead) -> bool {
    run.status.is_ended() || run.status == RunStatus::Paused
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
        Ok(plan) => Some(Planned {
            run: append.run,
            expected: append.expected,
            batch: append.batch,
            events: append.events,
            answer: append.answer,
            head: plan.head,
            begins: plan.begins,
            changes: plan.changes,
            bytes: plan.bytes,
            folds: plan.folds,
        }),
        Err(answer) => {
            // The caller may be gone.
            let _ = append.answer.send(answer);
            None
        }
    }
}

/// What is planned of an append: see [`Planned`].
struct Plan {
    head: RunHead,
    begins: Option<RunRow>,
    changes: Vec<RunEvent>,
    bytes: usize,
    folds: Option<Live>,
}

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
    let known = known(db, live, append)?;
    let (mut begins, mut head, tail_bytes) = match known {
        Some((head, tail_bytes)) => (None, head, tail_bytes),
        None => {
            let row = begin(*run, *expected, *batch, next_row, events)?;
            let head = row.head.clone();
            (Some(row), head, 0)
        }
    };

    head.epoch = expected.epoch_after();
    let changes = encode(events, &mut head, buffers).map_err(unavailable)?;
    if let Some(row) = &mut begins {
        row.head = head.clone();
    }
    let bytes = buffers.stretch.len();
    let much = tail_bytes + bytes >= fold_from(*run);
    let folds = (rests(&head) || (much && may_fold)).then(|| match &begins {
        Some(row) => Live::folded(row.clone()),
        None => live.lock().runs[run].clone(),
    });
    if folds.is_none() {
        let entry = Entry {
            run: *run,
            batch: *batch,
            epoch: head.epoch,
            first: events.first(),
            last: head.last,
            status: (!changes.is_empty()).then_some(head.status),
            stretch: &buffers.stretch,
        };
        entry.put(&mut buffers.row);
    }
    Ok(Plan {
        head,
        begins,
        changes,
        bytes,
        folds,
    })
}

fn unavailable(why: &str) -> Answer {
    Err(AppendError::Unavailable(why.into()))
}

/// Where the run stands and how much of it is in the journal, or the answer when the append is not to be stored. `None`:
/// there is no such run.
///
/// A run that is only in the file comes into memory before anything of it is written, since readers who do not find it
/// in memory rely on the file.
fn known(
    db: &Connection,
    live: &LiveIndex,
    append: &Append,
) -> Result<Option<(RunHead, usize)>, Answer> {
    if let Some(known) = live.lock().runs.get(&append.run) {
        verdict(&known.row, append)?;
        return Ok(Some((known.row.head.clone(), known.tail_bytes)));
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
    let head = row.head.clone();
    live.lock().runs.insert(append.run, Live::folded(row));
    Ok(Some((head, 0)))
}

/// Whether the append continues the run's head; the answer otherwise.
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
    // A later append to a run that is not here is for one that was deleted, or never was.
    let fenced = || Err(AppendError::Fenced { epoch: 0, last: 0 });
    if expected.last != 0 || expected.acquire || events.first() != 1 {
        return Err(fenced());
    }
    let first = events.iter().next().ok_or_else(fenced)?;
    let EventKind::Started(started) = &first.kind else {
        return Err(fenced());
    };
    Ok(RunRow {
        head: RunHead::new(run_id, started, first.at),
        folded: 0,
        born: next_row,
        batch,
    })
}

/// Writes the events to the buffer for them, and has `head` take them in. Returns those that change the run's status.
fn encode(
    events: &Events,
    head: &mut RunHead,
    buffers: &mut Buffers,
) -> Result<Vec<RunEvent>, &'static str> {
    let Buffers {
        stretch: out, json, ..
    } = buffers;
    out.clear();
    let mut stretch = StretchWriter::default();
    let mut changes = Vec::new();
    for event in events.iter() {
        if event.at.as_millis() > LARGEST {
            return Err("a time is too large");
        }
        json.clear();
        serde_json::to_writer(&mut *json, &event.kind)
            .map_err(|_| "an event has no form in JSON")?;
        stretch.push(out, event.at, json);
        if out.len() > LARGEST_APPEND {
            return Err("the append is too large");
        }
        head.apply(&event);
        if event.kind.status().is_some() {
            changes.push(event);
        }
    }
    Ok(changes)
}

fn fold_from(run: RunId) -> usize {
    let [.., a, b] = *run.as_bytes();
    FOLD_FROM + usize::from(u16::from_be_bytes([a, b])) * FOLD_FROM / (1 << 16)
}
