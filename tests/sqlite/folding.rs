//! Where events are in the file: in the bounded journal, and in segments, which are written once.

use std::time::Duration;

use futures::future::join_all;
use quell::{Store, stores::SqliteStore};
use rusqlite::Connection;

use crate::support::{Folder, Hand, all, said};

/// The segments of the file: first position, last position, bytes.
fn segments(folder: &Folder) -> Vec<(i64, i64, i64)> {
    let db = Connection::open(folder.db()).unwrap();
    let mut list = db
        .prepare("SELECT first, last, length(payload) FROM segments ORDER BY run, first")
        .unwrap();
    let rows = list.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

fn journal_bytes(folder: &Folder) -> i64 {
    let db = Connection::open(folder.db()).unwrap();
    let sum = "SELECT coalesce(sum(length(payload)), 0) FROM journal";
    db.query_row(sum, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn segments_are_at_most_64_kib_unless_one_event_is_larger() {
    let folder = Folder::new();
    let store = folder.open();
    let mut hand = Hand::new();
    hand.start(&store).await;
    for length in [
        10,
        20_000,
        70_000,
        5,
        40_000,
        40_000,
        200_000,
        1,
        1,
        64 * 1024,
    ] {
        hand.say(&store, &"x".repeat(length)).await;
    }
    let many = (0..3_000).map(|n| said(&format!("word {n} "))).collect();
    hand.append(&store, many).await.unwrap();
    hand.expect_in(&store).await;
    hand.end(&store).await;
    hand.expect_in(&store).await;
    store.close().await;
    let found = segments(&folder);
    assert_eq!(found.first().unwrap().0, 1);
    for (first, last, bytes) in &found {
        assert!(
            *bytes <= 64 * 1024 || first == last,
            "{first}..={last}: {bytes}"
        );
    }
    for pair in found.windows(2) {
        assert_eq!(pair[0].1 + 1, pair[1].0);
    }
    assert_eq!(found.last().unwrap().1 as u64, hand.last());
    // Small segments are packed together.
    assert!(found.len() < 16, "{}", found.len());
    hand.expect_in(&folder.open()).await;
}

#[tokio::test]
async fn a_page_begins_anywhere_and_goes_over_segments_and_memory() {
    let folder = Folder::new();
    let store = folder.open();
    let mut hand = Hand::new();
    hand.start(&store).await;
    for n in 0..40 {
        let words = (0..10)
            .map(|m| said(&format!("{n} {m} ").repeat(40)))
            .collect();
        hand.append(&store, words).await.unwrap();
    }
    assert!(!segments(&folder).is_empty(), "some of it is folded");
    for after in (0..=hand.last()).step_by(7) {
        for limit in [1, 13, 1_000] {
            let page = store.read(hand.id, after, limit).await.unwrap();
            let rest = &hand.events[after as usize..];
            assert!(rest.starts_with(&page) && page.len() <= limit);
            assert!(!page.is_empty() || rest.is_empty());
        }
    }
    assert_eq!(store.read(hand.id, hand.last(), 9).await, Ok(vec![]));
    assert_eq!(store.read(hand.id, u64::MAX, 9).await, Ok(vec![]));
    assert_eq!(store.read(hand.id, 0, 0).await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_run_does_not_keep_the_journal_from_being_cut() {
    let folder = Folder::new();
    let bound = 256 * 1024;
    let options = SqliteStore::options(folder.db()).journal_bytes(bound);
    let store = options.open().unwrap();
    let mut quiet = Hand::new();
    quiet.start(&store).await;
    let talkers = (0..8).map(|_| {
        let store = store.clone();
        async move {
            let mut hand = Hand::new();
            hand.start(&store).await;
            for _ in 0..200 {
                hand.say(&store, &"words and words ".repeat(60)).await;
            }
            hand
        }
    });
    let talkers = join_all(talkers).await;
    // A confirmed append is stored, and a journal beyond its bound is folded before the next append.
    quiet.say(&store, "still here").await;
    quiet.say(&store, "and here").await;
    assert!(
        journal_bytes(&folder) <= 2 * bound as i64,
        "{}",
        journal_bytes(&folder)
    );
    for hand in talkers.iter().chain([&quiet]) {
        hand.expect_in(&store).await;
        hand.expect_in(&folder.as_if_killed().open()).await;
    }
}

#[tokio::test]
async fn a_run_that_says_nothing_for_long_is_folded() {
    let folder = Folder::new();
    let options = SqliteStore::options(folder.db()).journal_age(Duration::ZERO);
    let store = options.open().unwrap();
    let (mut one, mut two) = (Hand::new(), Hand::new());
    one.start(&store).await;
    for _ in 0..20 {
        two.start(&store).await;
        one.say(&store, "word").await;
        one.expect_in(&store).await;
        two = Hand::new();
    }
    assert!(segments(&folder).len() > 20, "{}", segments(&folder).len());
    one.expect_in(&folder.as_if_killed().open()).await;
}

#[tokio::test]
async fn a_closed_store_is_one_file_with_an_empty_journal() {
    let folder = Folder::new();
    let store = folder.open();
    let mut hands: Vec<Hand> = (0..200).map(|_| Hand::new()).collect();
    for hand in &mut hands {
        hand.start(&store).await;
        hand.say(&store, "live").await;
    }
    store.close().await;
    assert!(!folder.path("runs.db-wal").exists());
    let copy = Folder::new();
    std::fs::copy(folder.db(), copy.db()).unwrap();
    assert_eq!(segments(&copy).len(), 200);
    let store = copy.open();
    for hand in &hands {
        assert_eq!(all(&store, hand.id).await, hand.events);
    }
}
