//! A run's events in memory: one tape for each run, shared by its readers and keepers.

use std::sync::{Arc, Mutex};

use crate::{
    event::{EventKind, RunEvent},
    id::{RunId, Timestamp},
    lock::locked,
    status::RunStatus,
};

/// A stretch of one run's events, contiguous and not empty. Cheap to clone: it shares the memory of the run itself, so
/// that a store which keeps events in memory keeps no second copy.
#[derive(Clone, Debug)]
pub struct Events {
    tape: Arc<Tape>,
    first: u64,
    last: u64,
}

impl Events {
    /// The events of `list`, or `None` unless they are at least one, of one run, and contiguous.
    pub fn from_list(list: Vec<RunEvent>) -> Option<Events> {
        let (run_id, first) = list.first().map(|event| (event.run_id, event.seq))?;
        let last = list.last()?.seq;
        let base = first.checked_sub(1)?;
        let contiguous = list
            .iter()
            .zip(1..)
            .all(|(event, n)| event.run_id == run_id && Some(event.seq) == base.checked_add(n));
        if !contiguous {
            return None;
        }
        let tape = Tape::new(run_id, base);
        for event in list {
            tape.push(event.at, event.kind);
        }
        Some(Events {
            tape: Arc::new(tape),
            first,
            last,
        })
    }

    /// Positions `first..=last` of `tape`, which it must hold.
    pub(crate) fn of(tape: &Arc<Tape>, first: u64, last: u64) -> Events {
        Events {
            tape: tape.clone(),
            first,
            last,
        }
    }

    /// The run they are of.
    pub fn run_id(&self) -> RunId {
        self.tape.run_id
    }

    /// The position of the first.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The position of the last.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The status that the run has after them, where one of them changes it.
    pub fn status(&self) -> Option<RunStatus> {
        self.tape.status(self.first, self.last)
    }

    /// The events, in order.
    pub fn iter(&self) -> impl Iterator<Item = RunEvent> + Send + '_ {
        (self.first..=self.last).filter_map(|seq| self.tape.get(seq))
    }

    /// Shows each event in place: its position, its time, and what happened. `look` runs under the lock of the run's
    /// events, so that it is for those who only fold.
    pub(crate) fn look_at_each(&self, mut look: impl FnMut(u64, Timestamp, &EventKind)) {
        for seq in self.first..=self.last {
            self.tape.look(seq, |at, kind| look(seq, at, kind));
        }
    }

    /// Adds `next` if it follows in the same memory, as one run's appends do. `false`: it does not, and
    /// nothing changed.
    ///
    /// A store that keeps what a run appended until it has time for it keeps one range, and not one for each append.
    pub fn join(&mut self, next: &Events) -> bool {
        let joins =
            Arc::ptr_eq(&self.tape, &next.tape) && Some(next.first) == self.last.checked_add(1);
        if joins {
            self.last = next.last;
        }
        joins
    }

    pub(crate) fn tape(&self) -> &Arc<Tape> {
        &self.tape
    }
}

/// The events of one run, packed: what all of them share is kept once, and a block is never moved as it grows.
#[derive(Debug)]
pub(crate) struct Tape {
    run_id: RunId,
    /// The position before the first event.
    base: u64,
    blocks: Mutex<Blocks>,
}

#[derive(Debug, Default)]
struct Blocks {
    full: Vec<Vec<TapeEntry>>,
    /// The block that grows.
    last: Vec<TapeEntry>,
}

#[derive(Debug)]
struct TapeEntry {
    at: Timestamp,
    kind: EventKind,
}

impl Tape {
    /// An empty tape that continues after position `base`.
    pub(crate) fn new(run_id: RunId, base: u64) -> Tape {
        Tape {
            run_id,
            base,
            blocks: Mutex::default(),
        }
    }

    /// Appends an event.
    pub(crate) fn push(&self, at: Timestamp, kind: EventKind) {
        locked(&self.blocks).push(TapeEntry { at, kind });
    }

    /// The position before the first event it holds.
    #[cfg(test)]
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// The event at position `seq`.
    pub(crate) fn get(&self, seq: u64) -> Option<RunEvent> {
        self.look(seq, |at, kind| RunEvent {
            run_id: self.run_id,
            seq,
            at,
            kind: kind.clone(),
        })
    }

    /// Shows the event at position `seq`, in place.
    fn look<T>(&self, seq: u64, look: impl FnOnce(Timestamp, &EventKind) -> T) -> Option<T> {
        let index = usize::try_from(seq.checked_sub(self.base)?.checked_sub(1)?).ok()?;
        let blocks = locked(&self.blocks);
        let TapeEntry { at, kind } = blocks.get(index)?;
        Some(look(*at, kind))
    }

