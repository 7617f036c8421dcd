use std::{env, fs, path::PathBuf};

use quell_actors::{
    RunId,
    store::{RunQuery, SessionQuery},
};

use super::{
    super::{list, open::migrated, options::SqliteOptions, recover::recover},
    *,
};

/// A copy of the file that an older release made, deleted when the test is over.
struct Copy(PathBuf);

impl Copy {
    fn new() -> Copy {
        let path = env::temp_dir().join(format!("quell-{}.db", RunId::new()));
        let old = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sqlite/old/f823b6f.db");
        fs::copy(old, &path).unwrap();
        Copy(path)
    }

    /// The file with its journal folded, and its rows not filled in.
    fn open(&self) -> Connection {
        let mut db = migrated(&SqliteOptions::new(&self.0)).unwrap();
        recover(&mut db).unwrap();
        db
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{end}", self.0.display()));
        }
    }
}

#[test]
fn filling_in_goes_on_where_it_was_cut_short() {
    let said = |db: &Connection| {
        let runs = list::runs(db, &RunQuery::default(), |row| Ok(row.head)).unwrap();
        (runs, list::sessions(db, &SessionQuery::default()).unwrap())
    };
    let whole = Copy::new();
    let mut db = whole.open();
    fill_in(&mut db).unwrap();
    let should = said(&db);
    assert_eq!((should.0.len(), should.1.len()), (10, 4));
    assert!(should.0.iter().any(|head| head.parent.is_some()));

    for cut in 1..5 {
        let copy = Copy::new();
        let db = copy.open();
        assert!(is_due(&db).unwrap());
        for _ in 0..cut {
            slice(&db, &due(&db).unwrap().unwrap(), 2).unwrap();
        }
        drop(db);
        let mut db = copy.open();
        assert!(is_due(&db).unwrap(), "after {cut} slices");
        fill_in(&mut db).unwrap();
        assert!(!is_due(&db).unwrap());
        assert_eq!(said(&db), should, "after {cut} slices");
    }
}

#[test]
fn an_event_that_cannot_be_read_stops_nothing() {
    let copy = Copy::new();
    let mut db = copy.open();
    db.execute("UPDATE segments SET payload = zeroblob(100)", [])
        .unwrap();
    fill_in(&mut db).unwrap();
    let runs = list::runs(&db, &RunQuery::default(), |row| Ok(row.head)).unwrap();
    assert_eq!(runs.len(), 10);
    assert!(runs.iter().all(|head| head.usage.is_none()));
    let sessions = list::sessions(&db, &SessionQuery::default()).unwrap();
    let counts: Vec<u64> = sessions.iter().map(|head| head.runs).collect();
    assert_eq!(counts.iter().sum::<u64>(), 8);
    assert!(sessions.iter().all(|head| head.title.is_none()));
}
