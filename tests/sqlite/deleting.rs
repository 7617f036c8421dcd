//! What is deleted, by a caller or by age, is gone, and nothing else is.

use std::time::{Duration, SystemTime};

use quell::{
    Store,
    id::Timestamp,
    store::{AppendError, ReadError, RunQuery, SessionPatch, SessionQuery},
    stores::{Retention, SqliteStore},
};

use crate::support::{Folder, Hand, said};

#[tokio::test]
async fn a_live_run_that_was_deleted_stays_deleted_though_the_journal_has_it() {
    let folder = Folder::new();
    let store = folder.open();
    let (mut gone, mut kept) = (Hand::of_session("gone"), Hand::of_session("kept"));
    gone.start(&store).await;
    kept.start(&store).await;
    gone.say(&store, "soon forgotten").await;
    kept.say(&store, "kept").await;
    assert_eq!(store.delete_run(gone.id).await, Ok(true));
    assert_eq!(store.delete_run(gone.id).await, Ok(false));
    for store in [&store, &folder.as_if_killed().open()] {
        assert_eq!(store.head(gone.id).await, Ok(None));
        let expired = Err(ReadError::Expired { first: 1 });
        assert_eq!(store.read(gone.id, 0, 9).await, expired);
        let late = gone.batch(vec![said("late")]).send(store).await;
        assert_eq!(late, Err(AppendError::Fenced { epoch: 0, last: 0 }));
        assert_eq!(store.session("gone".into()).await, Ok(None));
        kept.expect_in(store).await;
    }
}

#[tokio::test]
async fn a_run_that_is_made_again_after_its_deletion_has_nothing_of_the_old_one() {
    let folder = Folder::new();
    let store = folder.open();
    let mut old = Hand::new();
    let mut new = old.clone();
    old.start(&store).await;
    old.say(&store, "the old words").await;
    old.say(&store, "and more of them").await;
    store.delete_run(old.id).await.unwrap();
    new.at = 5_000;
    new.start(&store).await;
    new.expect_in(&store).await;
    new.expect_in(&folder.as_if_killed().open()).await;
    new.say(&store, "new words").await;
    new.expect_in(&store).await;
    new.expect_in(&folder.as_if_killed().open()).await;
    let look = SqliteStore::open_read_only(folder.db()).unwrap();
    new.expect_in(&look).await;
}

#[tokio::test]
async fn a_session_goes_with_all_its_runs_and_stays_gone() {
    let folder = Folder::new();
    let store = folder.open();
    let mut other = Hand::of_session("other");
    other.start(&store).await;
    let mut gone = Vec::new();
    for n in 0..5 {
        let mut hand = Hand::of_session("s");
        hand.start(&store).await;
        if n % 2 == 0 {
            hand.end(&store).await;
        }
        gone.push(hand);
    }
    store
        .put_session("s".into(), named("name"), Timestamp::from_millis(9))
        .await
        .unwrap();
    assert_eq!(store.delete_session("s".into()).await, Ok(true));
    assert_eq!(store.delete_session("s".into()).await, Ok(false));
    for store in [&store, &folder.as_if_killed().open()] {
        assert_eq!(store.session("s".into()).await, Ok(None));
        for hand in &gone {
            assert_eq!(store.head(hand.id).await, Ok(None));
        }
        assert_eq!(store.runs(RunQuery::default()).await.unwrap().len(), 1);
        other.expect_in(store).await;
    }
}

fn named(name: &str) -> SessionPatch {
    SessionPatch::new().name(Some(name))
}

fn now() -> u64 {
    Timestamp::from(SystemTime::now()).as_millis()
}

const HOUR: u64 = 3_600_000;

/// Runs that ended so many hours ago, and two that did not end.
async fn filled(store: &SqliteStore, hours: &[u64]) -> (Vec<Hand>, Vec<Hand>) {
    let (mut ended, mut unfinished) = (Vec::new(), Vec::new());
    for hours in hours {
        let mut hand = Hand::of_session(&format!("{hours} hours ago"));
        hand.at = now() - hours * HOUR;
        hand.start(store).await;
        hand.end(store).await;
        ended.push(hand);
    }
    for _ in 0..2 {
        let mut hand = Hand::new();
        hand.start(store).await;
        unfinished.push(hand);
    }
    let at = Timestamp::from_millis(1);
    store
        .put_session("9 hours ago".into(), named("a name"), at)
        .await
        .unwrap();
    (ended, unfinished)
}

#[tokio::test]
async fn ended_runs_are_kept_by_age_and_by_number_and_unfinished_ones_always() {
    let by_age = Retention {
        max_age: Some(Duration::from_millis(6 * HOUR)),
        ..Retention::default()
    };
    let by_number = Retention {
        max_ended_runs: Some(2),
        ..Retention::default()
    };
    for retention in [by_age, by_number] {
        let folder = Folder::new();
        let store = folder.open();
        let (ended, unfinished) = filled(&store, &[9, 8, 7, 3, 2]).await;
        store.close().await;
        let store = SqliteStore::options(folder.db())
            .retention(retention)
            .open()
            .unwrap();
        for hand in &ended[..3] {
            assert_eq!(store.head(hand.id).await, Ok(None));
            let expired = Err(ReadError::Expired { first: 1 });
            assert_eq!(store.read(hand.id, 0, 9).await, expired);
        }
        for hand in ended[3..].iter().chain(&unfinished) {
            hand.expect_in(&store).await;
        }
        let sessions = store.sessions(SessionQuery::default()).await.unwrap();
        let ids: Vec<&str> = sessions.iter().map(|head| &*head.session_id).collect();
        assert_eq!(
            ids,
            ["2 hours ago", "3 hours ago", "9 hours ago"],
            "a name keeps a session"
        );
    }
}

#[tokio::test]
async fn runs_beyond_the_number_go_while_the_store_is_open() {
    let folder = Folder::new();
    let retention = Retention {
        max_ended_runs: Some(10),
        ..Retention::default()
    };
    let store = SqliteStore::options(folder.db())
        .retention(retention)
        .open()
        .unwrap();
    let mut live = Hand::new();
    live.start(&store).await;
    let mut last = Hand::new();
    for n in 0..600 {
        last = Hand::of_session(&format!("session {n}"));
        last.at = 1_000 + n;
        last.start(&store).await;
        last.end(&store).await;
    }
    // The store deletes after every so many endings, and not at each.
    let left = store.runs(RunQuery::default().limit(1_000)).await.unwrap();
    assert!(left.len() < 600 - 256, "{}", left.len());
    let sessions = store
        .sessions(SessionQuery::default().limit(1_000))
        .await
        .unwrap();
    assert!(sessions.len() < left.len() + 1, "{}", sessions.len());
    last.expect_in(&store).await;
    live.expect_in(&store).await;
}