    /// The status after positions `first..=last`, where one of them changes it.
    fn status(&self, first: u64, last: u64) -> Option<RunStatus> {
        let blocks = locked(&self.blocks);
        (first..=last).rev().find_map(|seq| {
            let index = usize::try_from(seq.checked_sub(self.base)?.checked_sub(1)?).ok()?;
            blocks.get(index)?.kind.status()
        })
    }

    /// The run it is of.
    pub(crate) fn run_id(&self) -> RunId {
        self.run_id
    }

    /// Shows every event that it holds, in order. `look` runs under the lock of the tape, and must be short.
    pub(crate) fn each(&self, look: impl FnMut(&EventKind)) {
        let blocks = locked(&self.blocks);
        let entries = blocks.full.iter().flatten().chain(&blocks.last);
        entries.map(|entry| &entry.kind).for_each(look);
    }
}

impl Blocks {
    fn push(&mut self, entry: TapeEntry) {
        let mut block = self.full.len();
        if self.last.len() == capacity(block) {
            self.full.push(std::mem::take(&mut self.last));
            block += 1;
        }
        if self.last.capacity() == 0 {
            self.last.reserve_exact(capacity(block));
        }
        self.last.push(entry);
    }

    fn get(&self, index: usize) -> Option<&TapeEntry> {
        let (block, offset) = place(index);
        if block == self.full.len() {
            self.last.get(offset)
        } else {
            self.full.get(block)?.get(offset)
        }
    }
}

/// How many entries block number `block` holds: few at first, since most runs are short or live in great numbers.
const fn capacity(block: usize) -> usize {
    match block {
        0 => 8,
        1 => 16,
        2 => 32,
        _ => 64,
    }
}

/// The block, and the place in it, of entry number `index`.
const fn place(index: usize) -> (usize, usize) {
    match index {
        0..8 => (0, index),
        8..24 => (1, index - 8),
        24..56 => (2, index - 24),
        _ => (3 + (index - 56) / 64, (index - 56) % 64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_is_found_again() {
        let run_id = RunId::new();
        let tape = Tape::new(run_id, 10);
        for n in 0..300u64 {
            let text = n.to_string().into();
            tape.push(Timestamp::from_millis(n), EventKind::Content { text });
        }
        for n in 0..300u64 {
            let event = tape.get(11 + n).unwrap();
            assert_eq!(event.seq, 11 + n);
            assert_eq!(event.at, Timestamp::from_millis(n));
            assert_eq!(
                event.kind,
                EventKind::Content {
                    text: n.to_string().into()
                }
            );
        }
        assert_eq!(tape.get(10), None);
        assert_eq!(tape.get(0), None);
        assert_eq!(tape.get(311), None);
    }

    #[test]
    fn an_event_is_small() {
        // The bound of 64 bytes an event holds only while an entry and the header of its words stay this small.
        assert_eq!(size_of::<TapeEntry>(), 32);
    }

    #[test]
    fn events_join_what_they_go_on_from_and_nothing_else() {
        let tape = Arc::new(Tape::new(RunId::new(), 0));
        let other = Arc::new(Tape::new(tape.run_id(), 0));
        let mut events = Events::of(&tape, 1, 3);
        assert!(!events.join(&Events::of(&tape, 5, 6)), "a gap");
        assert!(!events.join(&Events::of(&tape, 3, 4)), "an overlap");
        assert!(!events.join(&Events::of(&other, 4, 6)), "another memory");
        assert_eq!((events.first(), events.last()), (1, 3));
        assert!(events.join(&Events::of(&tape, 4, 6)));
        assert_eq!((events.first(), events.last()), (1, 6));
    }

    #[test]
    fn events_are_of_one_run_and_without_a_gap() {
        let run_id = RunId::new();
        let event = |run_id, seq| RunEvent {
            run_id,
            seq,
            at: Timestamp::from_millis(0),
            kind: EventKind::Content { text: "".into() },
        };
        assert!(Events::from_list(vec![]).is_none());
        assert!(Events::from_list(vec![event(run_id, 1), event(run_id, 3)]).is_none());
        assert!(Events::from_list(vec![event(run_id, 1), event(RunId::new(), 2)]).is_none());
        let events = Events::from_list(vec![event(run_id, 4), event(run_id, 5)]).unwrap();
        assert_eq!((events.first(), events.last()), (4, 5));
        assert_eq!(events.iter().map(|e| e.seq).collect::<Vec<_>>(), [4, 5]);
    }
}
