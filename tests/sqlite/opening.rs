//! Who may open a file, and which files are opened.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use quell::{
    Store,
    store::{AppendError, ReadError, RunQuery, WriteError},
    stores::{OpenError, SqliteStore},
};
use rusqlite::Connection;

use crate::support::{Folder, Hand, all, change, said};

#[tokio::test]
async fn of_two_that_open_it_the_second_is_told_who_has_it() {
    let folder = Folder::new();
    let store = folder.open();
    let mut hand = Hand::new();
    hand.start(&store).await;
    let other_way = folder.path("link.db");
    std::os::unix::fs::symlink(folder.db(), &other_way).unwrap();
    for path in [folder.db(), other_way] {
        let refused = SqliteStore::open(path).unwrap_err();
        let OpenError::InUse { by, .. } = refused else {
            panic!("{refused}");
        };
        assert_eq!(by, Some(std::process::id()));
    }
    hand.say(&store, "undisturbed").await;
    let clone = store.clone();
    drop(store);
    assert!(SqliteStore::open(folder.db()).is_err(), "a handle is left");
    drop(clone);
    hand.expect_in(&folder.open()).await;
}

#[tokio::test]
async fn a_closed_store_says_so_and_lets_go_of_the_file() {
    let folder = Folder::new();
    let store = folder.open();
    let mut hand = Hand::of_session("s");
    hand.start(&store).await;
    store.close().await;
    let again = folder.open();
    assert!(matches!(
        hand.batch(vec![said("late")]).send(&store).await,
        Err(AppendError::Unavailable(_))
    ));
    assert!(matches!(
        store.delete_run(hand.id).await,
        Err(WriteError::Unavailable(_))
    ));
    assert!(matches!(
        store.head(hand.id).await,
        Err(ReadError::Failed(_))
    ));
    assert!(matches!(
        store.runs(RunQuery::default()).await,
        Err(ReadError::Failed(_))
    ));
    store.close().await;
    drop(store);
    hand.expect_in(&again).await;
    assert!(SqliteStore::open(folder.db()).is_err());
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    let sqlite = folder.path("other.db");
    let db = Connection::open(&sqlite).unwrap();
    db.execute_batch("CREATE TABLE runs (id); INSERT INTO runs VALUES (1)")
        .unwrap();
    drop(db);
    let marked = folder.path("marked.db");
    let db = Connection::open(&marked).unwrap();
    db.execute_batch("PRAGMA application_id = 7; CREATE TABLE t (a)")
        .unwrap();
    drop(db);
    let text = folder.path("text.db");
    fs::write(&text, "Dear diary, ".repeat(1_000)).unwrap();
    for path in [sqlite, marked, text] {
        let before = fs::read(&path).unwrap();
        for refused in [SqliteStore::open(&path), SqliteStore::open_read_only(&path)] {
            let refused = refused.unwrap_err();
            assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
        }
        assert!(fs::read(&path).unwrap() == before, "{}", path.display());
    }
}

#[test]
fn a_path_that_leads_nowhere_is_an_error_of_its_own() {
    let folder = Folder::new();
    let nowhere = folder.path("no/such/folder.db");
    for refused in [
        SqliteStore::open(&nowhere),
        SqliteStore::open_read_only(&nowhere),
        SqliteStore::open_read_only(folder.db()),
    ] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, OpenError::NotFound { .. }), "{refused}");
    }
    assert!(SqliteStore::open(folder.path("")).is_err(), "a folder");
    assert!(!folder.db().exists());
}

#[test]
fn what_cannot_be_written_to_is_refused_and_can_be_looked_at() {
    let folder = Folder::new();
    drop(folder.open());
    let writable = |yes: bool| {
        let modes = if yes { (0o755, 0o644) } else { (0o555, 0o444) };
        for name in ["runs.db", "runs.db.lock", "runs.db-wal", "runs.db-shm"] {
            if folder.path(name).exists() {
                fs::set_permissions(folder.path(name), Permissions::from_mode(modes.1)).unwrap();
            }
        }
        fs::set_permissions(folder.path(""), Permissions::from_mode(modes.0)).unwrap();
    };
    writable(false);
    // The superuser can write whatever the modes say, so this is skipped for it.
    if fs::write(folder.path("probe"), "").is_err() {
        let refused = SqliteStore::open(folder.db()).unwrap_err();
        assert!(matches!(refused, OpenError::ReadOnly { .. }), "{refused}");
        SqliteStore::open_read_only(folder.db()).unwrap();
    }
    writable(true);
    folder.open();
}

