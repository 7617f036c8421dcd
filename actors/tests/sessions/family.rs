//! Runs that runs start wait for nobody who waits for them, and are bounded.

use std::{sync::Arc, time::Duration};

use quell_actors::{
    Agent, NewRun, Outcome, Run, RunStatus, Runtime, ToolContext,
    runtime::RuntimeConfig,
    sim::{Gate, Storyteller},
    tool,
    tool::{AnyTool, ToolError},
};
use serde_json::json;
use tokio::{sync::mpsc, time::sleep};

use super::{config, gated, in_s, waits};
use crate::support::{ended, nothing_kept, opened, poet, settle, shared::SharedStore};

/// A tool that starts a run of `agent`, in `session` if it has one, and waits for its end.
fn delegates(
    runtime: &Runtime,
    agent: &Agent,
    session: Option<&'static str>,
) -> (AnyTool, mpsc::UnboundedReceiver<Run>) {
    let (told, heard) = mpsc::unbounded_channel();
    let shared = Arc::new((runtime.clone(), agent.clone(), told));
    let tool = tool::from_fn("delegate", "Asks.", move |(): (), context: ToolContext| {
        let shared = shared.clone();
        async move {
            let (runtime, agent, told) = &*shared;
            let mut run = NewRun::new("Help.").child_of(&context);
            if let Some(session) = session {
                run = run.session(session);
            }
            let run = runtime.start(agent, run).await?;
            let _ = told.send(run.clone());
            run.outcome().await?;
            Ok::<_, ToolError>("helped")
        }
    });
    (tool, heard)
}

fn delegating(name: &str, tool: AnyTool) -> Agent {
    let model = Storyteller::new("done").calling("delegate", json!({}));
    Agent::builder(name, model).tool(tool).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_grandchild_runs_beside_its_grandparent_in_the_session_of_that() {
    let runtime = Runtime::new();
    let (last, _) = delegates(&runtime, &poet(Storyteller::new("la")), Some("s"));
    let (middle, _) = delegates(&runtime, &delegating("middle", last), None);
    let first = delegating("first", middle);
    let run = runtime.start(&first, in_s("Do it.")).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(run.status(), RunStatus::Completed, "nobody waits for it");
    ended(&run).await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_child_does_not_wait_for_a_run_that_waits_for_its_parents_slot() {
    let runtime = config(|config| config.max_live_runs = 1);
    let (gate, lets_go) = (Gate::new(), Gate::new());
    let (tool, mut heard) = delegates(&runtime, &gated(&lets_go), Some("s"));
    let model = Storyteller::new("done")
        .gate(&gate)
        .calling("delegate", json!({}));
    let agent = Agent::builder("parent", model).tool(tool).build().unwrap();
    let parent = runtime.start(&agent, "Do it.").await.unwrap();
    let queued = waits(&runtime, &poet(Storyteller::new("lo")), in_s("Sing.")).await;
    gate.open();
    let child = heard.recv().await.unwrap();
    settle().await;
    assert_eq!(child.status(), RunStatus::Running, "it needs no slot");
    lets_go.open();
    for run in [&child, &parent, &queued] {
        assert!(matches!(ended(run).await, Outcome::Completed(_)));
    }
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_family_is_bounded_in_depth_and_in_number() {
    for (depth, number) in [(3, 100), (100, 3)] {
        let config = RuntimeConfig {
            max_child_depth: depth,
            max_children: number,
            ..RuntimeConfig::default()
        };
        let runtime = opened(config, SharedStore::new()).await;
        let agent = again(&runtime);
        let run = runtime.start(&agent, "Do it.").await.unwrap();
        assert!(matches!(ended(&run).await, Outcome::Completed(_)));
        let runs = runtime.runs(Default::default()).await.unwrap();
        assert_eq!(runs.len(), 4, "one, and three below it");
        nothing_kept(&runtime);
    }
}

/// An agent that delegates to an agent like itself.
fn again(runtime: &Runtime) -> Agent {
    let shared = runtime.clone();
    let delegate = move |_: serde_json::Value, context: ToolContext| {
        let runtime = shared.clone();
        let work = async move {
            let agent = again(&runtime);
            let run = NewRun::new("Help.").child_of(&context);
            let run = runtime.start(&agent, run).await?;
            run.outcome().await?;
            Ok::<_, ToolError>("helped".to_owned())
        };
        Box::pin(work) as futures::future::BoxFuture<'static, _>
    };
    let tool = tool::from_schema("delegate", "Asks.", json!({}), delegate);
    let model = Storyteller::new("done").calling("delegate", json!({}));
    Agent::builder("clerk", model).tool(tool).build().unwrap()
}
