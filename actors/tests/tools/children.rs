//! Runs that a tool starts: they end together with the run of that tool.

use std::sync::{Arc, Mutex};

use quell_actors::{
    Agent, CancelReason, NewRun, Outcome, Run, RunId, RunStatus, Runtime, ToolContext,
    error::StartError,
    runtime::RuntimeConfig,
    sim::Storyteller,
    tool,
    tool::{AnyTool, OnCancel, ToolError},
};
use serde_json::{Value, json};

use super::{
    BOTH, How, clerk, ended, ends, eventually, results, start,
    support::{all_events, nothing_left, partial},
};

/// What the tool of [`asks`] has started.
#[derive(Clone, Default)]
struct Started(Arc<Mutex<Vec<Run>>>);

impl Started {
    fn runs(&self) -> Vec<Run> {
        self.0.lock().unwrap().clone()
    }

    fn ids(&self) -> Vec<RunId> {
        self.runs().iter().map(Run::id).collect()
    }
}

/// A tool that asks another agent, as a child of the calling run.
fn asks(
    runtime: &Runtime,
    agent: Agent,
    session: Option<&'static str>,
    started: &Started,
) -> AnyTool {
    let (runtime, started) = (runtime.clone(), started.clone());
    let call = move |_: Value, context: ToolContext| {
        let (runtime, agent, started) = (runtime.clone(), agent.clone(), started.clone());
        async move {
            let mut new = NewRun::new("Help.").child_of(&context);
            if let Some(session) = session {
                new = new.session(session);
            }
            let child = runtime.start(&agent, new).await?;
            started.0.lock().unwrap().push(child.clone());
            Ok(child.outcome().await?.text().to_owned())
        }
    };
    tool::from_schema("asks", "Asks somebody else.", json!({}), call)
}

fn narrow() -> Runtime {
    Runtime::builder()
        .config(RuntimeConfig {
            max_live_runs: 1,
            ..RuntimeConfig::default()
        })
        .in_memory()
}

fn one_call() -> Storyteller {
    super::calls(&["asks"])
}

