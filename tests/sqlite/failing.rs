//! A full disk, a commit of unknown outcome, and one run whose row is damaged.

use quell::{
    Store,
    store::{AppendError, RunQuery},
    stores::SqliteStore,
};
use rusqlite::Connection;

use crate::support::{Folder, Hand, said};

#[tokio::test]
async fn a_full_disk_refuses_what_is_surely_not_stored_and_works_again_when_there_is_room() {
    let folder = Folder::new();
    let options = SqliteStore::options(folder.db()).max_bytes(1 << 20);
    let store = options.clone().open().unwrap();
    let mut old = Hand::of_session("old");
    old.start(&store).await;
    for _ in 0..8 {
        old.say(&store, &"many words ".repeat(4_000)).await;
    }
    old.end(&store).await;
    let mut hand = Hand::of_session("new");
    hand.start(&store).await;
    let refused = loop {
        let batch = hand.batch(vec![said(&"many words ".repeat(4_000))]);
        match batch.send(&store).await {
            Ok(_) => hand.events.extend(batch.events),
            Err(error) => break (batch, error),
        }
    };
    let (batch, error) = refused;
    assert!(matches!(error, AppendError::Unavailable(_)), "{error}");
    assert!(is_of_sqlite(&error), "the cause is kept: {error}");
    for _ in 0..3 {
        let again = batch.send(&store).await;
        assert!(
            matches!(again, Err(AppendError::Unavailable(_))),
            "{again:?}"
        );
        hand.expect_in(&store).await;
        old.expect_in(&store).await;
    }
    assert_eq!(store.runs(RunQuery::default()).await.unwrap().len(), 2);
    let left = folder.as_if_killed();
    let killed = left.open();
    hand.expect_in(&killed).await;
    old.expect_in(&killed).await;

    assert_eq!(store.delete_run(old.id).await, Ok(true));
    batch.send(&store).await.unwrap();
    hand.events.extend(batch.events);
    hand.expect_in(&store).await;
    store.close().await;
    hand.expect_in(&options.open().unwrap()).await;
}

/// Makes every commit that writes to the journal fail at its very end.
const BREAK: &str = "CREATE TABLE parent (id INTEGER PRIMARY KEY); \
     CREATE TABLE child (parent REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED); \
     CREATE TRIGGER broken AFTER INSERT ON journal BEGIN INSERT INTO child VALUES (1); END;";
const MEND: &str = "DROP TRIGGER broken; DROP TABLE child; DROP TABLE parent";

#[tokio::test]
async fn a_commit_of_which_nobody_knows_is_unknown_and_a_retry_settles_it() {
    let folder = Folder::new();
    let store = folder.open();
    let (mut one, mut two) = (Hand::of_session("s"), Hand::new());
    one.start(&store).await;
    two.start(&store).await;
    one.say(&store, "before").await;
    let other = Connection::open(folder.db()).unwrap();
    for _ in 0..3 {
        other.execute_batch(BREAK).unwrap();
        let batch = one.batch(vec![said("in doubt")]);
        for _ in 0..3 {
            let answer = batch.send(&store).await;
            assert!(matches!(answer, Err(AppendError::Unknown(_))), "{answer:?}");
            one.expect_in(&store).await;
        }
        other.execute_batch(MEND).unwrap();
        assert_eq!(batch.send(&store).await, Ok(one.last() + 1));
        assert_eq!(batch.send(&store).await, Ok(one.last() + 1));
        one.events.extend(batch.events);
        one.expect_in(&store).await;
        two.say(&store, "undisturbed").await;
        two.expect_in(&store).await;
    }
    for hand in [&one, &two] {
        hand.expect_in(&folder.as_if_killed().open()).await;
    }
    // The retry did the work of opening, and so moved events into segments early.
    let folded = "SELECT count(*) FROM segments WHERE run = ?";
    let folded: i64 = other
        .query_row(folded, [two.id.as_bytes()], |row| row.get(0))
        .unwrap();
    assert!(folded > 0);
}

#[tokio::test]
async fn one_run_that_cannot_be_written_does_not_spoil_the_commits_of_others() {
    let folder = Folder::new();
    let store = folder.open();
    let mut bad = Hand::of_session("bad");
    bad.start(&store).await;
    let other = Connection::open(folder.db()).unwrap();
    let damage = "UPDATE sessions SET checksum = 1 WHERE id = 'bad'";
    other.execute_batch(damage).unwrap();
    let mut hands: Vec<Hand> = (0..20).map(|_| Hand::of_session("good")).collect();
    for hand in &mut hands {
        hand.start(&store).await;
    }
    let mut second = Hand::of_session("bad");
    let started = second.started();
    let spoiled = second.batch(vec![started]);
    let batches: Vec<_> = hands
        .iter_mut()
        .map(|hand| hand.batch(vec![said("word")]))
        .collect();
    let (answers, refused) = tokio::join!(
        futures::future::join_all(batches.iter().map(|batch| batch.send(&store))),
        spoiled.send(&store),
    );
    assert!(
        matches!(refused, Err(AppendError::Unavailable(_))),
        "{refused:?}"
    );
    assert!(answers.iter().all(|answer| *answer == Ok(2)), "{answers:?}");
    assert_eq!(store.head(second.id).await, Ok(None));
}

/// Whether an error of SQLite is among what was behind `error`.
fn is_of_sqlite(error: &AppendError) -> bool {
    let first = std::error::Error::source(error);
    let mut causes = std::iter::successors(first, |cause| cause.source());
    causes.any(|cause| cause.is::<rusqlite::Error>())
}
