//! The storm itself.

use std::{sync::Arc, time::Duration};

use quell::{
    EventKind, NewRun, Run, RunEvent, RunId, RunStatus, Runtime, Store,
    error::{EventsError, StartError},
    event::Paused,
    ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent},
    runtime::{Decisions, RuntimeConfig, WhenBusy},
    sim::Probe,
    store::RunQuery,
    stores::{SqliteOptions, SqliteStore},
};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

use crate::{
    cast::Player,
    check::{Fault, Printed, all, faults, listed, open_whole},
    lines::{Line, json},
    support::{Dice, Folder, silence_told_panics},
    weather::Stormy,
};

/// How many runs are active at a time, and how many of them have a slot.
const AT_ONCE: usize = 200;
const SLOTS: usize = 150;

/// How long an append is retried. Runs whose appends are never confirmed wait this long.
const PATIENCE: Duration = Duration::from_secs(2);

/// A passing test never reaches it.
const LIMIT: Duration = Duration::from_secs(120);

/// A foreign supervisor that survives the end of its children.
struct Above;

impl Actor for Above {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        _: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// A run as its reader saw it.
struct Told {
    run: RunId,
    seen: Vec<RunEvent>,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The reader saw its ending.
    Ended,
    /// The store was lost.
    Lost,
    /// The start failed with an unknown outcome: the run may be in the store or not.
    Doubtful,
    Refused,
}

struct Storm {
    runtime: Runtime,
    /// The runtime's supervisor: its children are the runs.
    runs: ActorCell,
    seed: u64,
    alive: Arc<()>,
}

impl Storm {
    async fn new(store: impl Store + Clone, seed: u64, patience: Duration) -> Storm {
        let (above, _) = Actor::spawn(None, Above, ()).await.unwrap();
        let config = RuntimeConfig {
            max_live_runs: SLOTS,
            store_patience: patience,
            ..RuntimeConfig::default()
        };
        // A store that fails when its runs are listed is opened again, as a program would be started again.
        let runtime = loop {
            let builder = Runtime::builder().config(config.clone());
            let opened = builder.under(above.get_cell()).open(store.clone()).await;
            match opened {
                Ok((runtime, _)) => break runtime,
                Err(error) => println!("not opened: {error}"),
            }
        };
        // The supervisor is spawned by another task.
        let runs = loop {
            if let Some(runs) = above.get_cell().get_children().pop() {
                break runs;
            }
            tokio::task::yield_now().await;
        };
        Storm {
            runtime,
            runs,
            seed,
            alive: Arc::new(()),
        }
    }

    /// Plays so many runs. Returns what the reader of each saw, and a probe of its model.
    async fn blow(self: Arc<Storm>, runs: u64) -> Vec<(Told, Probe)> {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let mut under_way = JoinSet::new();
        for run in 0..runs {
            let permit = room.clone().acquire_owned().await.unwrap();
            let storm = self.clone();
            under_way.spawn(async move {
                let told = timeout(LIMIT, storm.one(run)).await;
                drop(permit);
                told.unwrap_or_else(|_| panic!("run {run} hangs"))
            });
        }
        under_way.join_all().await
    }

    async fn one(&self, number: u64) -> (Told, Probe) {
        let mut dice = Dice::new(self.seed ^ (number << 24));
        let player = Player::any(&mut dice, &self.alive);
        let id: RunId = format!("{number:032x}").parse().unwrap();
        let mut run = NewRun::new("Go.").id(id);
        if dice.roll(5) == 0 {
            let when_busy = [WhenBusy::Queue, WhenBusy::Interrupt, WhenBusy::Parallel];
            run = run
                .session(format!("s-{}", dice.roll(8)))
                .when_busy(when_busy[usize::try_from(dice.roll(3)).unwrap()]);
        }
        let end = match self.runtime.start(&player.agent, run).await {
            Ok(run) => {
                let (seen, end) = self.see_through(&run, player.stalls, &mut dice).await;
                let told = Told { run: id, seen, end };
                return (told, player.probe);
            }
            Err(StartError::StoreUnknown(_)) => End::Doubtful,
            Err(StartError::StoreUnavailable(_)) => End::Refused,
            Err(other) => panic!("{other}"),
        };
        let seen = Vec::new();
        (Told { run: id, seen, end }, player.probe)
    }

