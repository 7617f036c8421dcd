//! Killed before the first commit, and during recovery.

use std::fs;

use quell::Runtime;

use crate::{
    check::Printed,
    child::Child,
    kills::{look, settle},
    lines::Line,
    orders::{Orders, Task},
    support::{Dice, Folder},
};

#[tokio::test]
async fn a_program_that_is_killed_as_it_makes_its_file_can_be_started_again() {
    let mut dice = Dice::of("making");
    let mut landed = [0; 4];
    for round in 0..24 {
        let folder = Folder::new();
        let file = folder.path("runs.db");
        let mut orders = Orders::new(Task::Work, &file, dice.roll(u64::MAX));
        orders.lives = 4;
        let mut child = Child::start(&orders);
        // A fast machine gets far in little time, so some are killed without any delay.
        let moments = match round % 4 {
            0 => 1,
            1 => {
                child.hear_of(&Line::Opening, 1).await;
                1
            }
            2 => {
                child.hear_of(&Line::Opening, 1).await;
                1 << 12
            }
            _ => {
                child.hear_of(&Line::Opened, 1).await;
                1 << 16
            }
        };
        Child::let_some_moments_pass(&mut dice, moments);
        let heard = child.kill().await;
        landed[stage(&heard)] += 1;

        let mut again = Child::start(&orders);
        again.hear(50).await;
        let mut printed = Printed::default();
        printed.add(&heard);
        printed.add(&again.kill().await);
        look(&file, &printed).await;
        settle(&file, Runtime::builder(), &printed).await;
    }
    println!("before it was begun, open, ready, and after: {landed:?}");
    assert!(landed[0] + landed[1] > 0, "{landed:?}");
}

/// How far a program came.
fn stage(heard: &[Line]) -> usize {
    let stages = [Line::Opening, Line::Opened, Line::Ready];
    stages.iter().filter(|line| heard.contains(line)).count()
}

#[tokio::test]
async fn recovery_that_is_killed_again_and_again_settles_each_run_once() {
    let mut dice = Dice::of("recovering");
    let folder = Folder::new();
    let file = folder.path("runs.db");
    let (mut printed, mut landed) = (Printed::default(), [0; 4]);
    for _ in 0..5 {
        let mut orders = Orders::new(Task::Work, &file, dice.roll(u64::MAX));
        orders.lives = 100;
        let mut child = Child::start(&orders);
        child.hear(dice.roll(300) + 300).await;
        printed.add(&child.kill().await);
        // The first brings the file up to date; the others only have runs to settle.
        for (line, moments) in [
            (Line::Opening, 1 << 10),
            (Line::Opened, 1 << 10),
            (Line::Opened, 1 << 16),
        ] {
            let mut child = Child::start(&orders);
            child.hear_of(&line, 1).await;
            Child::let_some_moments_pass(&mut dice, moments);
            let heard = child.kill().await;
            landed[stage(&heard)] += 1;
            printed.add(&heard);
            look(&file, &printed).await;
        }
    }
    settle(&file, Runtime::builder(), &printed).await;
    println!("before it was begun, open, ready, and after: {landed:?}");
    assert!(landed[1] + landed[2] > 0, "{landed:?}");
}

#[tokio::test]
async fn a_kill_while_the_file_is_brought_up_to_date_loses_nothing() {
    let mut dice = Dice::of("folding");
    let folder = Folder::new();
    let mut orders = Orders::new(Task::Work, &folder.path("runs.db"), dice.roll(u64::MAX));
    orders.lives = 60;
    let mut child = Child::start(&orders);
    child.hear(800).await;
    let mut printed = Printed::default();
    printed.add(&child.kill().await);
    let (mut landed, mut last) = ([0; 4], None);
    for _ in 0..60 {
        // Each starts from a copy of what the first has left, so that each has all of the work to do.
        let copy = Folder::new();
        for name in ["runs.db", "runs.db-wal"] {
            fs::copy(orders.file.with_file_name(name), copy.path(name)).unwrap();
        }
        let orders = Orders {
            file: copy.path("runs.db"),
            lives: 0,
            ..orders.clone()
        };
        let mut child = Child::start(&orders);
        child.hear_of(&Line::Opening, 1).await;
        // The time it takes differs between machines, and from run to run.
        let most = 1 << (9 + dice.roll(4));
        Child::let_some_moments_pass(&mut dice, most);
        landed[stage(&child.kill().await)] += 1;
        look(&orders.file, &printed).await;
        last = Some(copy);
    }
    let last = last.unwrap();
    settle(&last.path("runs.db"), Runtime::builder(), &printed).await;
    println!("before it was begun, open, ready, and after: {landed:?}");
    assert!(landed[1] > 0, "{landed:?}");
}
