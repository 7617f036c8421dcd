//! The agent loop: a model, its tools, the model again. With parallel calls, each of which gets exactly one result in
//! the store: its own, or one from a cancel, a limit, a timeout or a fault.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod blocking;
mod bounds;
mod calls;
mod cancel;
mod children;
mod events;
mod family;
mod faults;
mod given;
mod history;
mod ids;
mod limits;
mod linked;
mod parts;
mod prices;
mod scripted;
mod steer;
mod steered_late;
mod stored;
mod storm;
mod timeouts;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quell_actors::{
    Agent, EventKind, Model, NewRun, Outcome, Run, Runtime, ToolContext,
    agent::{AgentBuilder, RetryPolicy},
    cancel::ToolEnd,
    sim::{Gate, Storyteller},
    tool,
    tool::{AnyTool, OnCancel, ToolError},
};
use serde_json::{Value, json};
use support::{foreign, start_under};

/// The supervisor of a run: the runtime's own, or a foreign one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Own,
    Linked,
}

const BOTH: [How; 2] = [How::Own, How::Linked];

async fn start(how: How, runtime: &Runtime, agent: &Agent) -> Run {
    match how {
        How::Own => runtime.start(agent, NewRun::new("Sing.")).await.unwrap(),
        How::Linked => start_under(&foreign(false).await, runtime, agent).await,
    }
}

/// An agent that never retries a request.
fn clerk(model: impl Model) -> AgentBuilder {
    Agent::builder("clerk", model).retry(RetryPolicy::none())
}

/// Waits for the end of a run, and checks its history, tool calls included.
async fn ended(run: &Run) -> Outcome {
    let outcome = support::ended(run).await;
    history::check(&support::all_events(run).await);
    outcome
}

/// Lets every task run that can, under a paused clock.
async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// Waits until `holds`, without a clock.
async fn eventually(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

/// The same on a real clock, for tools with their own thread.
async fn really(holds: impl Fn() -> bool) {
    support::guarded(eventually(holds)).await;
}

/// A tool that returns its input text.
fn echo() -> AnyTool {
    tool::from_schema(
        "echo",
        "Says it again.",
        json!({"type": "object"}),
        |input: Value, _| async move { Ok(input["text"].clone()) },
    )
}

/// Counts what is alive, so that a test sees when it is dropped.
#[derive(Clone, Debug, Default)]
struct Alive(Arc<AtomicU64>);

impl Alive {
    fn enter(&self) -> Inside {
        self.0.fetch_add(1, Ordering::SeqCst);
        Inside(self.clone())
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

struct Inside(Alive);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A tool that counts as `alive` while it waits at `gate`.
fn waits(name: &str, gate: &Gate, alive: &Alive, on_cancel: OnCancel) -> AnyTool {
    let (gate, alive) = (gate.clone(), alive.clone());
    let call = move |_: Value, _: ToolContext| {
        let (gate, alive) = (gate.clone(), alive.clone());
        async move {
            let _inside = alive.enter();
            gate.wait().await;
            Ok::<_, ToolError>("done")
        }
    };
    tool::from_schema(name, "Waits.", json!({"type": "object"}), call).on_cancel(on_cancel)
}

/// A model that calls these tools together, and then says two words. It takes no time, as [`eventually`] needs.
fn calls(names: &[&str]) -> Storyteller {
    let model = Storyteller::new("all done").pace(Duration::ZERO);
    names
        .iter()
        .fold(model, |model, name| model.calling(name, json!({})))
}

/// How each open call ended, as the receipt says.
fn ends(outcome: &Outcome) -> Vec<(&str, ToolEnd)> {
    let tools = support::partial(outcome).receipt.tools.iter();
    tools.map(|tool| (&*tool.name, tool.end)).collect()
}

/// The results of all calls, in the order of the log: the call's id, and its output or its fault's text.
async fn results(run: &Run) -> Vec<(String, String)> {
    let events = support::all_events(run).await;
    let results = events.iter().filter_map(|event| match &event.kind {
        EventKind::ToolCallCompleted(done) => Some((done.id.to_string(), done.output.to_string())),
        EventKind::ToolCallError(failed) => {
            let kind = serde_json::to_value(failed.kind).unwrap();
            let kind = kind.as_str().unwrap();
            Some((failed.id.to_string(), format!("{kind}: {}", failed.error)))
        }
        _ => None,
    });
    results.collect()
}
