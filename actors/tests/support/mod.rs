//! What the tests share: reading whole runs, checking histories, and stores and supervisors that misbehave.
#![allow(
    dead_code,
    clippy::unwrap_used,
    unused_imports,
    reason = "not every test uses all of it"
)]

mod faulty;
mod foreign;
pub(crate) mod shared;
pub(crate) mod tools;
pub(crate) mod watcher;

use std::{future::Future, time::Duration};

use quell_actors::{
    Agent, EventKind, Outcome, Run, RunEvent, RunStatus, Runtime, Store,
    agent::{AgentBuilder, RetryPolicy},
    outcome::Partial,
    runtime::RuntimeConfig,
    sim::Storyteller,
};

pub(crate) use self::{
    faulty::{Fault, FaultyStore},
    foreign::{Foreign, ForeignMsg, foreign, start_under},
};

/// The time limit of a test on a real clock. A passing test never reaches it.
pub(crate) const GUARD: Duration = Duration::from_secs(120);

/// Fails the test instead of hanging it.
pub(crate) async fn guarded<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, work)
        .await
        .expect("the test hangs")
}

/// Opens a runtime on a store, and settles what an earlier runtime left there.
pub(crate) async fn opened(config: RuntimeConfig, store: impl Store) -> Runtime {
    let builder = Runtime::builder().config(config);
    builder.open(store).await.unwrap().0
}

/// All events of a run.
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

/// Checks what must hold for every history: positions without a gap, one ending and nothing after it, no output after a
/// cancel, a cancelled run ends as cancelled, and the outcome has exactly the text of the events.
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

    // An answer that a crash has cut is asked for again; only the later one counts.
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

/// Checks that `runtime` has no live run left.
pub(crate) fn nothing_left(runtime: &Runtime) {
    assert_eq!(runtime.list(), [], "runs are left");
}

/// Checks that nothing is kept in memory for any run, not even for a paused one.
pub(crate) fn nothing_kept(runtime: &Runtime) {
    let kept = format!("{runtime:?}");
    let nothing =
        "runs: 0, live: 0, queued: 0, waiting: 0, sessions: 0, paused: 0, reading: 0, deleting: 0";
    assert!(kept.contains(nothing), "{kept}");
}

/// Lets every task run that can, under a paused clock.
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// The partial outcome of a cancelled run.
pub(crate) fn partial(outcome: &Outcome) -> &Partial {
    match outcome {
        Outcome::Cancelled(partial) => partial,
        other => panic!("not cancelled: {other:?}"),
    }
}

pub(crate) fn poet(model: Storyteller) -> Agent {
    Agent::new("poet", model)
}

/// An agent that never retries a request.
pub(crate) fn once(model: Storyteller) -> AgentBuilder {
    Agent::builder("poet", model).retry(RetryPolicy::none())
}

pub(crate) fn status(outcome: &Outcome) -> RunStatus {
    outcome.status()
}
