//! What the tests share: reading runs whole, the law of a history, and stores and supervisors that misbehave.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "not every test uses all of it"
)]

pub(crate) mod shared;
pub(crate) mod tools;
pub(crate) mod watcher;

use std::{
    collections::VecDeque,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quell_actors::{
    Agent, AgentBuilder, EventKind, MemoryStore, Outcome, Partial, RetryPolicy, Run, RunEvent,
    RunHead, RunId, RunQuery, RunStatus, Runtime, SessionHead, SessionQuery, Store, Timestamp,
    sim::Storyteller,
    store::{AppendError, BatchId, Events, Expected, ReadError, WriteError},
};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::sync::Semaphore;

/// The outer limit of a test on a real clock. Never reached by a test that passes.
pub(crate) const GUARD: Duration = Duration::from_secs(120);

/// Fails the test instead of hanging it.
pub(crate) async fn guarded<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, work)
        .await
        .expect("the test hangs")
}

/// All events of a run, to its end.
pub(crate) async fn all_events(run: &Run) -> Vec<RunEvent> {
    let mut stream = run.events();
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        events.push(event.unwrap());
    }
    events
}

/// Reads on until an event is `wanted`.
pub(crate) async fn until(run: &Run, wanted: impl Fn(&EventKind) -> bool) -> RunEvent {
    let mut stream = run.events();
    while let Some(event) = stream.next().await {
        let event = event.unwrap();
        if wanted(&event.kind) {
            return event;
        }
    }
    panic!("the run ended without the event");
}

/// The names of the events, as they are serialised, without repetitions.
pub(crate) fn names(events: &[RunEvent]) -> Vec<String> {
    let mut names: Vec<String> = events
        .iter()
        .map(|event| {
            let json = serde_json::to_value(event).unwrap();
            json["event"].as_str().unwrap().to_owned()
        })
        .collect();
    names.dedup();
    names
}

fn is_produced(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::Content { .. }
            | EventKind::ReasoningContent { .. }
            | EventKind::ModelRequestStarted { .. }
            | EventKind::ToolCallStarted(_)
            | EventKind::Continued { .. }
    )
}

/// The promises that every history keeps: positions without a gap, one ending and nothing after it, nothing produced
/// after a cancel, a cancelled run never anything else, and what was said is what is kept.
pub(crate) fn check_history(events: &[RunEvent]) -> Outcome {
    for (event, seq) in events.iter().zip(1..) {
        assert_eq!(event.seq, seq, "positions have no gap: {events:#?}");
    }
    let first = events.first().expect("a run has events");
    assert!(matches!(first.kind, EventKind::Started(_)), "{first:?}");
    let endings = events.iter().filter(|event| event.is_last()).count();
    let last = events.last().unwrap();
    assert!(endings == 1 && last.is_last(), "one ending: {events:#?}");
    let outcome = last.kind.outcome().unwrap();

    // An answer that a crash has cut is asked for again, and said once.
    let (mut said, mut answer) = (String::new(), None);
    for event in events {
        match &event.kind {
            EventKind::Content { text } => said.push_str(text),
            EventKind::ModelRequestStarted { .. } => answer = Some(said.len()),
            EventKind::ModelRequestCompleted(_) => answer = None,
            EventKind::Continued(_) => said.truncate(answer.take().unwrap_or(said.len())),
            _ => {}
        }
    }
    assert_eq!(outcome.text(), said, "nothing said is lost");

    let cancelled = events
        .iter()
        .position(|event| matches!(event.kind, EventKind::CancelRequested { .. }));
    if let Some(at) = cancelled {
        assert!(
            !events[at..].iter().any(|event| is_produced(&event.kind)),
            "{events:#?}"
        );
        let Outcome::Cancelled(partial) = &outcome else {
            panic!("an accepted cancel ends cancelled: {events:#?}");
        };
        assert_eq!(partial.receipt.seq, events[at].seq);
    } else {
        assert!(!matches!(outcome, Outcome::Cancelled(_)), "{events:#?}");
    }
    outcome
}

/// Reads a run to its end and checks its history.
pub(crate) async fn ended(run: &Run) -> Outcome {
    let outcome = check_history(&all_events(run).await);
    assert_eq!(outcome.status(), run.status());
    assert_eq!(outcome, run.outcome().await.unwrap());
    outcome
}

/// No run of `runtime` is left: it was not dropped with live runs, and none leaked.
pub(crate) fn nothing_left(runtime: &Runtime) {
    assert_eq!(runtime.list(), [], "runs are left");
}

/// Nothing at all is kept in memory for any run, not even for a paused one.
pub(crate) fn nothing_kept(runtime: &Runtime) {
    let kept = format!("{runtime:?}");
    let nothing =
        "runs: 0, live: 0, queued: 0, waiting: 0, sessions: 0, paused: 0, reading: 0, deleting: 0";
    assert!(kept.contains(nothing), "{kept}");
}

/// Lets everything that can go on do so. For a clock that stands still.
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// The partial of a run that was cancelled.
pub(crate) fn partial(outcome: &Outcome) -> &Partial {
    match outcome {
        Outcome::Cancelled(partial) => partial,
        other => panic!("not cancelled: {other:?}"),
    }
}

pub(crate) fn poet(model: Storyteller) -> Agent {
    Agent::new("poet", model)
}

/// An agent whose failed requests are not repeated.
pub(crate) fn once(model: Storyteller) -> AgentBuilder {
    Agent::builder("poet", model).retry(RetryPolicy::none())
}

pub(crate) fn status(outcome: &Outcome) -> RunStatus {
    outcome.status()
}

/// How an append of [`FaultyStore`] goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    UnknownBeforeStoring,
    UnknownAfterStoring,
    Unavailable,
    Panic,
}

