//! Killed while runs wait for their sessions: none of them begins without the turn before it.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{Stream, future::join_all};
use quell::{
    Agent, EventKind, Model, NewRun, Outcome, Runtime,
    message::Message,
    model::{ModelChunk, ModelError, ModelRequest},
    sim::Storyteller,
    stores::{SqliteStore, Synchronous},
};

use crate::{
    child::Child,
    lines::{Line, say},
    orders::{Orders, Task},
    support::Folder,
};

/// How many sessions there are, and how many runs wait for each.
const MANY: (u64, u64) = (50, 20);

/// How often a program with one run and one that waits is killed.
const ROUNDS: usize = 15;

fn open(file: &Path, synchronous: Synchronous) -> SqliteStore {
    let options = SqliteStore::options(file).synchronous(synchronous);
    options.open().unwrap()
}

fn turn(session: u64, number: u64) -> NewRun {
    NewRun::new(format!("{session}:{number}")).session(format!("s-{session}"))
}

/// As the killed program: has a run that speaks in each session, and as many that wait for it as the seed says.
pub(crate) async fn wait(orders: &Orders, synchronous: Synchronous) {
    let store = open(&orders.file, synchronous);
    let (runtime, _) = Runtime::builder().open(store).await.unwrap();
    let speaks = Storyteller::new("half an answer").pace(Duration::ZERO);
    let agent = Agent::new("poet", speaks.stall_at(2));
    let sessions = (0..orders.lives).map(|session| {
        let (runtime, agent) = (runtime.clone(), agent.clone());
        async move {
            let run = runtime.start(&agent, turn(session, 0)).await.unwrap();
            let mut events = run.events();
            let mut words = 0;
            while words < 2 {
                let event = events.next().await.unwrap().unwrap();
                words += usize::from(matches!(event.kind, EventKind::Content { .. }));
            }
            for number in 1..=orders.seed {
                runtime.start(&agent, turn(session, number)).await.unwrap();
            }
        }
    });
    join_all(sessions).await;
    say(&Line::Ready);
    std::future::pending::<()>().await;
}

/// Notes what it is asked, and answers.
#[derive(Clone)]
struct Notes(Storyteller, Arc<Mutex<Vec<Arc<[Message]>>>>);

impl Model for Notes {
    fn stream(
        &self,
        request: ModelRequest,
    ) -> impl Stream<Item = Result<ModelChunk, ModelError>> + Send + 'static {
        self.1.lock().unwrap().push(request.messages.clone());
        self.0.stream(request)
    }
}

/// Whether a request shows the turn before its own, with its answer.
fn shows_the_turn_before(asked: &[Message]) -> bool {
    let [before, answer, question] = asked else {
        return false;
    };
    let (session, number) = question.text().split_once(':').unwrap();
    let number: u64 = number.parse().unwrap();
    let answered = match number {
        1 => answer.text().starts_with("half an") && answer.text().contains("interrupted"),
        _ => answer.text().starts_with("a whole one"),
    };
    before.text() == format!("{session}:{}", number - 1) && answered
}

/// Kills a program and returns how many of the runs that waited there were not shown the turn before them.
async fn lost(task: Task, synchronous: Synchronous, (sessions, waiting): (u64, u64)) -> usize {
    let folder = Folder::new();
    let file = folder.path("runs.db");
    let orders = Orders {
        lives: sessions,
        ..Orders::new(task, &file, waiting)
    };
    let mut child = Child::start(&orders);
    child.hear_of(&Line::Ready, 1).await;
    child.kill().await;

    let asked = Arc::default();
    let model = Storyteller::new("a whole one").pace(Duration::ZERO);
    let model = Notes(model, Arc::clone(&asked));
    let agent = Agent::builder("poet", model).history_runs(1);
    let agent = agent.build().unwrap();
    let store = open(&file, synchronous);
    let (runtime, recovered) = Runtime::builder().agent(&agent).open(store).await.unwrap();
    assert_eq!(recovered.failed, []);
    assert_eq!(recovered.interrupted.len() as u64, sessions);
    assert_eq!(recovered.requeued.len() as u64, sessions * waiting);
    for id in recovered.requeued {
        let run = runtime.get(id).await.unwrap().unwrap();
        assert!(matches!(run.outcome().await, Ok(Outcome::Completed(_))));
    }
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len() as u64, sessions * waiting);
    let lost = asked.iter().filter(|asked| !shows_the_turn_before(asked));
    lost.count()
}

async fn check(task: Task, synchronous: Synchronous) {
    assert_eq!(lost(task, synchronous, MANY).await, 0);
    // Where little is to be read, the one that waits is quick.
    let mut alone = 0;
    for _ in 0..ROUNDS {
        alone += lost(task, synchronous, (1, 1)).await;
    }
    assert_eq!(alone, 0, "of {ROUNDS}");
}

#[tokio::test]
async fn a_run_that_waited_when_its_process_was_killed_hears_of_the_turn_before_it() {
    check(Task::Wait, Synchronous::Normal).await;
}

#[tokio::test]
async fn a_run_that_waited_hears_of_the_turn_before_it_also_where_each_commit_reaches_the_disk() {
    check(Task::WaitForDisk, Synchronous::Full).await;
}