    /// Reads a run to its end, while it may be cancelled or killed.
    async fn see_through(&self, run: &Run, stalls: bool, dice: &mut Dice) -> (Vec<RunEvent>, End) {
        let reader = {
            let (run, runtime, decision) = (run.clone(), self.runtime.clone(), dice.roll(3));
            tokio::spawn(async move { read(&runtime, &run, decision).await })
        };
        for _ in 0..dice.roll(60) {
            tokio::task::yield_now().await;
        }
        match dice.roll(10) {
            0 => drop(run.cancel().await),
            1 => drop(run.cancel()),
            // It may be the actor of any run.
            2 => self.some_actor(dice).into_iter().for_each(|it| it.kill()),
            _ => {}
        }
        if stalls {
            run.cancel().await;
        }
        reader.await.unwrap()
    }

    fn some_actor(&self, dice: &mut Dice) -> Option<ActorCell> {
        let mut runs = self.runs.get_children();
        let count = u64::try_from(runs.len()).unwrap();
        (count > 0).then(|| runs.swap_remove(usize::try_from(dice.roll(count)).unwrap()))
    }
}

async fn read(runtime: &Runtime, run: &Run, decision: u64) -> (Vec<RunEvent>, End) {
    let mut events = run.events();
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(EventsError::StoreLost { last_stored }) => {
                assert_eq!(
                    last_stored,
                    seen.len() as u64,
                    "all that is stored is shown"
                );
                return (seen, End::Lost);
            }
            Err(other) => panic!("{other}"),
        };
        seen.push(event.clone());
        match event.kind {
            EventKind::Paused(paused) => decide(runtime, run, &paused, decision).await,
            kind if kind.is_last() => return (seen, End::Ended),
            _ => {}
        }
    }
    panic!("the stream of {run:?} ended without an ending");
}

async fn decide(runtime: &Runtime, run: &Run, paused: &Paused, decision: u64) {
    if decision == 0 {
        run.cancel().await;
        return;
    }
    let calls = paused.calls.iter();
    let decisions = calls.fold(Decisions::new(), |all, waiting| match decision {
        1 => all.approve(waiting.call.id.clone()),
        _ => all.reject(waiting.call.id.clone(), "No."),
    });
    // It may fail because the store is lost or the run was cancelled first: the stream shows what happened.
    let _ = runtime.continue_run(run.id(), decisions).await;
}

/// Expects the store to have every event that a reader saw, and the ending of each run that was not lost.
async fn hold_to(store: &SqliteStore, told: &[(Told, Probe)]) -> Printed {
    let mut printed = Printed::default();
    for (told, probe) in told {
        let lines: Vec<Line> = told.seen.iter().map(Line::saw).collect();
        printed.add(&lines);
        assert_eq!(probe.open(), 0, "a stream of {} is open", told.run);
        let stored = all(store, told.run).await;
        match told.end {
            End::Ended => assert_eq!(forms(&stored), forms(&told.seen)),
            End::Refused => assert_eq!(stored, []),
            End::Lost | End::Doubtful => {}
        }
    }
    // Lost runs are being stored late meanwhile, so that a list may be older than the runs in it: it is read again.
    let mut found = faults(store, &printed, false).await;
    for _ in 0..100 {
        if !found
            .iter()
            .any(|fault| matches!(fault, Fault::Listed { .. }))
        {
            break;
        }
        found = faults(store, &printed, false).await;
    }
    assert_eq!(found, []);
    printed
}

/// Events as they are printed.
fn forms(events: &[RunEvent]) -> Vec<String> {
    events.iter().map(json).collect()
}

