//! Decisions: exactly one for each call that waits.

use quell_actors::{
    EventKind, Outcome, RunEvent, RunId, RunStatus, Runtime, error::ContinueError,
    event::ToolFault, runtime::Decisions, sim::Storyteller,
};
use serde_json::json;

use super::{CALL, approve, clerk, on, paused, with_pay};
use crate::support::{
    all_events, ended, names, nothing_kept, settle,
    shared::SharedStore,
    tools::{Ledger, open},
    until,
};

#[tokio::test(start_paused = true)]
async fn an_approved_call_is_made_and_the_run_goes_on_to_its_end() {
    let (runtime, ledger) = (Runtime::new(), Ledger::default());
    let run = paused(&runtime, &clerk(&ledger), "Pay.").await;
    assert!(
        ledger.made().is_empty(),
        "nothing is done before it is approved"
    );

    let again = runtime
        .continue_run(run.id(), approve().by("ann"))
        .await
        .unwrap();
    assert_eq!(again.id(), run.id());
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    assert_eq!(ledger.times(CALL), 1);
    let events = all_events(&run).await;
    assert_eq!(
        names(&events),
        [
            "started",
            "model_request_started",
            "content",
            "model_request_completed",
            "paused",
            "continued",
            "tool_call_started",
            "tool_call_completed",
            "model_request_started",
            "content",
            "model_request_completed",
            "completed"
        ]
    );
    let by = events.iter().find_map(|event| match &event.kind {
        EventKind::Continued(continued) => continued.by.as_deref(),
        _ => None,
    });
    assert_eq!(by, Some("ann"));
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_call_is_not_made_and_the_model_is_told_why() {
    let (runtime, ledger) = (Runtime::new(), Ledger::default());
    let run = paused(&runtime, &clerk(&ledger), "Pay.").await;
    let no = Decisions::new().reject(CALL, "Not on a Sunday.");
    runtime.continue_run(run.id(), no).await.unwrap();
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    assert!(ledger.made().is_empty());
    let fault = until(&run, |kind| matches!(kind, EventKind::ToolCallError(_))).await;
    let EventKind::ToolCallError(fault) = fault.kind else {
        unreachable!()
    };
    assert_eq!(
        (fault.kind, &*fault.error),
        (ToolFault::Rejected, "Not on a Sunday.")
    );
    nothing_kept(&runtime);
}

/// Three calls of one answer: two need approval, one does not.
fn three() -> Storyteller {
    Storyteller::new("all done")
        .calling("pay", json!({}))
        .calling("look", json!({}))
        .calling("pay", json!({}))
}

fn waiting(event: &RunEvent) -> Vec<String> {
    let EventKind::Paused(paused) = &event.kind else {
        panic!("not paused: {event:?}");
    };
    paused
        .calls
        .iter()
        .map(|waiting| waiting.call.id.to_string())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn only_the_calls_that_need_it_wait_and_the_others_are_done_before() {
    let (runtime, ledger) = (Runtime::new(), Ledger::default());
    let agent = with_pay(three(), &ledger).tool(ledger.tool("look", &open()));
    let run = paused(&runtime, &agent.build().unwrap(), "Pay.").await;
    assert_eq!(ledger.made(), ["call-1-1".into()]);
    let pause = until(&run, |kind| matches!(kind, EventKind::Paused(_))).await;
    assert_eq!(waiting(&pause), ["call-1-0", "call-1-2"]);

    for (decisions, expected) in [
        (
            Decisions::new(),
            ContinueError::Undecided("call-1-0".into()),
        ),
        (
            Decisions::new().approve("call-1-0"),
            ContinueError::Undecided("call-1-2".into()),
        ),
        (
            Decisions::new()
                .approve("call-1-0")
                .approve("call-1-2")
                .approve("call-1-1"),
            ContinueError::UnknownCall("call-1-1".into()),
        ),
    ] {
        let refused = runtime.continue_run(run.id(), decisions).await;
        assert_eq!(refused.unwrap_err(), expected);
        assert_eq!(run.status(), RunStatus::Paused, "nothing has happened");
    }
    let mixed = Decisions::new()
        .reject("call-1-0", "no")
        .approve("call-1-2")
        .reject("call-1-2", "neither")
        .approve("call-1-2");
    runtime.continue_run(run.id(), mixed).await.unwrap();
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    assert_eq!(ledger.made(), ["call-1-1".into(), "call-1-2".into()]);
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_run_may_be_paused_in_a_later_turn_and_twice() {
    let (runtime, ledger) = (Runtime::new(), Ledger::default());
    let model = Storyteller::new("all done")
        .calling("look", json!({}))
        .next_turn()
        .calling("pay", json!({}))
        .next_turn()
        .calling("pay", json!({}));
    let agent = with_pay(model, &ledger).tool(ledger.tool("look", &open()));
    let run = paused(&runtime, &agent.build().unwrap(), "Pay.").await;
    for call in ["call-2-0", "call-3-0"] {
        assert_eq!(run.status(), RunStatus::Paused);
        let go = Decisions::new().approve(call);
        runtime.continue_run(run.id(), go).await.unwrap();
        until(
            &run,
            |kind| matches!(kind, EventKind::ToolCallCompleted(done) if *done.id == *call),
        )
        .await;
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    }
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    assert_eq!(ledger.made().len(), 3);
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_paused_is_not_continued() {
    let (runtime, ledger) = (Runtime::new(), Ledger::default());
    let agent = clerk(&ledger);
    let unknown = runtime.continue_run(RunId::new(), approve()).await;
    assert_eq!(unknown.unwrap_err(), ContinueError::NotFound);

    let run = runtime.start(&agent, "Pay.").await.unwrap();
    let early = runtime.continue_run(run.id(), approve()).await;
    let status = RunStatus::Pending;
    assert_eq!(early.unwrap_err(), ContinueError::NotPaused { status });
    until(&run, |kind| matches!(kind, EventKind::Paused(_))).await;
    runtime.continue_run(run.id(), approve()).await.unwrap();
    ended(&run).await;
    settle().await;
    let late = runtime.continue_run(run.id(), approve()).await;
    let status = RunStatus::Completed;
    assert_eq!(late.unwrap_err(), ContinueError::NotPaused { status });
}

#[tokio::test(start_paused = true)]
async fn a_run_of_an_unknown_agent_waits_until_somebody_brings_it() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let agent = clerk(&ledger);
    let id = paused(&on(&store).await, &agent, "Pay.").await.id();

    let second = on(&store.another()).await;
    let run = second.get(id).await.unwrap().unwrap();
    let unknown = second.continue_run(id, approve()).await.unwrap_err();
    assert_eq!(unknown, ContinueError::UnknownAgent("clerk".into()));
    assert_eq!(run.status(), RunStatus::Paused);

    // The log is in memory already, and was restored without the agent's limits.
    second.add_agent(&agent);
    second.continue_run(id, approve()).await.unwrap();
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    assert_eq!(ledger.times(CALL), 1);
    nothing_kept(&second);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_came_back_before_its_agent_is_held_to_its_limits() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let agent = with_pay(super::payer(), &ledger).max_turns(1);
    let agent = agent.build().unwrap();
    let id = paused(&on(&store).await, &agent, "Pay.").await.id();
    let second = on(&store.another()).await;
    let run = second.get(id).await.unwrap().unwrap();
    second.add_agent(&agent);
    second.continue_run(id, approve()).await.unwrap();
    let outcome = ended(&run).await;
    assert_eq!(
        crate::support::partial(&outcome).receipt.by.as_deref(),
        Some("max_turns")
    );
    assert_eq!(ledger.times(CALL), 1);
    nothing_kept(&second);
}
