use std::{env, fs};

use futures::join;
use quell_actors::{EventKind, RunEvent, event::Started, message::Message};

use super::*;

fn start() -> (RunId, Expected, Events) {
    let run_id = RunId::new();
    let started = Started::new("test", vec![Message::user("Go.")]);
    let event = RunEvent {
        run_id,
        seq: 1,
        at: Timestamp::from_millis(1),
        kind: EventKind::Started(Arc::new(started)),
    };
    let expected = Expected {
        epoch: 1,
        last: 0,
        acquire: false,
    };
    (run_id, expected, Events::from_list(vec![event]).unwrap())
}

#[tokio::test]
async fn a_writer_that_panics_leaves_nobody_waiting_and_lets_go_of_the_file() {
    let folder = env::temp_dir().join(format!("quell-{}", RunId::new()));
    fs::create_dir(&folder).unwrap();
    let path = folder.join("runs.db");
    let store = SqliteStore::open(&path).unwrap();
    let (kept, expected, events) = start();
    assert_eq!(
        store.append(kept, expected, BatchId(1), events).await,
        Ok(1)
    );

    let (run, expected, events) = start();
    let (panicked, waiting) = join!(
        store.change(Change::Panic),
        store.append(run, expected, BatchId(1), events.clone()),
    );
    assert!(
        matches!(panicked, Err(WriteError::Unknown(_))),
        "{panicked:?}"
    );
    // It may have come before the panic, with it, or after it.
    assert!(waiting != Ok(2) && !matches!(waiting, Err(AppendError::Fenced { .. })));
    loop {
        let late = store
            .append(run, expected, BatchId(2), events.clone())
            .await;
        match late {
            // The thread may not be quite gone.
            Err(AppendError::Unknown(_)) => {}
            Err(AppendError::Unavailable(_)) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(
        store.change(Change::Panic).await,
        Err(WriteError::Unavailable(_))
    ));
    store.close().await;
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.head(kept).await.unwrap().unwrap().last, 1);
    drop(store);
    fs::remove_dir_all(folder).unwrap();
}
