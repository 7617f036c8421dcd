//! A backup is a store like any other, with everything that was confirmed before it was requested.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use quell::stores::{BackupError, SqliteStore};

use crate::support::{Folder, Hand, all};

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_holds_what_was_answered_before_it_while_runs_go_on() {
    let folder = Folder::new();
    let store = folder.open();
    let mut before: Vec<Hand> = (0..20).map(|_| Hand::of_session("s")).collect();
    for (n, hand) in before.iter_mut().enumerate() {
        hand.start(&store).await;
        hand.say(&store, &"words ".repeat(n * 300)).await;
        if n % 3 == 0 {
            hand.end(&store).await;
        }
    }
    let over = Arc::new(AtomicBool::new(false));
    let talker = tokio::spawn({
        let (store, over) = (store.clone(), over.clone());
        async move {
            let mut hand = Hand::new();
            hand.start(&store).await;
            while !over.load(Ordering::SeqCst) {
                hand.say(&store, &"and on ".repeat(100)).await;
            }
            hand
        }
    });
    for n in 0..5 {
        let copy = folder.path(&format!("copy {n}.db"));
        store.backup(&copy).await.unwrap();
        let again = store.backup(&copy).await.unwrap_err();
        assert!(matches!(again, BackupError::Exists { .. }), "{again}");
        let copy = SqliteStore::open(copy).unwrap();
        for hand in &before {
            hand.expect_in(&copy).await;
        }
    }
    over.store(true, Ordering::SeqCst);
    let talker = talker.await.unwrap();
    talker.expect_in(&store).await;
    let copy = SqliteStore::open(folder.path("copy 4.db")).unwrap();
    let part = all(&copy, talker.id).await;
    assert!(talker.events.starts_with(&part));
}

#[tokio::test]
async fn a_backup_that_fails_leaves_nothing_behind_and_harms_nothing() {
    let folder = Folder::new();
    let store = folder.open();
    let mut hand = Hand::new();
    hand.start(&store).await;
    let failed = store.backup(folder.path("no/folder.db")).await.unwrap_err();
    assert!(matches!(failed, BackupError::Failed { .. }), "{failed}");
    let taken = folder.path("taken");
    fs::write(&taken, "precious").unwrap();
    assert!(store.backup(&taken).await.is_err());
    assert_eq!(fs::read(&taken).unwrap(), b"precious");
    assert!(store.backup(folder.db()).await.is_err());
    hand.say(&store, "and on").await;
    hand.expect_in(&store).await;
}
