//! A family of runs that is deeper than a stack.

use std::sync::{
    Arc, Mutex, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use quell_actors::{
    Agent, CancelOutcome, CancelReason, NewRun, Outcome, Run, Runtime, ToolContext,
    runtime::RuntimeConfig, tool, tool::ToolError,
};
use serde_json::{Value, json};

use super::{
    calls, clerk, eventually,
    support::{nothing_left, partial},
};

/// Far more than a stack of 2 MiB has room for, if each generation took a frame or two of it.
const DEEP: usize = 10_000;

/// An agent that delegates to itself, until `DEEP` runs are there, and what it has started.
fn delegating(runtime: &Runtime) -> (Agent, Arc<Mutex<Vec<Run>>>, Arc<AtomicUsize>) {
    let (started, waiting) = (Arc::<Mutex<Vec<Run>>>::default(), Arc::default());
    let itself = Arc::new(OnceLock::<Agent>::new());
    let call = {
        let (runtime, itself) = (runtime.clone(), itself.clone());
        let (started, waiting) = (started.clone(), Arc::<AtomicUsize>::clone(&waiting));
        move |_: Value, context: ToolContext| {
            let (runtime, itself) = (runtime.clone(), itself.clone());
            let (started, waiting) = (started.clone(), waiting.clone());
            async move {
                let depth = started.lock().unwrap().len();
                if depth < DEEP {
                    let agent = itself.get().unwrap();
                    let new = NewRun::new("Go on.").child_of(&context);
                    let child = runtime.start(agent, new).await?;
                    started.lock().unwrap().push(child);
                }
                waiting.fetch_add(1, Ordering::SeqCst);
                std::future::pending::<Result<(), ToolError>>().await
            }
        }
    };
    let tool = tool::from_schema("asks", "Delegates.", json!({}), call);
    let agent = clerk(calls(&["asks"])).tool(tool).build().unwrap();
    itself.set(agent.clone()).unwrap();
    (agent, started, waiting)
}

#[tokio::test(start_paused = true)]
async fn a_family_that_is_deeper_than_a_stack_is_cancelled_whole() {
    let runtime = Runtime::builder()
        .config(RuntimeConfig {
            max_child_depth: usize::MAX,
            max_children: usize::MAX,
            ..RuntimeConfig::default()
        })
        .in_memory();
    let (agent, started, waiting) = delegating(&runtime);
    let root = runtime.start(&agent, "Go.").await.unwrap();
    eventually(|| waiting.load(Ordering::SeqCst) > DEEP).await;

    let answer = root.cancel().await;
    assert!(matches!(answer, CancelOutcome::Accepted { .. }));
    let mut parent = root.id();
    let family = std::mem::take(&mut *started.lock().unwrap());
    for child in family {
        let outcome: Outcome = child.outcome().await.unwrap();
        assert_eq!(
            partial(&outcome).receipt.reason,
            CancelReason::Parent(parent)
        );
        parent = child.id();
    }
    eventually(|| runtime.list().is_empty()).await;
    nothing_left(&runtime);
}