#[tokio::test(start_paused = true)]
async fn a_child_gets_a_slot_and_never_waits_for_its_parent() {
    for how in BOTH {
        for session in [None, Some("s")] {
            let (runtime, started) = (narrow(), Started::default());
            let helper = clerk(Storyteller::new("of course")).build().unwrap();
            let agent = clerk(one_call()).tool(asks(&runtime, helper, session, &started));
            let agent = agent.build().unwrap();
            let run = match (how, session) {
                (How::Own, Some(session)) => {
                    let new = NewRun::new("Sing.").session(session);
                    runtime.start(&agent, new).await.unwrap()
                }
                _ => start(how, &runtime, &agent).await,
            };
            assert_eq!(ended(&run).await.text(), "all done");
            assert_eq!(results(&run).await[0].1, "of course");
            let child = &started.runs()[0];
            let quell_actors::EventKind::Started(first) = &all_events(child).await[0].kind else {
                panic!("it begins so");
            };
            assert_eq!(first.parent, Some(run.id()));
            drop(agent);
            nothing_left(&runtime);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn children_nest() {
    let (runtime, started) = (narrow(), Started::default());
    let helper = clerk(Storyteller::new("of course")).build().unwrap();
    let middle = clerk(one_call())
        .tool(asks(&runtime, helper, Some("s"), &started))
        .build()
        .unwrap();
    let agent = clerk(one_call())
        .tool(asks(&runtime, middle, Some("s"), &started))
        .build()
        .unwrap();
    let run = runtime
        .start(&agent, NewRun::new("Go.").session("s"))
        .await
        .unwrap();
    assert_eq!(ended(&run).await.text(), "all done");
    assert_eq!(started.runs().len(), 2);
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn children_are_cancelled_with_their_parent_and_named_in_its_receipt() {
    for how in BOTH {
        for on_cancel in [OnCancel::Drop, OnCancel::Finish] {
            let (runtime, started) = (narrow(), Started::default());
            let helper = clerk(Storyteller::endless()).build().unwrap();
            let middle = asks(&runtime, helper, None, &started).on_cancel(on_cancel);
            let middle = clerk(one_call()).tool(middle).build().unwrap();
            let tool = asks(&runtime, middle, None, &started).on_cancel(on_cancel);
            let agent = clerk(super::calls(&["asks", "asks"]))
                .tool(tool)
                .build()
                .unwrap();
            let run = start(how, &runtime, &agent).await;
            // Two children, and each has a child of its own.
            eventually(|| started.runs().len() == 4).await;
            run.cancel().await;
            let outcome = ended(&run).await;
            let children = &partial(&outcome).receipt.children;
            assert_eq!(
                *children,
                started.ids()[..2],
                "each child, and no grandchild"
            );
            for child in started.runs() {
                let outcome = ended(&child).await;
                let CancelReason::Parent(parent) = partial(&outcome).receipt.reason else {
                    panic!("{outcome:?}");
                };
                let expected = if children.contains(&child.id()) {
                    parent == run.id()
                } else {
                    children.contains(&parent)
                };
                assert!(expected);
            }
            let end = ends(&outcome)[0].1;
            let finished = on_cancel == OnCancel::Finish;
            assert_eq!(
                end == quell_actors::cancel::ToolEnd::Finished,
                finished,
                "{end}"
            );
            drop(agent);
            nothing_left(&runtime);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_that_outlives_its_call_is_cancelled_when_its_parent_ends() {
    let (runtime, started) = (Runtime::new(), Started::default());
    let leaves = tool::from_schema("asks", "", json!({}), {
        let (runtime, started) = (runtime.clone(), started.clone());
        move |_: Value, context: ToolContext| {
            let (runtime, started) = (runtime.clone(), started.clone());
            async move {
                let endless = clerk(Storyteller::endless()).build()?;
                let new = NewRun::new("Go on.").child_of(&context);
                let child = runtime.start(&endless, new).await?;
                started.0.lock().unwrap().push(child);
                Ok("begun")
            }
        }
    });
    let agent = clerk(one_call()).tool(leaves).build().unwrap();
    let run = start(How::Own, &runtime, &agent).await;
    assert_eq!(ended(&run).await.text(), "all done");
    let outcome = ended(&started.runs()[0]).await;
    assert_eq!(
        partial(&outcome).receipt.reason,
        CancelReason::Parent(run.id())
    );
    drop(agent);
    nothing_left(&runtime);
}

/// A run, and the context that one of its calls has sent away.
async fn leaked(runtime: &Runtime, cancelled: bool) -> (Run, ToolContext) {
    let (give, mut take) = tokio::sync::mpsc::unbounded_channel::<ToolContext>();
    let tool = tool::from_schema(
        "asks",
        "",
        json!({}),
        move |_: Value, context: ToolContext| {
            let give = give.clone();
            async move {
                give.send(context.clone())?;
                context.cancelled().await;
                std::future::pending::<Result<(), ToolError>>().await
            }
        },
    );
    let tool = tool.on_cancel(OnCancel::Finish);
    let agent = clerk(one_call()).tool(tool).build().unwrap();
    let run = start(How::Own, runtime, &agent).await;
    let context = take.recv().await.unwrap();
    run.cancel();
    if !cancelled {
        ended(&run).await;
    }
    (run, context)
}

#[tokio::test(start_paused = true)]
async fn a_parent_that_is_cancelled_or_has_ended_starts_no_other() {
    for cancelled in [true, false] {
        let runtime = Runtime::new();
        let (run, context) = leaked(&runtime, cancelled).await;
        let helper = clerk(Storyteller::endless()).build().unwrap();
        let refused = runtime
            .start(&helper, NewRun::new("Go.").child_of(&context))
            .await;
        assert_eq!(refused.unwrap_err(), StartError::ParentEnded(run.id()));
        assert_eq!(ended(&run).await.status(), RunStatus::Cancelled);
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_that_fails_fails_its_call_and_not_its_parent() {
    let (runtime, started) = (Runtime::new(), Started::default());
    let helper = clerk(Storyteller::new("so").panic_at(1)).build().unwrap();
    let agent = clerk(one_call())
        .tool(asks(&runtime, helper, None, &started))
        .build()
        .unwrap();
    let run = start(How::Own, &runtime, &agent).await;
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    assert_eq!(ended(&started.runs()[0]).await.status(), RunStatus::Error);
    drop(agent);
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_refused_child_is_left_behind() {
    let runtime = Runtime::new();
    let (run, context) = leaked(&runtime, true).await;
    let helper = clerk(Storyteller::endless()).build().unwrap();
    let id = RunId::new();
    let refused = runtime
        .start(&helper, NewRun::new("Go.").id(id).child_of(&context))
        .await;
    assert!(refused.is_err());
    ended(&run).await;
    assert!(runtime.get(id).await.unwrap().is_none());
}
