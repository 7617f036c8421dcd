//! Promise 8: a slow, stuck or dead subscriber slows down nothing else, memory is bounded, and nothing is lost
//! silently.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{collections::VecDeque, time::Duration};

use quell_actors::{
    RunEvent, RunStatus, Runtime,
    error::{ChangesError, EventsError},
    run::Delivery,
    runtime::RuntimeConfig,
    sim::{Gate, Storyteller},
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use support::{all_events, ended, guarded, nothing_left, poet, watcher::watcher};
use tokio::sync::mpsc;

/// How many unacknowledged deliveries one subscriber can have.
const CREDIT: usize = 64;

/// Passes on what it receives, and keeps the deliveries until the test releases them.
struct Listener {
    heard: mpsc::UnboundedSender<Result<RunEvent, EventsError>>,
}

enum ListenerMsg {
    Heard(Delivery),
    LetGo(usize),
}

impl From<Delivery> for ListenerMsg {
    fn from(delivery: Delivery) -> ListenerMsg {
        ListenerMsg::Heard(delivery)
    }
}

/// Deliveries that are held, and how many more may be released at once.
type Held = (VecDeque<Delivery>, usize);

impl Actor for Listener {
    type Msg = ListenerMsg;
    type State = Held;
    type Arguments = usize;

    async fn pre_start(
        &self,
        _: ActorRef<ListenerMsg>,
        let_go: usize,
    ) -> Result<Held, ActorProcessingErr> {
        Ok((VecDeque::new(), let_go))
    }

    async fn handle(
        &self,
        _: ActorRef<ListenerMsg>,
        message: ListenerMsg,
        (held, let_go): &mut Held,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ListenerMsg::Heard(delivery) => {
                self.heard.send(delivery.event().cloned())?;
                held.push_back(delivery);
            }
            ListenerMsg::LetGo(more) => *let_go += more,
        }
        while *let_go > 0 && held.pop_front().is_some() {
            *let_go -= 1;
        }
        Ok(())
    }
}

type Ears = mpsc::UnboundedReceiver<Result<RunEvent, EventsError>>;

/// A subscriber that releases so many deliveries, and then none until the test says so.
async fn listener(let_go: usize) -> (ActorRef<ListenerMsg>, Ears) {
    let (heard, ears) = mpsc::unbounded_channel();
    let (actor, _) = Actor::spawn(None, Listener { heard }, let_go)
        .await
        .unwrap();
    (actor, ears)
}

async fn hear_all(mut ears: Ears) -> Vec<RunEvent> {
    let mut events = Vec::new();
    while let Some(event) = ears.recv().await {
        let event = event.unwrap();
        let last = event.is_last();
        events.push(event);
        if last {
            break;
        }
    }
    events
}

fn long_story() -> Storyteller {
    Storyteller::new(&"word ".repeat(500)).pace(Duration::ZERO)
}

