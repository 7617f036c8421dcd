//! A run that waited begins after the ending of the one before it is stored, and is shown it.

use quell_actors::{
    Agent, EventKind, NewRun, Outcome, Run, RunStatus, Runtime,
    sim::{Gate, Storyteller},
    tool::OnCancel,
};

use super::{hanging, on};
use crate::support::{
    ended, nothing_kept, poet, settle,
    shared::SharedStore,
    tools::{Ledger, Recorder},
    until,
};

fn new(words: &str) -> NewRun {
    NewRun::new(words).session("s")
}

/// A run that is at work: it speaks, or has a tool that must finish and was asked to stop.
async fn at_work(runtime: &Runtime, cancelling: bool) -> Run {
    if !cancelling {
        let speaks = poet(Storyteller::new("half an answer and more").stall_at(3));
        let run = runtime.start(&speaks, new("first")).await.unwrap();
        let heard =
            |kind: &EventKind| matches!(kind, EventKind::Content { text } if **text == *"answer ");
        until(&run, heard).await;
        return run;
    }
    let model = Storyteller::new("done")
        .saying_first("half an answer")
        .calling("move", serde_json::json!({}));
    let tool = Ledger::default().tool("move", &Gate::new());
    let agent = Agent::builder("clerk", model).tool(tool.on_cancel(OnCancel::Finish));
    let run = runtime
        .start(&agent.build().unwrap(), new("first"))
        .await
        .unwrap();
    until(&run, |kind| matches!(kind, EventKind::ToolCallStarted(_))).await;
    settle().await;
    run.cancel().await;
    assert_eq!(run.status(), RunStatus::Cancelling);
    run
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waited_begins_when_the_ending_before_it_is_stored_and_reads_it() {
    for cancelling in [false, true] {
        let store = SharedStore::new();
        let runtime = on(&store).await;
        let first = at_work(&runtime, cancelling).await;
        runtime.start(&hanging(), new("second")).await.unwrap();
        settle().await;

        let model = Recorder::new(Storyteller::new("done"));
        let agent = Agent::new("poet", model.clone());
        let next = store.another();
        next.freeze_after(0);
        let opening = tokio::spawn({
            let recover = Runtime::builder().agent(&agent);
            let next = next.clone();
            async move { recover.open(next).await.unwrap() }
        });
        next.frozen().await;
        settle().await;
        assert_eq!(model.asked().len(), 0, "nobody has begun");
        next.thaw();
        let (runtime, recovered) = opening.await.unwrap();
        assert_eq!(recovered.requeued.len(), 1);
        let second = runtime.get(recovered.requeued[0]).await.unwrap().unwrap();
        assert!(matches!(ended(&second).await, Outcome::Completed(_)));
        let asked = model.last();
        assert_eq!(asked[0], "user: first");
        assert!(
            asked[1].starts_with("assistant: half an answer"),
            "{asked:?}"
        );
        assert_eq!(asked.last().unwrap(), "user: second");
        settle().await;
        nothing_kept(&runtime);
        let head = store.stored_head(first.id()).await.unwrap();
        let status = match cancelling {
            true => RunStatus::Cancelled,
            false => RunStatus::Error,
        };
        assert_eq!(head.status, status);
    }
}
