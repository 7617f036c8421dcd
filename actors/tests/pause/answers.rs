//! Other decisions: a call is made with other arguments, or by the caller.

use std::sync::{Arc, Mutex};

use quell_actors::{
    Agent, EventKind, Outcome, Run, RunStatus, Runtime, ToolContext,
    agent::{AgentBuilder, Limits, OnCrash},
    error::ContinueError,
    event::{ToolFault, WaitsFor},
    message::Message,
    runtime::Decisions,
    sim::Storyteller,
    tool::{self, AnyTool, ToolSettings},
};
use serde_json::{Value, json};

use super::{CALL, on, paused, payer};
use crate::support::{
    all_events, ended, names, nothing_kept, opened, settle, shared::SharedStore, tools::Recorder,
    until,
};

/// The arguments that a tool was called with.
#[derive(Clone, Default)]
struct Paid(Arc<Mutex<Vec<Value>>>);

impl Paid {
    fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }

    /// The tool `pay`.
    fn tool(&self) -> AnyTool {
        let paid = self.clone();
        let pay = move |arguments: Value, _: ToolContext| {
            paid.0.lock().unwrap().push(arguments);
            async { Ok("paid") }
        };
        tool::from_schema("pay", "Pays.", json!({"type": "object"}), pay)
    }
}

fn clerk(model: &Recorder, tool: AnyTool) -> AgentBuilder {
    Agent::builder("clerk", model.clone()).tool(tool)
}

/// A tool whose calls the caller makes.
fn external() -> AnyTool {
    tool::external("pay", "Pays.", json!({"type": "object"}))
}

/// The arguments of the calls that the model sees in its history.
fn shown(messages: &[Message]) -> Vec<String> {
    let calls = messages.iter().flat_map(Message::calls);
    calls.map(|call| call.arguments.to_string()).collect()
}

async fn started_with(run: &Run) -> Vec<String> {
    let events = all_events(run).await;
    let started = events.iter().filter_map(|event| match &event.kind {
        EventKind::ToolCallStarted(call) => Some(call.arguments.to_string()),
        _ => None,
    });
    started.collect()
}

const LESS: &str = r#"{"euros":3}"#;

fn less() -> Decisions {
    Decisions::new().approve_with(CALL, LESS).by("ann")
}

