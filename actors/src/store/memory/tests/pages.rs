//! A page costs what is in it, however much is kept.

use super::*;
use crate::{
    event::Paused,
    status::{RunStatus, StatusSet},
};

/// One session with so many ended runs, and as many paused runs without one.
fn filled(many: u64) -> MemoryStore {
    let store = MemoryStore::keeping(usize::MAX);
    for at in 0..many {
        run(&store, Some("long"), false);
        let mut log = Log::begin(RunId::new(), None);
        log.decide(at, EventKind::Paused(Arc::new(Paused::new(vec![]))));
        log.append(&store, 1, (1, 2)).unwrap();
    }
    store
}

/// How many runs are looked up for the first page of a list.
fn looked_up(store: &MemoryStore, query: RunQuery) -> usize {
    let mut count = 0;
    let page = store.page(query, |run| {
        count += 1;
        store.look_up(run)
    });
    assert_eq!(page.len(), 10);
    count
}

#[test]
fn a_page_looks_up_as_many_runs_of_a_thousand_as_of_a_hundred() {
    let stores = [filled(100), filled(1_000)];
    let paused = || RunQuery::default().statuses(RunStatus::Paused.into());
    let oldest = || RunQuery::session("long").oldest_first();
    for query in [
        RunQuery::default(),
        RunQuery::session("long"),
        oldest(),
        RunQuery::unfinished(),
        paused(),
        RunQuery::session("long").statuses(StatusSet::ENDED),
    ] {
        for store in &stores {
            let count = looked_up(store, query.clone().limit(10));
            assert_eq!(count, 10, "{query:?}");
        }
    }
}

#[test]
fn all_paused_runs_are_listed_with_one_look_at_each() {
    let store = filled(1_000);
    let mut query = RunQuery::unfinished().limit(100);
    let mut count = 0;
    for _ in 0..10 {
        let page = store.page(query.clone(), |run| {
            count += 1;
            store.look_up(run)
        });
        query = query.after(&page[99]);
    }
    assert_eq!(count, 1_000);
}
