//! Two processes and one file.

use quell::{
    Runtime,
    stores::{OpenError, SqliteStore},
};
use rustix::process::Signal;

use crate::{
    check::{Printed, faults},
    child::Child,
    kills::{look, settle},
    lines::Line,
    orders::{Orders, Task},
    support::{Dice, Folder},
};

/// The lines of a second program that tries to open the file.
async fn second(orders: &Orders) -> Vec<Line> {
    let orders = Orders {
        task: Task::Try,
        ..orders.clone()
    };
    Child::start(&orders).rest().await
}

#[tokio::test]
async fn the_second_process_is_refused_and_the_runs_of_the_first_are_not_touched() {
    let mut dice = Dice::of("two");
    let folder = Folder::new();
    let file = folder.path("runs.db");
    let orders = Orders::new(Task::Work, &file, dice.roll(u64::MAX));
    let mut first = Child::start(&orders);
    first.hear(300).await;
    let by = Some(first.id());
    for _ in 0..5 {
        assert_eq!(second(&orders).await, [Line::Refused(by)]);
        first.hear(200).await;
    }
    // This process, a third one, is refused too.
    let refused = SqliteStore::open(&file).unwrap_err();
    assert!(
        matches!(&refused, OpenError::InUse { by: other, .. } if *other == by),
        "{refused}"
    );
    let words = format!("is in use by process {}", first.id());
    assert!(refused.to_string().ends_with(&words), "{refused}");

    // A stopped process still has the file.
    first.signal(Signal::STOP);
    assert_eq!(second(&orders).await, [Line::Refused(by)]);
    first.signal(Signal::CONT);
    first.hear(500).await;

    let heard = first.kill().await;
    assert!(!heard.iter().any(|line| matches!(line, Line::Refused(_))));
    let mut printed = Printed::default();
    printed.add(&heard);
    let left = look(&file, &printed).await;
    assert!(left.runs > 0, "its runs were at work until it was killed");
    // Now the file is free.
    assert_eq!(second(&orders).await, [Line::Opened]);
    settle(&file, Runtime::builder(), &printed).await;
}

#[tokio::test]
async fn what_a_process_has_shown_is_there_for_others_to_read_at_once() {
    let mut dice = Dice::of("looking");
    let folder = Folder::new();
    let file = folder.path("runs.db");
    let orders = Orders::new(Task::Work, &file, dice.roll(u64::MAX));
    let mut child = Child::start(&orders);
    child.hear_of(&Line::Ready, 1).await;
    let store = SqliteStore::open_read_only(&file).unwrap();
    for _ in 0..5 {
        child.hear(dice.roll(400) + 1).await;
        let mut printed = Printed::default();
        printed.add(&child.heard());
        let lost = printed.lost(&store).await;
        assert_eq!(lost, []);
    }
    let mut printed = Printed::default();
    printed.add(&child.kill().await);
    assert_eq!(faults(&store, &printed, false).await, []);
}

#[tokio::test]
async fn a_store_that_was_closed_can_be_opened_at_once_also_while_programs_are_started() {
    let folder = Folder::new();
    let file = folder.path("runs.db");
    let starting = std::thread::spawn(|| {
        for _ in 0..200 {
            // Before `exec` the child has all open files of this process.
            let mut program = std::process::Command::new("true").spawn().unwrap();
            program.wait().unwrap();
        }
    });
    while !starting.is_finished() {
        let store = SqliteStore::open(&file).unwrap();
        store.close().await;
    }
    starting.join().unwrap();
}
