//! Reading while the writer runs: the file says how a run was when it was folded last, and memory what came since.
//!
//! A reader pins what is in memory, looks into the file, and then into memory. What it finds in memory counts; a run
//! that it does not find there was not live since the pin, and is as the file says. So nobody is shown what was written
//! and not answered, and then something older.

use std::ops::ControlFlow;

use quell_actors::{
    RunEvent, RunId,
    store::{ReadError, RunHead, RunQuery},
};
use rusqlite::Connection;

use super::{
    codec::Damaged,
    error::Fault,
    list,
    live::LiveIndex,
    rows::RunRow,
    segment::{self, Page},
};

/// How often a read begins anew because the run was deleted and made again under its hands.
const TRIES: usize = 8;

pub(super) fn head(
    db: &Connection,
    live: &LiveIndex,
    run: RunId,
) -> Result<Option<RunHead>, Fault> {
    let _pin = live.pin();
    let row = RunRow::find(db, run)?;
    let Some(row) = row else {
        return Ok(None);
    };
    let known = live.lock().runs.get(&run).map(|live| live.row.head.clone());
    Ok(Some(known.unwrap_or(row.head)))
}

pub(super) fn runs(
    db: &Connection,
    live: &LiveIndex,
    query: &RunQuery,
) -> Result<Vec<RunHead>, Fault> {
    let _pin = live.pin();
    list::runs(db, query, |row| {
        let known = live
            .lock()
            .runs
            .get(&row.head.run_id)
            .map(|live| live.row.head.clone());
        Ok(known.unwrap_or(row.head))
    })
}

/// What can be answered from memory alone.
pub(super) fn read_live(
    live: &LiveIndex,
    run: RunId,
    after: u64,
    limit: usize,
) -> Option<Vec<RunEvent>> {
    let tail = {
        let live = live.lock();
        let known = live.runs.get(&run)?;
        (after >= known.row.folded).then(|| known.tail_after(after, limit))
    };
    Some(tail?.copy().collect())
}

pub(super) fn read(
    db: &Connection,
    live: &LiveIndex,
    run: RunId,
    after: u64,
    limit: usize,
) -> Result<Vec<RunEvent>, ReadError> {
    for _ in 0..TRIES {
        if let ControlFlow::Break(page) = try_read(db, live, run, after, limit)? {
            let first = after.saturating_add(1);
            return page.ok_or(ReadError::Expired { first });
        }
    }
    Err(ReadError::Failed(
        "the run is deleted and made again all the time".into(),
    ))
}

/// Continues where the run that is in the file is another than the one in memory; `None` when there is no such run.
fn try_read(
    db: &Connection,
    live: &LiveIndex,
    run: RunId,
    after: u64,
    limit: usize,
) -> Result<ControlFlow<Option<Vec<RunEvent>>>, Fault> {
    let _pin = live.pin();
    let snapshot = db.unchecked_transaction()?;
    let Some(row) = RunRow::find(&snapshot, run)? else {
        return Ok(ControlFlow::Break(None));
    };
    let mut page = Page::new(limit);
    segment::read(&snapshot, run, after, row.folded, &mut page)?;
    drop(snapshot);

    let read_to = page.events.last().map_or(after, |event| event.seq);
    let tail = {
        let live = live.lock();
        match live.runs.get(&run) {
            None if row.folded != row.head.last => {
                return Err(Damaged("the last events of a run are missing").into());
            }
            None => None,
            Some(known) if known.row.born != row.born => return Ok(ControlFlow::Continue(())),
            Some(known) => {
                // The writer may be about to show what the file has already.
                page.events.retain(|event| event.seq <= known.row.head.last);
                Some((known.row.folded, known.tail_after(read_to, page.left())))
            }
        }
    };
    if let Some((folded, tail)) = tail {
        if folded <= read_to {
            page.events.extend(tail.copy());
        } else if page.events.is_empty() && limit > 0 {
            // More was folded since the snapshot.
            return Ok(ControlFlow::Continue(()));
        }
    }
    Ok(ControlFlow::Break(Some(page.events)))
}
