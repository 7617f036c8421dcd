//! A cancel in each state of a tool: how each call ends, that nothing of it is left, and that the strictest model, and
//! a real server if there is one, accepts the next run of the session.
//!
//!     cargo test --test interrupted -- --nocapture
//!     scripts/real-upstream cargo test --test interrupted -- --nocapture
#![cfg(all(feature = "http-models", feature = "process-tool", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic, and has figures to show"
)]

#[path = "support/upstream.rs"]
mod upstream;

use std::{
    fs,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use quell::{
    Agent, EventKind, Model, NewRun, Outcome, Run, Runtime, ToolContext,
    cancel::ToolEnd,
    outcome::Partial,
    sim::{Gate, Storyteller},
    tool,
    tool::{AnyTool, OnCancel, ToolError},
    tools::ProcessTool,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use upstream::Server;

/// The time limit of a test. A passing test never reaches it.
const GUARD: Duration = Duration::from_secs(60);

/// Accepts any arguments.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Anything {}

/// A call that is running when its run is cancelled.
struct Case {
    name: &'static str,
    tool: AnyTool,
    arguments: Value,
    end: ToolEnd,
    /// What the tool waits for: opened as soon as the run is cancelling.
    finish: Option<Gate>,
}

fn case(name: &'static str, tool: AnyTool, end: ToolEnd) -> Case {
    Case {
        name,
        tool,
        arguments: json!({}),
        end,
        finish: None,
    }
}

/// A tool that sleeps for 30 seconds.
fn sleeper() -> AnyTool {
    tool::from_fn("sleep", "Sleeps.", |_: Anything, _: ToolContext| async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        Ok::<_, ToolError>("slept")
    })
}

/// A tool that finishes when a gate opens.
fn finisher(gate: &Gate) -> AnyTool {
    let gate = gate.clone();
    tool::from_fn("pay", "Moves money.", move |_: Anything, _: ToolContext| {
        let gate = gate.clone();
        async move {
            gate.wait().await;
            Ok::<_, ToolError>("paid")
        }
    })
}

/// A tool that blocks its thread until this value's sender is dropped.
fn blocker(until: mpsc::Receiver<()>) -> AnyTool {
    let until = Arc::new(Mutex::new(until));
    tool::blocking_fn("block", "Blocks.", move |_: Anything, _: ToolContext| {
        // An error means that the sender is dropped.
        let _ = until.lock().unwrap().recv();
        Ok::<_, ToolError>("unblocked")
    })
}

/// A program with two grandchildren, one of which ignores TERM.
fn family() -> AnyTool {
    let line =
        "sleep 1000 & sh -c 'trap : TERM; echo ready; while :; do sleep 1000; done' & wait; wait";
    ProcessTool::new("family", "Has children.", "/bin/sh")
        .args(["-c", line])
        .term_grace(Duration::from_millis(100))
        .build()
}

/// The live processes of a group.
fn members(group: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap();
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // After the name: state, parent, group.
            let fields = stat.rsplit(')').next().unwrap_or_default();
            let fields: Vec<&str> = fields.split_whitespace().collect();
            fields.get(2) == Some(&&*group.to_string()) && fields.first() != Some(&"Z")
        })
        .collect()
}

/// Waits until every call of the run is running, and returns the group of a program among them.
async fn at_work(run: &Run, calls: usize, program: bool) -> Option<u32> {
    let (mut events, mut begun, mut group) = (run.events(), 0, None);
    while begun < calls || (program && group.is_none()) {
        match events.next().await.expect("the run goes on").unwrap().kind {
            EventKind::ToolCallStarted(_) => begun += 1,
            EventKind::ToolCallProcess(process) => group = Some(process.group),
            _ => {}
        }
    }
    // The shell, the one it waits for, and what that one waits for.
    while group.is_some_and(|group| members(group).len() < 4) {
        tokio::task::yield_now().await;
    }
    group
}

/// Cancels a run of a session while `cases` are running.
async fn cancelled(runtime: &Runtime, session: &str, cases: Vec<Case>) -> Arc<Partial> {
    let mut model = Storyteller::new("Done.").pace(Duration::ZERO);
    for case in &cases {
        model = model.calling(case.tool.name(), case.arguments.clone());
    }
    let mut agent = Agent::builder("worker", model);
    for case in &cases {
        agent = agent.tool(case.tool.clone());
    }
    let run = NewRun::new("Do it.").session(session);
    let run = runtime.start(&agent.build().unwrap(), run).await.unwrap();
    let program = cases.iter().any(|case| case.tool.name() == "family");
    let group = at_work(&run, cases.len(), program).await;

    let answer = run.cancel();
    for case in &cases {
        if let Some(gate) = &case.finish {
            gate.open();
        }
    }
    assert!(answer.await.is_accepted());
    let Outcome::Cancelled(partial) = run.outcome().await.unwrap() else {
        panic!("an accepted cancel ends cancelled");
    };
    if let Some(group) = group {
        assert!(
            members(group).is_empty(),
            "a process of the program is alive"
        );
    }
    for (case, receipt) in cases.iter().zip(&partial.receipt.tools) {
        assert_eq!((&*receipt.name, receipt.end), (case.tool.name(), case.end));
        eprintln!(
            "cancel in {}: {} after {:?}",
            case.name, receipt.end, partial.receipt.took
        );
    }
    assert_eq!(partial.receipt.tools.len(), cases.len());
    partial
}