/// A store whose appends wait at a gate, and go wrong on demand.
#[derive(Clone)]
pub(crate) struct FaultyStore(Arc<Inner>);

struct Inner {
    memory: MemoryStore,
    gate: Semaphore,
    faults: Mutex<VecDeque<Fault>>,
    appends: AtomicU64,
    largest: AtomicU64,
}

impl FaultyStore {
    /// Lets every append through at once.
    pub(crate) fn open() -> FaultyStore {
        let store = FaultyStore::held();
        store.0.gate.close();
        store
    }

    /// Holds every append until it is let through.
    pub(crate) fn held() -> FaultyStore {
        FaultyStore(Arc::new(Inner {
            memory: MemoryStore::default(),
            gate: Semaphore::new(0),
            faults: Mutex::default(),
            appends: AtomicU64::new(0),
            largest: AtomicU64::new(0),
        }))
    }

    pub(crate) fn let_through(&self, appends: usize) {
        self.0.gate.add_permits(appends);
    }

    pub(crate) fn release(&self) {
        self.0.gate.close();
    }

    /// The next appends go wrong so, one each.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.0.faults.lock().unwrap().extend(faults);
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        self.0.faults.lock().unwrap().clear();
    }

    /// How many appends were asked for.
    pub(crate) fn appends(&self) -> u64 {
        self.0.appends.load(Ordering::SeqCst)
    }

    /// The most events in one append.
    pub(crate) fn largest(&self) -> u64 {
        self.0.largest.load(Ordering::SeqCst)
    }

    /// The last stored position of a run.
    pub(crate) async fn stored(&self, run: RunId) -> u64 {
        let head = self.0.memory.head(run).await.unwrap();
        head.map_or(0, |head| head.last)
    }
}

impl Store for FaultyStore {
    async fn append(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: Events,
    ) -> Result<u64, AppendError> {
        self.0.appends.fetch_add(1, Ordering::SeqCst);
        let count = events.last() - events.first() + 1;
        self.0.largest.fetch_max(count, Ordering::SeqCst);
        if let Ok(permit) = self.0.gate.acquire().await {
            permit.forget();
        }
        let fault = self.0.faults.lock().unwrap().pop_front();
        match fault {
            None => self.0.memory.append(run, expected, batch, events).await,
            Some(Fault::UnknownBeforeStoring) => Err(AppendError::Unknown("told to".into())),
            Some(Fault::UnknownAfterStoring) => {
                let answer = self.0.memory.append(run, expected, batch, events).await;
                answer.and(Err(AppendError::Unknown("told to".into())))
            }
            Some(Fault::Unavailable) => Err(AppendError::Unavailable("told to".into())),
            Some(Fault::Panic) => panic!("the store was told to panic"),
        }
    }

    async fn head(&self, run: RunId) -> Result<Option<RunHead>, ReadError> {
        self.0.memory.head(run).await
    }

    async fn read(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<RunEvent>, ReadError> {
        self.0.memory.read(run, after, limit).await
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunHead>, ReadError> {
        self.0.memory.runs(query).await
    }

    async fn session(&self, id: Arc<str>) -> Result<Option<SessionHead>, ReadError> {
        self.0.memory.session(id).await
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Vec<SessionHead>, ReadError> {
        self.0.memory.sessions(query).await
    }

    async fn name_session(
        &self,
        id: Arc<str>,
        name: Option<Arc<str>>,
        at: Timestamp,
    ) -> Result<(), WriteError> {
        self.0.memory.name_session(id, name, at).await
    }

    async fn delete_run(&self, run: RunId) -> Result<bool, WriteError> {
        self.0.memory.delete_run(run).await
    }

    async fn delete_session(&self, id: Arc<str>) -> Result<bool, WriteError> {
        self.0.memory.delete_session(id).await
    }
}

/// A supervisor of somebody else, which starts runs as its children.
pub(crate) struct Foreign {
    /// Keeps every supervision event for ever, and with it whatever ractor put into it.
    pub(crate) keeps: bool,
}

pub(crate) enum ForeignMsg {
    /// Starts a linked run.
    Start(Runtime, Box<Agent>, RpcReplyPort<Run>),
    /// Is busy until let go.
    Busy(Arc<Semaphore>),
    /// Answers.
    Ping(RpcReplyPort<()>),
}

impl Actor for Foreign {
    type Msg = ForeignMsg;
    type State = Vec<SupervisionEvent>;
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ActorRef<ForeignMsg>,
        (): (),
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(Vec::new())
    }

    async fn handle(
        &self,
        me: ActorRef<ForeignMsg>,
        message: ForeignMsg,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ForeignMsg::Start(runtime, agent, reply) => {
                let run = runtime.start_linked(&agent, "Sing.", me.get_cell()).await?;
                let _ = reply.send(run);
            }
            ForeignMsg::Busy(gate) => drop(gate.acquire().await),
            ForeignMsg::Ping(reply) => drop(reply.send(())),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<ForeignMsg>,
        event: SupervisionEvent,
        kept: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if self.keeps {
            kept.push(event);
        }
        Ok(())
    }
}

pub(crate) async fn foreign(keeps: bool) -> ActorRef<ForeignMsg> {
    Actor::spawn(None, Foreign { keeps }, ()).await.unwrap().0
}

/// Has a foreign supervisor start a linked run.
pub(crate) async fn start_under(
    supervisor: &ActorRef<ForeignMsg>,
    runtime: &Runtime,
    agent: &Agent,
) -> Run {
    supervisor
        .call(
            |reply| ForeignMsg::Start(runtime.clone(), Box::new(agent.clone()), reply),
            None,
        )
        .await
        .unwrap()
        .unwrap()
}
