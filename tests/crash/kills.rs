//! Killed at random moments, again and again, on one file.

use std::path::Path;

use quell::{
    EventKind, RunStatus, Runtime,
    runtime::{Decisions, RuntimeBuilder},
    store::RunQuery,
    stores::SqliteStore,
};

use crate::{
    agents,
    check::{Left, Printed, faults, listed, open_whole},
    child::Child,
    orders::{Orders, Task},
    support::{Dice, Folder, silence_told_panics},
};

const KILLS: u64 = 110;

/// How many programs are killed on one file, one after another.
const ON_ONE_FILE: u64 = 22;

/// How many lines are read before a kill, at most.
const LINES: u64 = 1_000;

#[tokio::test]
async fn whatever_was_seen_outlives_a_hundred_kills() {
    silence_told_panics();
    let mut dice = Dice::of("kills");
    let (mut under_way, mut calling, mut seen) = (0, 0, 0);
    for _ in 0..KILLS / ON_ONE_FILE {
        let folder = Folder::new();
        let file = folder.path("runs.db");
        let mut printed = Printed::default();
        for _ in 0..ON_ONE_FILE {
            let orders = Orders::new(Task::Work, &file, dice.roll(u64::MAX));
            let mut child = Child::start(&orders);
            child.hear(dice.roll(LINES) + 1).await;
            let heard = child.kill().await;
            let mut now = Printed::default();
            let events = now.add(&heard);
            printed.add(&heard);

            let left = look(&file, &now).await;
            seen += events;
            under_way += u64::from(left.runs > 0 && events > 0);
            calling += u64::from(left.calls > 0);
            match dice.roll(4) {
                0 => settle(&file, Runtime::builder(), &now).await,
                1 => settle(&file, agents::known(), &now).await,
                // The next program recovers.
                _ => {}
            }
        }
        settle(&file, agents::known(), &printed).await;
        decide_all(&file).await;
        settle(&file, Runtime::builder(), &printed).await;
        let store = open_whole(&file);
        assert_eq!(listed(&store, RunQuery::unfinished()).await, []);
    }
    println!(
        "of {KILLS} kills {under_way} met runs under way, and {calling} tools at work; {seen} events had been seen"
    );
    assert!(under_way * 10 >= KILLS * 9, "{under_way} of {KILLS}");
    assert!(calling * 2 >= KILLS, "{calling} of {KILLS}");
}

/// Checks what the kill has left, before anything else opens the file. Returns what was running.
pub(crate) async fn look(file: &Path, printed: &Printed) -> Left {
    let store = SqliteStore::open_read_only(file).unwrap();
    assert_eq!(faults(&store, printed, false).await, []);
    Left::in_store(&store).await
}

/// Recovers as the next program would, waits for the resumed runs, and checks again.
pub(crate) async fn settle(file: &Path, recover: RuntimeBuilder, printed: &Printed) {
    let store = SqliteStore::open(file).unwrap();
    let before = Left::in_store(&store).await.runs;
    let opened = recover.open(store.clone()).await;
    let (runtime, recovered) = opened.unwrap();
    assert_eq!(recovered.failed, []);
    let come_back = [recovered.requeued, recovered.resumed].concat();
    let settled = recovered.cancelled.len() + recovered.interrupted.len();
    assert_eq!(settled + come_back.len(), before, "each is settled once");
    let mut runs = Vec::new();
    for id in come_back {
        let run = runtime.get(id).await.unwrap().unwrap();
        if run.agent_name() == "singer" {
            // It was requeued, and would never end by itself.
            run.cancel();
        }
        runs.push(run);
    }
    for run in runs {
        let mut events = run.events();
        while let Some(event) = events.next().await {
            if let EventKind::Paused(_) = event.unwrap().kind
                && run.status() == RunStatus::Paused
            {
                break;
            }
        }
    }
    assert_eq!(faults(&store, printed, true).await, []);
    drop(runtime);
    store.close().await;
}

/// Continues every paused run: all can be continued, however often their process was killed.
async fn decide_all(file: &Path) {
    let store = SqliteStore::open(file).unwrap();
    let opened = agents::known().open(store.clone()).await;
    let (runtime, recovered) = opened.unwrap();
    let waiting = listed(&store, RunQuery::unfinished()).await;
    assert_eq!(recovered.paused, waiting.len());
    println!("{} runs wait for a person", waiting.len());
    for head in waiting {
        let run = runtime.get(head.run_id).await.unwrap().unwrap();
        let mut events = run.events_from(head.last);
        let Some(Ok(event)) = events.next().await else {
            panic!("{head:?} does not say what it waits for");
        };
        let EventKind::Paused(paused) = event.kind else {
            panic!("{head:?} waits, and says {event:?}");
        };
        let calls = paused.calls.iter();
        let decisions = calls.fold(Decisions::new(), |all, waiting| {
            all.approve(waiting.call.id.clone())
        });
        runtime.continue_run(run.id(), decisions).await.unwrap();
        let outcome = run.outcome().await.unwrap();
        assert_eq!(outcome.status(), RunStatus::Completed, "{outcome:?}");
    }
    drop(runtime);
    store.close().await;
}
