//! The killed program.

use std::sync::Arc;

use quell::{
    Agent, CancelOutcome, EventKind, NewRun, Run, RunStatus, Runtime, Store,
    error::{EventsError, StartError},
    event::Paused,
    runtime::{Decisions, Recovered, RuntimeConfig, WhenBusy},
    store::RunQuery,
    stores::{OpenError, SqliteStore, Synchronous},
};

use crate::{
    agents,
    closing::{close_again_and_again, copy_again_and_again},
    lines::{Line, open_pipe, say},
    orders::{Orders, Task},
    planted::Hasty,
    support::Dice,
    waited::wait,
};

/// Does its task until it is killed.
pub(crate) fn obey(orders: &Orders) {
    open_pipe();
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    tokio.block_on(async {
        match orders.task {
            Task::Try => return try_to_open(orders),
            Task::Close => close_again_and_again(orders).await,
            Task::Wait => wait(orders, Synchronous::Normal).await,
            Task::WaitForDisk => wait(orders, Synchronous::Full).await,
            Task::Work => {
                let store = open(orders);
                work(orders, store).await;
            }
            Task::Lie => {
                let store = Hasty::new(open(orders));
                work(orders, store).await;
            }
            Task::Copy => {
                let store = open(orders);
                work(orders, store.clone()).await;
                copy_again_and_again(orders, &store).await;
            }
        }
        std::future::pending().await
    })
}

fn try_to_open(orders: &Orders) {
    match SqliteStore::open(&orders.file) {
        Ok(_) => say(&Line::Opened),
        Err(OpenError::InUse { by, path }) => {
            assert_eq!(path, orders.file);
            say(&Line::Refused(by));
        }
        Err(other) => panic!("{other}"),
    }
}

pub(crate) fn open(orders: &Orders) -> SqliteStore {
    say(&Line::Opening);
    let store = SqliteStore::open(&orders.file).unwrap();
    say(&Line::Opened);
    store
}

/// Recovers, and then keeps starting runs.
pub(crate) async fn work(orders: &Orders, store: impl Store) -> Runtime {
    let config = RuntimeConfig::default();
    let opened = agents::known().config(config).open(store).await;
    let (runtime, recovered) = opened.unwrap();
    say(&Line::Ready);
    // Set once only: tools of a closed runtime can start no more runs, and need no other runtime.
    let _ = agents::RUNTIME.set(runtime.clone());
    go_on(&runtime, recovered).await;
    let mut dice = Dice::new(orders.seed);
    for _ in 0..orders.lives {
        let dice = Dice::new(dice.roll(u64::MAX));
        tokio::spawn(live(runtime.clone(), dice));
    }
    runtime
}

/// Follows the runs that an earlier process left.
async fn go_on(runtime: &Runtime, recovered: Recovered) {
    assert_eq!(recovered.failed, []);
    for id in recovered.requeued.into_iter().chain(recovered.resumed) {
        let run = runtime.get(id).await.unwrap().unwrap();
        tokio::spawn(async move { follow(&run).await });
    }
    let waiting = runtime
        .runs(RunQuery::unfinished().limit(50))
        .await
        .unwrap();
    let paused = waiting
        .iter()
        .filter(|head| head.status == RunStatus::Paused);
    for head in paused.skip(1).step_by(2) {
        let run = runtime.get(head.run_id).await.unwrap().unwrap();
        let runtime = runtime.clone();
        tokio::spawn(async move {
            if let Some(paused) = follow(&run).await {
                decide(&runtime, &run, &paused, true).await;
                follow(&run).await;
            }
        });
    }
}

/// One run after another.
async fn live(runtime: Runtime, mut dice: Dice) {
    loop {
        let (agent, run) = next(&mut dice);
        match runtime.start(&agent, run).await {
            Ok(run) => be_at(&runtime, &run, &mut dice).await,
            Err(StartError::SessionBusy(_) | StartError::SessionQueueFull(_)) => {
                tokio::task::yield_now().await;
            }
            // The store was closed.
            Err(
                StartError::ShuttingDown
                | StartError::StoreUnknown(_)
                | StartError::StoreUnavailable(_),
            ) => return,
            Err(other) => panic!("{other}"),
        }
    }
}

fn next(dice: &mut Dice) -> (Agent, NewRun) {
    let agent = match dice.roll(16) {
        0..3 => agents::poet(),
        3..6 => agents::singer(),
        6..8 => agents::clerk(),
        8..11 => agents::steady(),
        11 | 12 => agents::buyer(),
        13 => agents::boss(),
        14 => agents::broken(),
        _ => agents::panicky(),
    };
    let run = NewRun::new("Go.");
    let run = match dice.roll(8) {
        0..3 => run.session(format!("s-{}", dice.roll(4))),
        _ => run,
    };
    let run = run.when_busy(match dice.roll(6) {
        0..3 => WhenBusy::Queue,
        3 => WhenBusy::Interrupt,
        4 => WhenBusy::Parallel,
        _ => WhenBusy::Reject,
    });
    (agent, run)
}

/// Follows one run, and perhaps cancels it, decides on its calls, or leaves it paused.
async fn be_at(runtime: &Runtime, run: &Run, dice: &mut Dice) {
    let id = run.id();
    say(&Line::Kept { run: id, seq: 1 });
    let ends = run.agent_name() != "singer";
    if dice.roll(8) == 0 || !ends {
        let (runtime, words) = (runtime.clone(), dice.some(128));
        let run = run.clone();
        tokio::spawn(async move { cancel_after(&runtime, &run, words).await });
    }
    let mut decided = dice.roll(3);
    while let Some(paused) = follow(run).await {
        if decided == 0 {
            return;
        }
        decide(runtime, run, &paused, decided.is_multiple_of(2)).await;
        decided -= 1;
    }
}

async fn cancel_after(runtime: &Runtime, run: &Run, events: u64) {
    let mut stream = run.events();
    for _ in 0..events {
        if !matches!(stream.next().await, Some(Ok(_))) {
            break;
        }
    }
    let answer = runtime.cancel(run.id()).await;
    if let CancelOutcome::Accepted { seq, durable: true } = answer {
        say(&Line::Kept { run: run.id(), seq });
    }
}

/// Prints all events of a run as they come. Returns what the run waits for if it is paused.
pub(crate) async fn follow(run: &Run) -> Option<Arc<Paused>> {
    let mut events = run.events();
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            // The store was closed.
            Err(EventsError::StoreLost { .. } | EventsError::Read { .. }) => return None,
            Err(other) => panic!("{other}"),
        };
        say(&Line::saw(&event));
        if let EventKind::Paused(paused) = event.kind
            && run.status() == RunStatus::Paused
        {
            return Some(paused);
        }
    }
    None
}

async fn decide(runtime: &Runtime, run: &Run, paused: &Paused, approve: bool) {
    let calls = paused.calls.iter();
    let decisions = calls.fold(Decisions::new(), |decisions, waiting| match approve {
        true => decisions.approve(waiting.call.id.clone()),
        false => decisions.reject(waiting.call.id.clone(), "No."),
    });
    // A cancel may have come first.
    let _ = runtime.continue_run(run.id(), decisions).await;
}
