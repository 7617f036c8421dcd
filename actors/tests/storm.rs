//! Promise 1 under load: 20,000 runs with panics, errors, stalls, cancels, kills and stops, chosen by a seed; each has
//! exactly one ending and nothing after it, and none leaves anything in memory.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and has figures to show"
)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quell_actors::{
    Agent, NewRun, Outcome, Run, RunStatus, Runtime,
    error::StartError,
    model::{ModelError, ModelErrorKind},
    runtime::RuntimeConfig,
    sim::Storyteller,
    store::MemoryStore,
};
use ractor::{ActorCell, ActorRef};
use support::{ForeignMsg, all_events, check_history, foreign, guarded, nothing_left, once};
use tokio::sync::Semaphore;

const RUNS: u64 = 20_000;
/// How many are active at once: more than there are slots, so that some always wait.
const AT_ONCE: usize = 400;
const SLOTS: usize = 300;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }
}

/// What the model does, and after how many words.
fn model(kind: u64, word: u64) -> Storyteller {
    let broken = ModelError::new(ModelErrorKind::Connection, "told to fail");
    let words = "word ".repeat(usize::try_from(word).unwrap());
    match kind {
        0 => Storyteller::endless().panic_at(word),
        1 => Storyteller::endless().fail_at(word, broken),
        2 => Storyteller::endless().cut_off_at(word),
        3 | 4 => Storyteller::endless().stall_at(word),
        _ => Storyteller::new(&words),
    }
    .pace(Duration::ZERO)
}

/// What is done to the run from outside.
async fn act(kind: u64, run: &Run, actor: Option<ActorCell>) {
    match (kind, actor) {
        (0, _) => drop(run.cancel().await),
        (1, Some(actor)) => actor.kill(),
        (2, Some(actor)) => actor.stop(None),
        (3, actor) => {
            let (first, second) = (run.cancel(), run.cancel());
            if let Some(actor) = actor {
                actor.kill();
            }
            first.await;
            second.await;
        }
        (4, _) => drop(run.cancel()),
        _ => {}
    }
}

/// The newest child of a supervisor, which may be any run.
fn some_child(of: &ActorCell, dice: &mut Dice) -> Option<ActorCell> {
    let children = of.get_children();
    let count = u64::try_from(children.len()).unwrap();
    let at = usize::try_from(dice.roll(count.max(1))).unwrap();
    children.into_iter().nth(at)
}

struct Storm {
    runtime: Runtime,
    /// The runtime's own supervisor, and a foreign one.
    own: ActorCell,
    foreign: Vec<ActorRef<ForeignMsg>>,
    ends: [AtomicU64; 3],
}

impl Storm {
    async fn one(self: Arc<Storm>, seed: u64) {
        let mut dice = Dice(seed);
        let (kind, word) = (dice.roll(8), dice.roll(40));
        let agent: Agent = once(model(kind, word)).build().unwrap();
        let at = usize::try_from(dice.roll(8)).unwrap();
        let linked = self.foreign.get(at);
        let started = match linked {
            Some(supervisor) => {
                let cell = supervisor.get_cell();
                self.runtime
                    .start_linked(&agent, NewRun::new("Go."), cell)
                    .await
            }
            None => self.runtime.start(&agent, "Go.").await,
        };
        let run = match started {
            Ok(run) => run,
            Err(StartError::QueueFull { .. }) => return,
            Err(other) => panic!("{other}"),
        };
        for _ in 0..dice.roll(60) {
            tokio::task::yield_now().await;
        }
        let stalls = kind == 3 || kind == 4;
        let what = dice.roll(if stalls { 5 } else { 8 });
        let parent = linked.map_or_else(|| self.own.clone(), ActorRef::get_cell);
        // A run that waits inline notices ractor's stop only when the model speaks, so only linked runs are stopped.
        let actor = match (what, linked) {
            (2, None) => None,
            _ => some_child(&parent, &mut dice),
        };
        act(what, &run, actor).await;
        if stalls {
            // Whichever run was killed, this one must not hang.
            run.cancel().await;
        }
        let outcome = check_history(&all_events(&run).await);
        let end = match outcome {
            Outcome::Completed(_) => 0,
            Outcome::Cancelled(_) => 1,
            Outcome::Error(_) => 2,
        };
        self.ends[end].fetch_add(1, Ordering::Relaxed);
        let again = run.cancel().await;
        let status = [RunStatus::Completed, RunStatus::Cancelled, RunStatus::Error][end];
        assert_eq!(again, quell_actors::CancelOutcome::AlreadyEnded { status });
    }
}

async fn storm(seed: u64) {
    let root = foreign(false).await;
    let config = RuntimeConfig {
        max_live_runs: SLOTS,
        max_queued_runs: AT_ONCE,
        ..RuntimeConfig::default()
    };
    let runtime = Runtime::builder()
        .config(config)
        .under(root.get_cell())
        .open(MemoryStore::keeping(100))
        .await
        .unwrap()
        .0;
    // The first run ensures that the supervisor is linked.
    let first = runtime
        .start(&once(Storyteller::new("")).build().unwrap(), "Go.")
        .await
        .unwrap();
    first.outcome().await.unwrap();
    let storm = Arc::new(Storm {
        own: root.get_cell().get_children().remove(0),
        foreign: vec![
            foreign(true).await,
            foreign(false).await,
            foreign(false).await,
        ],
        runtime: runtime.clone(),
        ends: Default::default(),
    });
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut dice = Dice(seed);
    let mut runs = tokio::task::JoinSet::new();
    for _ in 0..RUNS {
        let permit = room.clone().acquire_owned().await.unwrap();
        let one = storm.clone().one(dice.roll(u64::MAX));
        runs.spawn(async move {
            one.await;
            drop(permit);
        });
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
    let ends = storm.ends.each_ref().map(|end| end.load(Ordering::Relaxed));
    println!("completed, cancelled, error: {ends:?}");
    assert_eq!(ends.iter().sum::<u64>(), RUNS, "every run has one ending");
    assert!(
        ends.iter().all(|end| *end > RUNS / 50),
        "a storm has all kinds of endings: {ends:?}"
    );
    nothing_left(&runtime);
    let report = runtime
        .shutdown(quell_actors::runtime::Shutdown::default())
        .await;
    assert_eq!(report, quell_actors::runtime::ShutdownReport::default());
}

#[test]
fn a_storm_of_20_000_runs_has_one_ending_each() {
    // Thousands of panics are intended: do not print them.
    std::panic::set_hook(Box::new(|_| {}));
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let storm = tokio.spawn(guarded(storm(0x5707)));
    let done = tokio.block_on(storm);
    let _ = std::panic::take_hook();
    if let Err(error) = done {
        let panic = error.into_panic();
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        panic!("the storm failed: {}", text.unwrap_or_default());
    }
}
