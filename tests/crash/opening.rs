//! Killed before the first commit, and while what was left is settled.

use quell::Recover;

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
    for _ in 0..24 {
        let folder = Folder::new();
        let file = folder.path("runs.db");
        let mut orders = Orders::new(Task::Work, &file, dice.roll(u64::MAX));
        orders.lives = 4;
        let mut child = Child::start(&orders);
        match dice.roll(4) {
            0 => {}
            1 | 2 => child.hear_of(&Line::Opening, 1).await,
            _ => child.hear_of(&Line::Opened, 1).await,
        }
        Child::let_some_moments_pass(&mut dice);
        let heard = child.kill().await;
        landed[stage(&heard)] += 1;

        let mut again = Child::start(&orders);
        again.hear(50).await;
        let mut printed = Printed::default();
        printed.add(&heard);
        printed.add(&again.kill().await);
        look(&file, &printed).await;
        settle(&file, Recover::new(), &printed).await;
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
        orders.lives = 150;
        let mut child = Child::start(&orders);
        child.hear(dice.roll(500) + 500).await;
        printed.add(&child.kill().await);
        for _ in 0..4 {
            let mut child = Child::start(&orders);
            match dice.roll(3) {
                0 => child.hear_of(&Line::Opening, 1).await,
                _ => child.hear_of(&Line::Opened, 1).await,
            }
            Child::let_some_moments_pass(&mut dice);
            let heard = child.kill().await;
            landed[stage(&heard)] += 1;
            printed.add(&heard);
            look(&file, &printed).await;
        }
    }
    settle(&file, Recover::new(), &printed).await;
    println!("before it was begun, open, ready, and after: {landed:?}");
    assert!(landed[1] + landed[2] > 0, "{landed:?}");
}
