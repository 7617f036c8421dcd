//! What was read once stays readable: readers beside a writer never see a run go back.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use quell::{Store, store::RunQuery, stores::SqliteStore};

use crate::support::{Folder, Hand, said};

/// Reads a run in every way there is, over and over, and expects it never to go back.
async fn watch(store: SqliteStore, hand: Hand, over: Arc<AtomicBool>) -> u64 {
    let (mut seen, mut ended, mut looks) = (0, false, 0);
    while !over.load(Ordering::SeqCst) || !ended {
        let listed = store.runs(RunQuery::session("s")).await.unwrap();
        let listed = listed.into_iter().find(|head| head.run_id == hand.id);
        let head = store.head(hand.id).await.unwrap();
        for head in listed.into_iter().chain(head) {
            assert!(head.last >= seen, "{} after {seen}", head.last);
            assert!(head.status.is_ended() || !ended);
            (seen, ended) = (head.last, head.status.is_ended());
        }
        if seen > 0 {
            // A page may end before the run does, but it has what was seen before.
            let page = store.read(hand.id, seen - 1, 100).await.unwrap();
            let positions: Vec<u64> = page.iter().map(|event| event.seq).collect();
            let expected: Vec<u64> = (seen..).take(page.len().max(1)).collect();
            assert_eq!(positions, expected);
            seen = positions.last().copied().unwrap();
        }
        looks += 1;
    }
    looks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_never_goes_back_in_the_eyes_of_a_reader() {
    let folder = Folder::new();
    // Everything is folded as soon as possible, so that runs move in and out of memory all the time.
    let options = SqliteStore::options(folder.db()).journal_age(std::time::Duration::ZERO);
    let store = options.open().unwrap();
    let hands: Vec<Hand> = (0..4).map(|_| Hand::of_session("s")).collect();
    let over = Arc::new(AtomicBool::new(false));
    let watchers: Vec<_> = hands
        .iter()
        .map(|hand| tokio::spawn(watch(store.clone(), hand.clone(), over.clone())))
        .collect();
    let talkers: Vec<_> = hands
        .into_iter()
        .map(|mut hand| {
            let store = store.clone();
            tokio::spawn(async move {
                hand.start(&store).await;
                for n in 0..300 {
                    let long = if n % 50 == 0 { 9_000 } else { 1 };
                    let words = said(&"word ".repeat(long));
                    hand.append(&store, vec![words]).await.unwrap();
                }
                hand.end(&store).await;
                hand
            })
        })
        .collect();
    for talker in talkers {
        talker.await.unwrap().expect_in(&store).await;
    }
    over.store(true, Ordering::SeqCst);
    for watcher in watchers {
        assert!(watcher.await.unwrap() > 0);
    }
}

#[tokio::test]
async fn a_run_is_listed_from_its_first_append_on() {
    let folder = Folder::new();
    let store = folder.open();
    for n in 1..=20 {
        let mut hand = Hand::of_session("s");
        hand.start(&store).await;
        let runs = store.runs(RunQuery::session("s")).await.unwrap();
        assert_eq!(runs.len(), n);
        assert!(runs.iter().any(|head| head.run_id == hand.id));
        let session = store.session("s".into()).await.unwrap().unwrap();
        assert_eq!(session.runs, n as u64);
    }
}

#[test]
fn it_needs_no_tokio_to_be_read_or_written() {
    let folder = Folder::new();
    futures::executor::block_on(async {
        let store = folder.open();
        let mut hand = Hand::of_session("s");
        hand.start(&store).await;
        hand.say(&store, "word").await;
        hand.end(&store).await;
        hand.expect_in(&store).await;
        store.backup(folder.path("copy.db")).await.unwrap();
        store.close().await;
    });
}
