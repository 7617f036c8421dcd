//! Threads that meet at one run, and at one session.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use super::*;

const THREADS: u64 = 4;

/// Numbers that only look random.
fn next(seed: &mut u64, below: u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed >> 11) % below
}

/// Does anything to one of a few runs and sessions.
fn meddle(store: &MemoryStore, runs: &[RunId], seed: &mut u64) {
    let run = runs[next(seed, runs.len() as u64) as usize];
    let session = ["a", "b"][next(seed, 2) as usize];
    let head = now(store.head(run)).unwrap();
    let (epoch, last) = head.map_or((1, 0), |head| (head.epoch, head.last));
    let mut log = match last {
        0 => Log::begin(run, Some(session)),
        _ => Log::after(run, last),
    };
    match next(seed, 10) {
        0 => drop(now(store.delete_run(run))),
        1 => drop(now(store.delete_session(session.into()))),
        2 => name(
            store,
            session,
            ["sea", ""].get(next(seed, 3) as usize).copied(),
        ),
        3 => drop(now(store.runs(RunQuery::session(session)))),
        4 | 5 if last > 0 => {
            log.decide(2, ending());
            let _ = log.append(store, epoch, (last + 1, last + 1));
        }
        6 if last > 0 => {
            log.decide(2, words("mine"));
            let _ = log.acquire(store, epoch, (last + 1, last + 1));
        }
        _ => {
            log.decide(2, words("word"));
            let _ = log.append(store, epoch, (last + 1, log.decided));
        }
    }
}

#[test]
fn whatever_threads_do_at_once_the_store_stays_whole() {
    for round in 1..=300u64 {
        let store = MemoryStore::keeping((round % 3) as usize);
        let runs: Vec<_> = (0..3).map(|_| RunId::new()).collect();
        let together = Barrier::new(THREADS as usize);
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (store, runs, together) = (&store, &runs, &together);
                scope.spawn(move || {
                    let mut seed = round * THREADS + thread + 1;
                    together.wait();
                    for _ in 0..60 {
                        meddle(store, runs, &mut seed);
                    }
                });
            }
        });
        check_whole(&store);
    }
}

#[test]
fn of_threads_that_take_a_run_over_one_wins_each_epoch() {
    let store = MemoryStore::default();
    let id = run(&store, Some("a"), true);
    let together = Barrier::new(THREADS as usize);
    let won = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for round in 1..=500 {
                    let mut log = Log::after(id, round);
                    log.decide(2, words("mine"));
                    together.wait();
                    let answer = log.acquire(&store, round, (round + 1, round + 1));
                    won.fetch_add(u64::from(answer.is_ok()), Ordering::Relaxed);
                    together.wait();
                }
            });
        }
    });
    assert_eq!(won.into_inner(), 500);
    let head = now(store.head(id)).unwrap().unwrap();
    assert_eq!((head.epoch, head.last), (501, 501));
    assert_eq!(now(store.read(id, 0, 1_000)).unwrap().len(), 501);
}

#[test]
fn who_reads_while_a_run_is_taken_over_and_deleted_sees_what_was_stored() {
    let store = MemoryStore::default();
    let together = Barrier::new(2);
    thread::scope(|scope| {
        let ids: Vec<_> = (0..200).map(|_| RunId::new()).collect();
        let writes = ids.clone();
        let (store, together) = (&store, &together);
        let writer = scope.spawn(move || {
            let mut answers = Vec::new();
            for id in writes {
                let mut log = Log::begin(id, Some("a"));
                (2..=10).for_each(|at| log.decide(at, words("old")));
                let begun = log.append(store, 1, (1, 8));
                together.wait();
                let mut new = Log::after(id, 8);
                (9..=20).for_each(|at| new.decide(at, words("new")));
                // All is looked at in the end: who panics at once leaves the other waiting.
                answers.push((
                    begun,
                    new.acquire(store, 1, (9, 12)),
                    new.append(store, 2, (13, 20)),
                    now(store.delete_run(id)),
                ));
                together.wait();
            }
            answers
        });
        let mut seen = Vec::new();
        for id in ids {
            together.wait();
            while let Ok(events) = now(store.read(id, 0, 100)) {
                if seen.last() != Some(&(id, events.clone())) {
                    seen.push((id, events));
                }
            }
            together.wait();
        }
        for answers in writer.join().unwrap() {
            assert_eq!(answers, (Ok(8), Ok(12), Ok(20), Ok(true)));
        }
        for (id, events) in seen {
            assert!(matches!(events.len(), 8 | 12 | 20), "{events:?}");
            for (event, seq) in events.iter().zip(1..) {
                assert_eq!((event.seq, event.run_id), (seq, id));
                let words = if seq > 8 { words("new") } else { words("old") };
                assert!(seq == 1 || event.kind == words, "{event:?}");
            }
        }
    });
}
