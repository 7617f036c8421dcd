//! Killed while the store is closed, and while it is copied.

use std::path::PathBuf;

use quell::{
    Runtime,
    runtime::Shutdown,
    stores::{OpenError, SqliteStore},
};

use crate::{
    check::Printed,
    child::Child,
    kills::{look, settle},
    lines::{Line, say},
    orders::{Orders, Task},
    program::{open, work},
    support::{Dice, Folder},
};

/// Task of the killed program: starts runs, closes the store under them, and opens it again.
pub(crate) async fn close_again_and_again(orders: &Orders) {
    let mut orders = orders.clone();
    loop {
        let store = open(&orders);
        let runtime = work(&orders, store.clone()).await;
        while store.stats().events < 300 {
            tokio::task::yield_now().await;
        }
        say(&Line::Closing);
        store.close().await;
        say(&Line::Closed);
        let at_once = Shutdown {
            finish_within: std::time::Duration::ZERO,
            cancel_within: std::time::Duration::ZERO,
        };
        runtime.shutdown(at_once).await;
        orders.seed = orders.seed.wrapping_add(1);
    }
}

/// Task of the killed program: copies the store while runs are active in it.
pub(crate) async fn copy_again_and_again(orders: &Orders, store: &SqliteStore) {
    for number in 0.. {
        say(&Line::Copying(number));
        store.backup(copy_of(orders, number)).await.unwrap();
        say(&Line::Copied(number));
    }
}

fn copy_of(orders: &Orders, number: u32) -> PathBuf {
    orders.file.with_extension(number.to_string())
}

#[tokio::test]
async fn a_program_that_is_killed_while_it_closes_loses_nothing() {
    let mut dice = Dice::of("closing");
    let folder = Folder::new();
    let file = folder.path("runs.db");
    let (mut printed, mut closing) = (Printed::default(), 0);
    for _ in 0..10 {
        let orders = Orders::new(Task::Close, &file, dice.roll(u64::MAX));
        let mut child = Child::start(&orders);
        let times = usize::try_from(dice.roll(3) + 1).unwrap();
        child.hear_of(&Line::Closing, times).await;
        Child::let_some_moments_pass(&mut dice, 1 << 16);
        let heard = child.kill().await;
        printed.add(&heard);
        let count = |line: &Line| heard.iter().filter(|heard| *heard == line).count();
        closing += usize::from(count(&Line::Closing) > count(&Line::Closed));
        look(&file, &printed).await;
    }
    settle(&file, Runtime::builder(), &printed).await;
    println!("{closing} of 10 kills came while the store was closed");
}

/// A program that was killed while it copied.
struct Copied {
    folder: Folder,
    orders: Orders,
    heard: Vec<Line>,
}

impl Copied {
    async fn new(dice: &mut Dice) -> Copied {
        let folder = Folder::new();
        let orders = Orders::new(Task::Copy, &folder.path("runs.db"), dice.roll(u64::MAX));
        let mut child = Child::start(&orders);
        let last = u32::try_from(dice.roll(4)).unwrap();
        child.hear_of(&Line::Copying(last), 1).await;
        Child::let_some_moments_pass(dice, 1 << 16);
        let heard = child.kill().await;
        Copied {
            folder,
            orders,
            heard,
        }
    }

    fn printed(&self) -> Printed {
        let mut printed = Printed::default();
        printed.add(&self.heard);
        printed
    }

    /// The copies that were started: the path, the lines before it, and whether the copy was confirmed.
    fn copies(&self) -> impl Iterator<Item = (PathBuf, Printed, bool)> {
        (0..).map_while(|number| {
            let mut heard = self.heard.iter();
            let begun = heard.position(|line| *line == Line::Copying(number))?;
            let mut before = Printed::default();
            before.add(&self.heard[..begun]);
            let made = self.heard.contains(&Line::Copied(number));
            Some((copy_of(&self.orders, number), before, made))
        })
    }
}

#[tokio::test]
async fn a_program_that_is_killed_while_it_copies_leaves_its_store_and_whole_copies() {
    let mut dice = Dice::of("copying");
    let mut whole = 0;
    for _ in 0..10 {
        let copied = Copied::new(&mut dice).await;
        look(&copied.orders.file, &copied.printed()).await;
        for (copy, before, _) in copied.copies().filter(|(.., made)| *made) {
            settle(&copy, Runtime::builder(), &before).await;
            whole += 1;
        }
        settle(&copied.orders.file, Runtime::builder(), &copied.printed()).await;
    }
    println!("{whole} copies are whole");
    assert!(whole > 0);
}

#[tokio::test]
async fn a_copy_that_was_cut_is_not_taken_for_a_whole_one() {
    let mut dice = Dice::of("cutting");
    let (mut cut, mut refused) = (0, 0);
    for _ in 0..20 {
        let copied = Copied::new(&mut dice).await;
        let copies = copied
            .copies()
            .filter(|(copy, _, made)| !made && copy.exists());
        for (copy, before, _) in copies {
            cut += 1;
            let bytes = std::fs::metadata(&copy).unwrap().len();
            match SqliteStore::open(&copy) {
                Ok(store) => {
                    let lost = before.lost(&store).await.len();
                    assert_eq!(
                        lost,
                        0,
                        "{bytes} bytes in {}",
                        copied.folder.path("").display()
                    );
                }
                Err(OpenError::Corrupt { .. } | OpenError::Foreign { .. }) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
    }
    println!("{cut} copies were cut, and {refused} of them are refused");
}