#[tokio::test]
async fn a_file_of_a_newer_release_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    let store = folder.open();
    Hand::new().start(&store).await;
    store.close().await;
    let path = folder.db();

    change(&path, "PRAGMA user_version = 99");
    for refused in [SqliteStore::open(&path), SqliteStore::open_read_only(&path)] {
        let refused = refused.unwrap_err();
        assert!(
            matches!(
                refused,
                OpenError::Newer {
                    found: 99,
                    known: 2,
                    ..
                }
            ),
            "{refused}"
        );
    }
    change(
        &path,
        "PRAGMA user_version = 2; UPDATE meta SET value = 7 WHERE key = 'events_version'",
    );
    for refused in [SqliteStore::open(&path), SqliteStore::open_read_only(&path)] {
        let refused = refused.unwrap_err();
        let newer = matches!(
            refused,
            OpenError::NewerEvents {
                found: 7,
                known: 2,
                ..
            }
        );
        assert!(newer, "{refused}");
    }
    change(
        &path,
        "UPDATE meta SET value = 2 WHERE key = 'events_version'",
    );
    folder.open();
}

#[tokio::test]
async fn a_file_of_version_0_is_brought_up_to_date() {
    // A program that is killed while it creates the file leaves an empty file with our mark.
    let folder = Folder::new();
    change(&folder.db(), "PRAGMA application_id = 1366649964; VACUUM");
    let store = folder.open();
    let mut hand = Hand::of_session("s");
    hand.start(&store).await;
    hand.expect_in(&store).await;
    store.close().await;
    let version: i64 = Connection::open(folder.db())
        .unwrap()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 2);
    // The same for an empty file without a mark.
    let empty = folder.path("empty.db");
    fs::write(&empty, "").unwrap();
    SqliteStore::open(&empty).unwrap();
}

#[tokio::test]
async fn who_only_looks_sees_what_another_writes_and_changes_nothing() {
    let folder = Folder::new();
    let store = folder.open();
    let look = SqliteStore::open_read_only(folder.db()).unwrap();
    let (mut one, mut two) = (Hand::of_session("s"), Hand::of_session("s"));
    one.start(&store).await;
    two.start(&store).await;
    for round in 0..30 {
        one.say(&store, &format!("{round} ").repeat(1_000)).await;
        two.say(&store, "a little ").await;
        one.expect_in(&look).await;
        two.expect_in(&look).await;
    }
    two.end(&store).await;
    two.expect_in(&look).await;
    let unfinished = look.runs(RunQuery::unfinished()).await.unwrap();
    assert_eq!(
        unfinished,
        store.runs(RunQuery::unfinished()).await.unwrap()
    );
    assert_eq!(unfinished.len(), 1);
    assert_eq!(
        look.session("s".into()).await,
        store.session("s".into()).await
    );

    let late = one.batch(vec![said("mine")]).send(&look).await;
    assert!(matches!(late, Err(AppendError::Unavailable(_))), "{late:?}");
    let deleted = look.delete_run(one.id).await;
    assert!(matches!(deleted, Err(WriteError::Unavailable(_))));
    look.backup(folder.path("copy.db")).await.unwrap();

    store.delete_run(one.id).await.unwrap();
    assert_eq!(look.head(one.id).await, Ok(None));
    assert_eq!(
        look.read(one.id, 3, 9).await,
        Err(ReadError::Expired { first: 4 })
    );
    one.expect_in(&SqliteStore::open(folder.path("copy.db")).unwrap())
        .await;

    // A file left by a killed process can be read without bringing it up to date.
    let left = folder.as_if_killed();
    let before = fs::read(left.db()).unwrap();
    let look = SqliteStore::open_read_only(left.db()).unwrap();
    two.expect_in(&look).await;
    assert!(all(&look, two.id).await.len() > 30);
    look.close().await;
    drop(look);
    assert!(fs::read(left.db()).unwrap() == before);
}
