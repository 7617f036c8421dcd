//! Whose memory the events lie in.

use super::*;

fn stored(store: &MemoryStore, run: RunId) -> Vec<RunEvent> {
    now(store.read(run, 0, usize::MAX)).unwrap()
}

fn texts(events: &[RunEvent]) -> Vec<String> {
    let text = |event: &RunEvent| match &event.kind {
        EventKind::Content { text } => Some(text.to_string()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

/// A log of a new run that has decided some words, and stored the first of them.
fn half_stored(store: &MemoryStore) -> Log {
    let mut log = Log::begin(RunId::new(), Some("a"));
    for text in ["one", "two", "unsaid"] {
        log.decide(2, words(text));
    }
    assert_eq!(log.append(store, 1, (1, 1)), Ok(1));
    assert_eq!(log.append(store, 1, (2, 3)), Ok(3));
    log
}

#[test]
fn what_a_run_has_in_memory_is_not_kept_a_second_time() {
    let store = MemoryStore::default();
    let log = half_stored(&store);
    let run = log.tape.run_id();
    assert_eq!(texts(&stored(&store, run)), ["one", "two"]);
    let runs = store.shard(run);
    assert!(Arc::ptr_eq(&runs[&run].tape, &log.tape));
}

#[test]
fn who_takes_a_run_over_may_have_all_of_it_or_only_what_comes() {
    for has_all in [true, false] {
        let store = MemoryStore::default();
        let mut old = half_stored(&store);
        let run = old.tape.run_id();
        let mut new = if has_all {
            Log::with(run, stored(&store, run))
        } else {
            Log::after(run, 3)
        };
        for text in ["three", "four", "five", "not yet"] {
            new.decide(5, words(text));
        }
        assert_eq!(new.acquire(&store, 1, (4, 5)), Ok(5));
        let expected = ["one", "two", "three", "four"];
        assert_eq!(texts(&stored(&store, run)), expected);
        assert_eq!(new.append(&store, 2, (6, 6)), Ok(6));

        // What the old owner had decided, and decides now, is nowhere.
        old.decide(6, words("late"));
        let fenced = Err(AppendError::Fenced { epoch: 2, last: 6 });
        assert_eq!(old.append(&store, 1, (4, 4)), fenced);
        assert_eq!(old.acquire(&store, 1, (4, 5)), fenced);
        let events = stored(&store, run);
        assert_eq!(texts(&events), ["one", "two", "three", "four", "five"]);
        assert_eq!(
            events.iter().map(|event| event.seq).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5, 6]
        );
        let head = now(store.head(run)).unwrap().unwrap();
        assert_eq!((head.epoch, head.last), (2, 6));
        assert_eq!(head.updated_at, Timestamp::from_millis(5));
    }
}

#[test]
fn a_run_may_be_taken_over_again_and_again() {
    let store = MemoryStore::default();
    let old = half_stored(&store);
    let run = old.tape.run_id();
    let mut last = 3;
    for epoch in 1..6 {
        let mut log = match epoch % 2 {
            0 => Log::with(run, stored(&store, run)),
            _ => Log::after(run, last),
        };
        for text in [format!("{epoch} acquires"), format!("{epoch} goes on")] {
            log.decide(5, words(&text));
        }
        assert_eq!(
            log.acquire(&store, epoch, (last + 1, last + 1)),
            Ok(last + 1)
        );
        let next = (last + 2, last + 2);
        assert_eq!(log.append(&store, epoch + 1, next), Ok(last + 2));
        last += 2;
    }
    let events = stored(&store, run);
    assert_eq!(events.len() as u64, last);
    assert_eq!(events.iter().map(|event| event.seq).max(), Some(last));
    assert_eq!(texts(&events)[10], "5 acquires");
}

#[test]
fn a_run_that_was_taken_over_is_copied_once() {
    let store = MemoryStore::default();
    let run = half_stored(&store).tape.run_id();
    let mut new = Log::after(run, 3);
    let tape = |store: &MemoryStore| store.shard(run)[&run].tape.clone();
    (4..=6).for_each(|at| new.decide(at, words("new")));
    new.acquire(&store, 1, (4, 4)).unwrap();
    let own = tape(&store);
    assert!(!Arc::ptr_eq(&own, &new.tape));
    for seq in 5..=6 {
        new.append(&store, 2, (seq, seq)).unwrap();
        assert!(Arc::ptr_eq(&own, &tape(&store)));
    }
}
