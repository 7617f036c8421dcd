//! Damage on disk gives an error where it is found, and never a wrong event or a panic.

use std::fs;

use quell::{
    Store,
    store::{AppendError, RunQuery, SessionQuery},
    stores::{IntegrityCheck, OpenError, SqliteStore},
};

use crate::support::{Folder, Hand, change, said};

#[tokio::test]
async fn bytes_that_changed_on_the_disk_are_an_error_and_never_another_event() {
    let folder = Folder::new();
    let store = folder.open();
    let mut hands = Vec::new();
    for n in 0..4 {
        let mut hand = Hand::of_session(&format!("session {n}"));
        hand.start(&store).await;
        hand.say(&store, &"many words ".repeat(600 * n)).await;
        if n % 2 == 0 {
            hand.end(&store).await;
        }
        hands.push(hand);
    }
    store.close().await;
    let whole = fs::read(folder.db()).unwrap();
    let (mut refused, mut read, mut failed) = (0, 0, 0);
    for at in (0..whole.len()).step_by(whole.len() / 400) {
        let left = Folder::new();
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(left.db(), bytes).unwrap();
        let options = SqliteStore::options(left.db()).integrity_check(IntegrityCheck::Full);
        let Ok(store) = options.open() else {
            refused += 1;
            continue;
        };
        for hand in &hands {
            match store.head(hand.id).await {
                Ok(head) => assert_eq!(head.map(|head| head.last), Some(hand.last()), "byte {at}"),
                Err(_) => failed += 1,
            }
            match store.read(hand.id, 0, 1_000).await {
                Ok(events) => assert_eq!(events, hand.events, "byte {at}"),
                Err(_) => failed += 1,
            }
            read += 1;
        }
        if let Ok(runs) = store.runs(RunQuery::default()).await {
            assert_eq!(runs.len(), hands.len(), "byte {at}");
        }
        if let Ok(sessions) = store.sessions(SessionQuery::default()).await {
            let ids: Vec<_> = sessions.into_iter().map(|head| head.session_id).collect();
            let all: Vec<_> = hands
                .iter()
                .rev()
                .filter_map(|hand| hand.session.clone())
                .collect();
            assert_eq!(ids, all, "byte {at}");
        }
    }
    assert!(
        refused > 0 && read > 0 && failed > 0,
        "{refused} {read} {failed}"
    );
}

#[tokio::test]
async fn every_row_and_every_blob_is_compared_with_its_checksum() {
    let folder = Folder::new();
    let store = folder.open();
    let (mut ended, mut live) = (Hand::of_session("s"), Hand::new());
    ended.start(&store).await;
    ended.end(&store).await;
    live.start(&store).await;
    live.say(&store, "in the journal").await;
    let left = folder.as_if_killed();
    store.close().await;
    let damage = |sql: &str| {
        let copy = Folder::new();
        fs::copy(folder.db(), copy.db()).unwrap();
        // A damaged row of a run that is still in the journal prevents opening the file; see below.
        change(&copy.db(), "DELETE FROM journal");
        change(&copy.db(), sql);
        copy
    };
    for (column, value) in [
        ("agent", "'other'"),
        ("session", "'other'"),
        ("status", "5"),
        ("epoch", "7"),
        ("last", "9"),
        ("folded", "1"),
        ("born", "9"),
        ("batch", "zeroblob(16)"),
        ("created_at", "1"),
        ("updated_at", "1"),
        ("user", "'other'"),
        ("parent", "zeroblob(16)"),
        (
            "usage",
            "'{\"input_tokens\":1,\"output_tokens\":0,\"source\":\"none\"}'",
        ),
        ("cut", "'tool'"),
    ] {
        let copy = damage(&format!("UPDATE runs SET {column} = {value}"));
        let store = copy.open();
        assert!(store.head(ended.id).await.is_err(), "{column}");
        assert!(store.runs(RunQuery::default()).await.is_err(), "{column}");
        let late = live.batch(vec![said("late")]).send(&store).await;
        assert!(matches!(late, Err(AppendError::Unavailable(_))), "{late:?}");
    }
    for (column, value) in [
        ("name", "'other'"),
        ("created_at", "1"),
        ("updated_at", "1"),
        ("title", "'other'"),
        ("agent", "'other'"),
        ("user", "'other'"),
        ("state", "'{}'"),
        ("metadata", "'{}'"),
        (
            "usage",
            "'{\"input_tokens\":1,\"output_tokens\":0,\"source\":\"none\"}'",
        ),
        ("runs", "7"),
        ("last_at", "1"),
        ("last_run", "zeroblob(16)"),
    ] {
        let copy = damage(&format!("UPDATE sessions SET {column} = {value}"));
        let store = copy.open();
        assert!(store.session("s".into()).await.is_err(), "{column}");
        assert!(
            store.sessions(SessionQuery::default()).await.is_err(),
            "{column}"
        );
        ended.expect_in(&store).await;
    }
    for sql in [
        "UPDATE segments SET payload = zeroblob(100)",
        "UPDATE segments SET last = last + 1",
        "UPDATE segments SET first = first + 1",
        "DELETE FROM segments",
    ] {
        let copy = damage(sql);
        let store = copy.open();
        assert!(store.read(ended.id, 0, 9).await.is_err(), "{sql}");
        assert!(store.head(ended.id).await.is_ok(), "{sql}");
    }
    for sql in [
        "UPDATE runs SET epoch = 7",
        "UPDATE journal SET payload = zeroblob(100)",
        "DELETE FROM journal WHERE id = 2",
    ] {
        let copy = left.as_if_killed();
        change(&copy.db(), sql);
        let refused = SqliteStore::open(copy.db()).unwrap_err();
        assert!(
            matches!(refused, OpenError::Corrupt { .. }),
            "{sql}: {refused}"
        );
    }
}

#[tokio::test]
async fn a_file_that_is_cut_short_is_refused_or_right() {
    let folder = Folder::new();
    let store = folder.open();
    let mut hand = Hand::new();
    hand.start(&store).await;
    hand.say(&store, &"many words ".repeat(3_000)).await;
    hand.end(&store).await;
    store.close().await;
    let whole = fs::read(folder.db()).unwrap();
    for length in (1..whole.len()).step_by(whole.len() / 40) {
        let left = Folder::new();
        fs::write(left.db(), &whole[..length]).unwrap();
        if let Ok(store) = SqliteStore::open(left.db())
            && let Ok(events) = store.read(hand.id, 0, 10).await
        {
            assert_eq!(events, hand.events, "{length}");
        }
    }
}