#[tokio::test(start_paused = true)]
async fn an_actor_hears_what_a_stream_reads() {
    let runtime = Runtime::new();
    let run = runtime.start(&poet(long_story()), "Go.").await.unwrap();
    let (actor, ears) = listener(usize::MAX).await;
    run.subscribe(&actor);
    let heard = hear_all(ears).await;
    assert_eq!(heard, all_events(&run).await);
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_subscriber_costs_nobody_anything_and_catches_up_later() {
    let runtime = Runtime::new();
    let run = runtime.start(&poet(long_story()), "Go.").await.unwrap();
    let (stuck, mut stuck_ears) = listener(0).await;
    let (quick, quick_ears) = listener(usize::MAX).await;
    run.subscribe(&stuck);
    run.subscribe(&quick);

    let heard = hear_all(quick_ears).await;
    assert_eq!(heard.len(), 504);
    ended(&run).await;
    nothing_left(&runtime);

    // The stuck subscriber got as many events as it has credit for, and no more.
    let mut late = Vec::new();
    for _ in 0..CREDIT {
        late.push(stuck_ears.recv().await.unwrap().unwrap());
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(stuck_ears.try_recv().is_err(), "its mailbox is bounded");

    // When it continues it gets the rest, although the run has long ended.
    stuck.cast(ListenerMsg::LetGo(usize::MAX / 2)).unwrap();
    late.extend(hear_all(stuck_ears).await);
    assert_eq!(late, heard);
}

#[tokio::test(start_paused = true)]
async fn a_dead_subscriber_is_forgotten() {
    let gate = Gate::new();
    let model = Storyteller::new("one two three").gate(&gate);
    let run = Runtime::new().start(&poet(model), "Go.").await.unwrap();
    let (dead, mut ears) = listener(0).await;
    run.subscribe(&dead);
    ears.recv().await.unwrap().unwrap();
    dead.stop(None);
    dead.wait(None).await.unwrap();
    gate.open();
    assert_eq!(ended(&run).await.text(), "one two three");
    while let Some(event) = ears.recv().await {
        assert!(!event.unwrap().is_last(), "the dead hear nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_is_gone_leaves_no_task_behind_though_the_run_says_nothing() {
    let (runtime, gate) = (Runtime::new(), Gate::new());
    let model = Storyteller::new("one two three").gate(&gate);
    let run = runtime.start(&poet(model), "Go.").await.unwrap();
    support::settle().await;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    for _ in 0..100 {
        let (actor, mut ears) = listener(usize::MAX).await;
        run.subscribe(&actor);
        ears.recv().await.unwrap().unwrap();
        actor.stop(None);
        actor.wait(None).await.unwrap();
        let mut ears = watcher(&runtime, &gate).await;
        // Its actor stops with whoever hears it.
        ears.close();
    }
    support::settle().await;
    let watchers = tasks() - before;
    gate.open();
    ended(&run).await;
    support::settle().await;
    assert!(
        watchers <= 200,
        "an actor and its pump for each that still watches: {watchers}"
    );
    assert!(tasks() <= before, "{} and not {before}", tasks());
}

#[tokio::test(start_paused = true)]
async fn a_watcher_hears_the_life_of_every_run_without_its_content() {
    let runtime = Runtime::builder()
        .config(RuntimeConfig {
            max_live_runs: 1,
            ..RuntimeConfig::default()
        })
        .in_memory();
    let open = Gate::new();
    open.open();
    let mut ears = watcher(&runtime, &open).await;
    let done = runtime
        .start(&poet(Storyteller::new("one two")), "Go.")
        .await
        .unwrap();
    let cut = runtime
        .start(&poet(Storyteller::endless()), "Go.")
        .await
        .unwrap();
    ended(&done).await;
    support::until(&cut, |kind| {
        matches!(kind, quell_actors::EventKind::Content { .. })
    })
    .await;
    cut.cancel().await;
    ended(&cut).await;

    let mut lives = [Vec::new(), Vec::new()];
    while lives.concat().len() < 7 {
        let change = ears.recv().await.unwrap().unwrap();
        lives[usize::from(change.run_id == cut.id())].push(change.status);
    }
    use RunStatus::{Cancelled, Cancelling, Completed, Pending, Running};
    assert_eq!(lives[0], [Pending, Running, Completed]);
    assert_eq!(lives[1], [Pending, Running, Cancelling, Cancelled]);
    assert!(ears.try_recv().is_err(), "and nothing else");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_is_far_behind_is_told_what_it_missed() {
    let runtime = Runtime::new();
    let gate = Gate::new();
    let mut ears = watcher(&runtime, &gate).await;
    let agent = poet(Storyteller::new("").pace(Duration::ZERO));
    for _ in 0..2_000 {
        ended(&runtime.start(&agent, "Go.").await.unwrap()).await;
    }
    gate.open();
    let (mut heard, mut missed) = (0, 0);
    while heard + missed < 6_000 {
        match guarded(ears.recv()).await.unwrap() {
            Ok(_) => heard += 1,
            Err(ChangesError::Missed { missed: count }) => missed += count,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(missed > 0, "nothing was bounded");
    assert_eq!(heard + missed, 6_000, "each change is heard or counted");
}

#[tokio::test(start_paused = true)]
async fn the_changes_are_a_stream_too_and_end_with_the_runtime() {
    let runtime = Runtime::new();
    let mut changes = runtime.changes();
    let agent = poet(Storyteller::new("one"));
    let run = runtime.start(&agent, "Go.").await.unwrap();
    ended(&run).await;
    use RunStatus::{Completed, Pending, Running};
    for status in [Pending, Running, Completed] {
        let change = changes.next().await.unwrap().unwrap();
        assert_eq!((change.run_id, change.status), (run.id(), status));
    }
    drop((run, runtime));
    assert_eq!(changes.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_changes_that_is_far_behind_says_what_it_missed_and_continues() {
    let runtime = Runtime::new();
    let mut changes = runtime.changes();
    let agent = poet(Storyteller::new("").pace(Duration::ZERO));
    for _ in 0..2_000 {
        ended(&runtime.start(&agent, "Go.").await.unwrap()).await;
    }
    let missed = changes.next().await.unwrap();
    assert_eq!(missed, Err(ChangesError::Missed { missed: 1_904 }));
    for _ in 0..4_096 {
        changes.next().await.unwrap().unwrap();
    }
}