/// Checks that a model accepts the next run of a session.
async fn is_taken(runtime: &Runtime, session: &str, model: impl Model) {
    let agent = Agent::builder("next", model)
        .tool(sleeper())
        .tool(finisher(&Gate::new()))
        .build()
        .unwrap();
    let run = NewRun::new("And now?").session(session);
    let run = runtime.start(&agent, run).await.unwrap();
    let outcome = run.outcome().await.unwrap();
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
}

/// A cancel while these calls are running, and then the next run of the session.
async fn check(cases: Vec<Case>) {
    let runtime = Runtime::new();
    timeout(GUARD, cancelled(&runtime, "s", cases))
        .await
        .expect("the cancel hangs");
    let strict = Storyteller::new("Onward.").pace(Duration::ZERO);
    is_taken(&runtime, "s", strict).await;
    Server::test(async |server| is_taken(&runtime, "s", server.model(8)).await).await;
}

#[tokio::test]
async fn an_asynchronous_tool_is_dropped_at_once() {
    let name = "an async tool that sleeps for 30 s";
    check(vec![case(name, sleeper(), ToolEnd::Stopped)]).await;
}

#[tokio::test]
async fn a_tool_with_grace_is_dropped_after_it() {
    let grace = Duration::from_millis(50);
    let tool = sleeper().on_cancel(OnCancel::Grace(grace));
    let name = "an async tool with a grace of 50 ms that it does not use";
    check(vec![case(name, tool, ToolEnd::Stopped)]).await;
}

#[tokio::test]
async fn a_tool_that_must_finish_is_awaited() {
    let gate = Gate::new();
    let tool = finisher(&gate).on_cancel(OnCancel::Finish);
    let mut case = case("a tool that must finish", tool, ToolEnd::Finished);
    case.finish = Some(gate);
    check(vec![case]).await;
}

#[tokio::test]
async fn a_blocking_tool_is_abandoned_at_once() {
    let (hold, until) = mpsc::channel();
    let name = "a blocking tool";
    check(vec![case(name, blocker(until), ToolEnd::Abandoned)]).await;
    drop(hold);
}

#[tokio::test]
async fn a_program_goes_with_its_grandchildren() {
    let name = "a program with grandchildren, one of which ignores TERM, with 100 ms between TERM and KILL";
    check(vec![case(name, family(), ToolEnd::Finished)]).await;
}

#[tokio::test]
async fn calls_of_all_kinds_at_once_each_end_in_their_own_way() {
    let (hold, until) = mpsc::channel();
    let gate = Gate::new();
    let mut pays = case(
        "all at once: one that must finish",
        finisher(&gate).on_cancel(OnCancel::Finish),
        ToolEnd::Finished,
    );
    pays.finish = Some(gate);
    check(vec![
        case("all at once: an async tool", sleeper(), ToolEnd::Stopped),
        pays,
        case(
            "all at once: a blocking tool",
            blocker(until),
            ToolEnd::Abandoned,
        ),
        case("all at once: a program", family(), ToolEnd::Finished),
    ])
    .await;
    drop(hold);
}

#[tokio::test]
async fn a_run_that_waits_for_a_person_ends_at_once() {
    let runtime = Runtime::new();
    let model = Storyteller::new("Done.").pace(Duration::ZERO);
    let agent = Agent::builder("worker", model.calling("sleep", json!({})))
        .tool(sleeper().confirm())
        .build()
        .unwrap();
    let run = NewRun::new("Do it.").session("s");
    let run = runtime.start(&agent, run).await.unwrap();
    let mut events = run.events();
    while !matches!(
        events.next().await.expect("the run goes on").unwrap().kind,
        EventKind::Paused(_)
    ) {}
    // While the run waits, and after it was cancelled.
    for round in 0..2 {
        is_taken(
            &runtime,
            "s",
            Storyteller::new("Onward.").pace(Duration::ZERO),
        )
        .await;
        Server::test(async |server| is_taken(&runtime, "s", server.model(8)).await).await;
        assert_eq!(run.cancel().await.is_accepted(), round == 0);
    }
    let Outcome::Cancelled(partial) = run.outcome().await.unwrap() else {
        panic!("an accepted cancel ends cancelled");
    };
    assert_eq!(partial.receipt.tools[0].end, ToolEnd::NotStarted);
    eprintln!("cancel of a paused run: {:?}", partial.receipt.took);
}
