//! Bringing a file up to date: whatever its journal holds is folded into segments, and the heads of runs are exact.

use rusqlite::{Connection, TransactionBehavior};

use super::{
    codec::StretchReader, error::Fault, journal::Replay, rows::RunRow, segment::SegmentWriter,
};

/// Folds the journal. All or nothing. Returns the number of the next journal row.
pub(super) fn recover(db: &mut Connection) -> Result<u64, Fault> {
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut replay = Replay::default();
    replay.follow(&change)?;
    let mut folded = 0;
    for run in replay.runs() {
        // What is in the journal of a run without a row is of one that was deleted.
        let Some(mut row) = RunRow::find(&change, run)? else {
            continue;
        };
        let tail = replay.apply(&mut row)?;
        if tail.is_empty() {
            continue;
        }
        let mut segments = SegmentWriter::new(&change, run, row.folded);
        for event in tail
            .iter()
            .flat_map(|piece| StretchReader::new(&piece.stretch))
        {
            let (at, json) = event?;
            segments.push(at, json)?;
        }
        row.folded = segments.finish()?;
        row.update(&change)?;
        folded += 1;
    }
    change.execute("DELETE FROM journal WHERE id < ?", [replay.through as i64])?;
    change.commit()?;
    if folded > 0 {
        tracing::info!(runs = folded, "the journal was folded");
    }
    Ok(replay.through + 1)
}