#[tokio::test(start_paused = true)]
async fn a_call_is_made_with_the_arguments_it_was_approved_with_and_the_model_is_shown_those() {
    let (store, paid, model) = (SharedStore::new(), Paid::default(), Recorder::new(payer()));
    let runtime = on(&store).await;
    let agent = clerk(&model, paid.tool().confirm()).build().unwrap();
    let run = runtime.start(&agent, quell_actors::NewRun::new("Pay.").session("s"));
    let run = run.await.unwrap();
    until(&run, |kind| matches!(kind, EventKind::Paused(_))).await;
    settle().await;
    runtime.continue_run(run.id(), less()).await.unwrap();
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    assert_eq!(paid.all(), [json!({"euros": 3})]);
    assert_eq!(started_with(&run).await, [LESS]);
    assert_eq!(shown(model.asked().last().unwrap()), [LESS]);

    // A later run in another process sees the same.
    let later = on(&store.another()).await;
    let next = later.start(&agent, quell_actors::NewRun::new("And?").session("s"));
    let next = next.await.unwrap();
    until(&next, |kind| {
        matches!(kind, EventKind::ModelRequestStarted { .. })
    })
    .await;
    settle().await;
    assert_eq!(shown(model.asked().last().unwrap()), [LESS]);
    next.cancel().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_a_crash_has_cut_is_made_again_with_the_arguments_it_was_approved_with() {
    let (store, paid, model) = (SharedStore::new(), Paid::default(), Recorder::new(payer()));
    let agent = clerk(&model, paid.tool().confirm().repeatable()).on_crash(OnCrash::Resume);
    let agent = agent.build().unwrap();
    let id = paused(&on(&store).await, &agent, "Pay.").await.id();

    // The process dies once the decision is stored, and then once the start of the call is stored too.
    for left in [1, 2] {
        let dying = store.another();
        let builder = Runtime::builder().agent(&agent);
        let (runtime, _) = builder.open(dying.clone()).await.unwrap();
        dying.freeze_after(left);
        let _ = runtime.get(id).await.unwrap().unwrap();
        if left == 1 {
            runtime.continue_run(id, less()).await.unwrap();
        }
        dying.frozen().await;
        settle().await;
    }
    let (runtime, _) = Runtime::builder()
        .agent(&agent)
        .open(store.another())
        .await
        .unwrap();
    let run = runtime.get(id).await.unwrap().unwrap();
    let outcome = ended(&run).await;
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    let paid = paid.all();
    assert!(!paid.is_empty());
    assert!(
        paid.iter().all(|made| *made == json!({"euros": 3})),
        "{paid:?}"
    );
    assert!(started_with(&run).await.iter().all(|made| made == LESS));
    assert_eq!(shown(model.asked().last().unwrap()), [LESS]);
}

#[tokio::test(start_paused = true)]
async fn arguments_that_are_no_object_are_refused_and_the_run_waits_on() {
    let (runtime, paid, model) = (Runtime::new(), Paid::default(), Recorder::new(payer()));
    let agent = clerk(&model, paid.tool().confirm()).build().unwrap();
    let run = paused(&runtime, &agent, "Pay.").await;
    for arguments in ["", "[1]", "{\"euros\":", "null"] {
        let edited = Decisions::new().approve_with(CALL, arguments);
        let refused = runtime.continue_run(run.id(), edited).await;
        assert_eq!(
            refused.unwrap_err(),
            ContinueError::InvalidArguments(CALL.into())
        );
        assert_eq!(run.status(), RunStatus::Paused);
    }
    runtime.continue_run(run.id(), less()).await.unwrap();
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_caller_does_waits_for_its_output_and_is_never_made_here() {
    let (store, model) = (SharedStore::new(), Recorder::new(payer()));
    let agent = clerk(&model, external()).build().unwrap();
    let id = paused(&on(&store).await, &agent, "Pay.").await.id();

    // Another process gets the result.
    let runtime = opened(Default::default(), store.another()).await;
    runtime.add_agent(&agent);
    let run = runtime.get(id).await.unwrap().unwrap();
    let pause = until(&run, |kind| matches!(kind, EventKind::Paused(_))).await;
    let EventKind::Paused(pause) = pause.kind else {
        unreachable!()
    };
    let waits = [(CALL, WaitsFor::Answer)];
    let calls = pause.calls.iter();
    let calls: Vec<_> = calls.map(|call| (&*call.call.id, call.waits_for)).collect();
    assert_eq!(calls, waits);

    for approval in [Decisions::new().approve(CALL), less()] {
        let refused = runtime.continue_run(id, approval).await;
        assert_eq!(
            refused.unwrap_err(),
            ContinueError::NeedsAnswer(CALL.into())
        );
        assert_eq!(run.status(), RunStatus::Paused);
    }
    let answer = Decisions::new().answer(CALL, "paid in cash");
    runtime.continue_run(id, answer).await.unwrap();
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    assert_eq!(model.last().last().unwrap(), "tool call-1-0: paid in cash");
    assert_eq!(
        names(&all_events(&run).await),
        [
            "started",
            "model_request_started",
            "content",
            "model_request_completed",
            "paused",
            "continued",
            "tool_call_completed",
            "model_request_started",
            "content",
            "model_request_completed",
            "completed"
        ]
    );
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_approval_may_be_answered_and_one_for_the_caller_rejected() {
    let (paid, model) = (Paid::default(), Recorder::new(payer()));
    for (tool, decision, told) in [
        (
            paid.tool().confirm(),
            Decisions::new().answer(CALL, "paid by hand"),
            "tool call-1-0: paid by hand",
        ),
        (
            external(),
            Decisions::new().reject(CALL, "Not today."),
            "tool call-1-0: Not today.",
        ),
    ] {
        let runtime = Runtime::new();
        let agent = clerk(&model, tool).build().unwrap();
        let run = paused(&runtime, &agent, "Pay.").await;
        runtime.continue_run(run.id(), decision).await.unwrap();
        assert!(matches!(ended(&run).await, Outcome::Completed(_)));
        assert_eq!(model.last().last().unwrap(), told);
        assert_eq!(paid.all(), [Value::Null; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_has_no_more_bytes_than_an_output_may_have() {
    let (runtime, model) = (Runtime::new(), Recorder::new(payer()));
    let tool = external().with_settings(ToolSettings {
        max_output_bytes: 4,
        external: true,
        ..ToolSettings::default()
    });
    let agent = clerk(&model, tool).build().unwrap();
    let run = paused(&runtime, &agent, "Pay.").await;
    let answer = Decisions::new().answer(CALL, "12345");
    runtime.continue_run(run.id(), answer).await.unwrap();
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    let failed = until(&run, |kind| matches!(kind, EventKind::ToolCallError(_))).await;
    let EventKind::ToolCallError(failed) = failed.kind else {
        unreachable!()
    };
    assert_eq!(failed.kind, ToolFault::Failed);
    assert_eq!(
        &*failed.error,
        "the output has 5 bytes, and at most 4 are allowed"
    );
}

#[tokio::test(start_paused = true)]
async fn edited_arguments_count_for_the_size_of_the_log() {
    let (runtime, paid, model) = (
        Runtime::new(),
        Paid::default(),
        Recorder::new(Storyteller::new("done").calling("pay", json!({}))),
    );
    let agent = clerk(&model, paid.tool().confirm()).limits(Limits {
        max_log_bytes: 4096,
        ..Limits::default()
    });
    let run = paused(&runtime, &agent.build().unwrap(), "Pay.").await;
    let large = json!({"note": "x".repeat(4096)}).to_string();
    let edited = Decisions::new().approve_with(CALL, large);
    runtime.continue_run(run.id(), edited).await.unwrap();
    let outcome = ended(&run).await;
    let receipt = &crate::support::partial(&outcome).receipt;
    assert_eq!(receipt.by.as_deref(), Some("max_log_bytes"));
    assert_eq!(paid.all(), [Value::Null; 0]);
}