/// Opens the file as the next program would: then each run has its ending.
async fn settle(options: SqliteOptions, printed: &Printed) {
    let store = options.open().unwrap();
    let opened = Runtime::builder().open(store.clone()).await;
    let (runtime, recovered) = opened.unwrap();
    assert_eq!(recovered.failed, []);
    let waiting = listed(&store, RunQuery::unfinished()).await;
    assert!(waiting.iter().all(|run| run.status == RunStatus::Paused));
    assert_eq!(faults(&store, printed, true).await, []);
    println!(
        "recovery ended {} runs as cancelled and {} as interrupted; {} wait for a person",
        recovered.cancelled.len(),
        recovered.interrupted.len(),
        waiting.len()
    );
    drop(runtime);
    store.close().await;
}

/// How many parts of an agent hold `alive`.
const PARTS: usize = 6;

/// Checks that nothing of any run is left in memory but the agents of those that are paused, and without the runtime not
/// even they.
async fn nothing_is_left(storm: Arc<Storm>, store: &SqliteStore) {
    assert_eq!(storm.runtime.list(), [], "runs are left");
    let storm = Arc::into_inner(storm).expect("its runs are over");
    let Storm {
        alive,
        runs,
        runtime,
        ..
    } = storm;
    // A lost run whose ending is stored late leaves the store's memory a moment after it is listed as ended.
    loop {
        let unfinished = listed(store, RunQuery::unfinished()).await;
        let stats = store.stats();
        if stats.waiting == 0 && stats.live_runs <= unfinished.len() as u64 {
            break;
        }
        tokio::task::yield_now().await;
    }
    // An actor drops its run shortly after its ending. A run whose pause the store has not taken keeps its agent, for when
    // the store is back, and so does one that is paused in it.
    let kept = || PARTS * runtime.stats().paused;
    while Arc::strong_count(&alive) > 1 + kept() || !runs.get_children().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(runtime);
    while Arc::strong_count(&alive) > 1 {
        tokio::task::yield_now().await;
    }
}

fn count(told: &[(Told, Probe)], end: End) -> usize {
    told.iter().filter(|(told, _)| told.end == end).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_2_000_runs_leaves_one_ending_of_each_in_the_file() {
    const RUNS: u64 = 2_000;
    silence_told_panics();
    let seed = Dice::of("storm").roll(u64::MAX);
    let folder = Folder::new();
    let file = folder.path("runs.db");
    let store = SqliteStore::open(&file).unwrap();
    let stormy = Stormy::new(store.clone(), seed);
    let storm = Arc::new(Storm::new(stormy.clone(), seed, PATIENCE).await);
    let told = storm.clone().blow(RUNS).await;

    let (appends, wrong) = stormy.counts();
    let [ended, lost] = [End::Ended, End::Lost].map(|end| count(&told, end));
    println!("{ended} runs ended, {lost} were lost; {wrong} of {appends} appends went wrong");
    assert!(lost > 0 && lost * 10 < told.len() && ended > told.len() / 2);
    let printed = hold_to(&store, &told).await;
    timeout(LIMIT, nothing_is_left(storm, &store))
        .await
        .expect("all is let go of");
    drop(stormy);
    store.close().await;
    drop(store);
    settle(SqliteStore::options(&file), &printed).await;
    drop(open_whole(&file));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_in_the_storm_loses_nothing_that_was_seen() {
    const RUNS: u64 = 400;
    silence_told_panics();
    let seed = Dice::of("full").roll(u64::MAX);
    let folder = Folder::new();
    let file = folder.path("runs.db");
    let options = SqliteStore::options(&file).max_bytes(400_000);
    let store = options.open().unwrap();
    let patience = Duration::from_millis(300);
    let storm = Arc::new(Storm::new(store.clone(), seed, patience).await);
    let told = storm.clone().blow(RUNS).await;

    let [ended, lost, refused] = [End::Ended, End::Lost, End::Refused].map(|end| count(&told, end));
    println!("{ended} runs ended, {lost} were lost, {refused} were refused");
    assert!(ended > 0 && lost > 0 && refused > 0);
    let printed = hold_to(&store, &told).await;
    timeout(LIMIT, nothing_is_left(storm, &store))
        .await
        .expect("all is let go of");
    store.close().await;
    drop(store);
    settle(SqliteStore::options(&file), &printed).await;
    drop(open_whole(&file));
}
