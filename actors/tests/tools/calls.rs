//! The loop of model and tools itself.

use std::sync::Arc;

use quell_actors::{
    EventKind, Outcome, RunStatus, Runtime, ToolContext,
    error::AgentError,
    message::Message,
    sim::{Gate, Storyteller},
    tool,
    tool::ToolError,
    usage::UsageSource,
};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use super::{
    BOTH, clerk, echo, ended, results,
    scripted::{Scripted, call, stop, text, usage, wants_tools},
    start,
    support::{all_events, names, nothing_left, until},
};

#[tokio::test(start_paused = true)]
async fn a_tool_is_called_and_its_result_goes_to_the_model() {
    for how in BOTH {
        let model = Scripted::new()
            .answer([
                text("Let me see. "),
                call(0, "a", "echo", r#"{"text":"hi"}"#),
                wants_tools(),
            ])
            .answer([text("It says hi."), stop()]);
        let runtime = Runtime::new();
        let agent = clerk(model.clone()).tool(echo()).build().unwrap();
        let run = start(how, &runtime, &agent).await;
        let outcome = ended(&run).await;
        assert_eq!(outcome.text(), "Let me see. It says hi.");
        let events = [
            "started",
            "model_request_started",
            "content",
            "model_request_completed",
            "tool_call_started",
            "tool_call_completed",
            "model_request_started",
            "content",
            "model_request_completed",
            "completed",
        ];
        assert_eq!(names(&all_events(&run).await), events, "{how:?}");

        let [_, asked] = &model.requests()[..] else {
            panic!("it is asked twice");
        };
        let [user, assistant, result] = &asked[..] else {
            panic!("{asked:?}");
        };
        assert_eq!(*user, Message::user("Sing."));
        assert_eq!(
            (assistant.text(), assistant.calls().len()),
            ("Let me see. ", 1)
        );
        assert_eq!(*result, Message::tool("a", "hi"));
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn the_calls_of_one_answer_are_at_work_at_the_same_time() {
    for how in BOTH {
        let barrier = Arc::new(Barrier::new(3));
        let meet = tool::from_schema(
            "meet",
            "Meets the others.",
            json!({}),
            move |_: Value, _| {
                let barrier = barrier.clone();
                async move {
                    barrier.wait().await;
                    Ok("met")
                }
            },
        );
        let runtime = Runtime::new();
        let agent = clerk(super::calls(&["meet", "meet", "meet"]))
            .tool(meet)
            .build()
            .unwrap();
        let run = start(how, &runtime, &agent).await;
        assert_eq!(ended(&run).await.text(), "all done");
        assert_eq!(results(&run).await.len(), 3);
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn results_are_heard_as_they_come_and_told_in_the_models_order() {
    for how in BOTH {
        let gates: Arc<[Gate]> = [Gate::new(), Gate::new(), Gate::new()].into();
        let doors = gates.clone();
        let wait = move |input: Value, _: ToolContext| {
            let at = usize::try_from(input["at"].as_u64().unwrap()).unwrap();
            let gate = doors[at].clone();
            async move {
                gate.wait().await;
                Ok(at)
            }
        };
        let at = |at: u32| {
            call(
                at,
                &format!("c{at}"),
                "wait",
                &json!({ "at": at }).to_string(),
            )
        };
        let model = Scripted::new().answer([at(0), at(1), at(2), wants_tools()]);
        let runtime = Runtime::new();
        let tool = tool::from_schema("wait", "Waits.", json!({}), wait);
        let agent = clerk(model.clone()).tool(tool).build().unwrap();
        let run = start(how, &runtime, &agent).await;
        for at in [2, 0, 1] {
            gates[at].open();
            let id = format!("c{at}");
            until(
                &run,
                |kind| matches!(kind, EventKind::ToolCallCompleted(done) if *done.id == *id),
            )
            .await;
        }
        ended(&run).await;
        let heard: Vec<_> = results(&run).await.into_iter().map(|(id, _)| id).collect();
        assert_eq!(heard, ["c2", "c0", "c1"]);
        assert_eq!(model.last_texts(), ["Sing.", "", "0", "1", "2"]);
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn turns_follow_one_another_and_their_usage_adds_up() {
    for how in BOTH {
        let model = Scripted::new()
            .answer([
                text("one "),
                call(0, "a", "echo", r#"{"text":"1"}"#),
                usage(10, 3),
                wants_tools(),
            ])
            .answer([
                text("two "),
                call(0, "b", "echo", r#"{"text":"2"}"#),
                usage(20, 4),
                wants_tools(),
            ])
            .answer([text("three"), usage(30, 5), stop()]);
        let runtime = Runtime::new();
        let agent = clerk(model.clone()).tool(echo()).build().unwrap();
        let run = start(how, &runtime, &agent).await;
        let Outcome::Completed(reply) = ended(&run).await else {
            panic!("it completes");
        };
        assert_eq!(reply.text, "one two three");
        let usage = reply.usage;
        assert_eq!((usage.input_tokens, usage.output_tokens), (60, 12));
        assert_eq!(usage.source, UsageSource::Provider);
        let turns: Vec<_> = all_events(&run)
            .await
            .into_iter()
            .filter_map(|event| match event.kind {
                EventKind::ModelRequestStarted { turn, attempt, .. } => Some((turn, attempt)),
                _ => None,
            })
            .collect();
        assert_eq!(turns, [(1, 1), (2, 1), (3, 1)]);
        assert_eq!(model.last_texts(), ["Sing.", "one ", "1", "two ", "2"]);
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_tells_how_far_it_is() {
    let tell = tool::from_schema(
        "tell",
        "Tells.",
        json!({}),
        |_: Value, context: ToolContext| async move {
            context.progress("half");
            tokio::task::yield_now().await;
            context.progress("nearly");
            Ok::<_, ToolError>(context.call_id().to_owned())
        },
    );
    let agent = clerk(super::calls(&["tell"])).tool(tell).build().unwrap();
    let run = start(super::How::Own, &Runtime::new(), &agent).await;
    ended(&run).await;
    let told: Vec<_> = all_events(&run)
        .await
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::ToolCallProgress(told) => Some(told.text.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["half", "nearly"]);
    assert_eq!(
        results(&run).await,
        [("call-1-0".to_owned(), "call-1-0".to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn a_context_knows_its_run_and_its_session() {
    let tell = tool::from_schema(
        "tell",
        "Tells.",
        json!({}),
        |_: Value, context: ToolContext| async move {
            Ok(json!([
                context.run_id(),
                context.session_id(),
                context.is_cancelled()
            ]))
        },
    );
    let agent = clerk(super::calls(&["tell"])).tool(tell).build().unwrap();
    let new = quell_actors::NewRun::new("Go.").session("s");
    let run = Runtime::new().start(&agent, new).await.unwrap();
    ended(&run).await;
    let expected = json!([run.id(), "s", false]).to_string();
    assert_eq!(results(&run).await[0].1, expected);
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_never_returns_holds_up_its_run_and_no_other() {
    let never = tool::from_schema("never", "Never returns.", json!({}), |_: Value, _| {
        std::future::pending::<Result<(), ToolError>>()
    });
    let runtime = Runtime::new();
    let agent = clerk(super::calls(&["never", "echo"]))
        .tool(never)
        .tool(echo())
        .build()
        .unwrap();
    let stuck = start(super::How::Own, &runtime, &agent).await;
    until(&stuck, |kind| {
        matches!(kind, EventKind::ToolCallCompleted(_))
    })
    .await;
    let fine = start(super::How::Own, &runtime, &agent_that_echoes()).await;
    assert_eq!(ended(&fine).await.text(), "fine");
    assert_eq!(stuck.status(), RunStatus::Running);
    stuck.cancel().await;
    ended(&stuck).await;
    nothing_left(&runtime);
}

fn agent_that_echoes() -> quell_actors::Agent {
    let model = Storyteller::new("fine").calling("echo", json!({ "text": "x" }));
    clerk(model).tool(echo()).build().unwrap()
}

#[test]
fn names_that_no_provider_takes_are_refused_and_so_are_two_alike() {
    let named = |name: &str| {
        let tool = tool::from_schema(name, "", json!({}), |_: Value, _| async { Ok(()) });
        clerk(Storyteller::endless())
            .tool(echo())
            .tool(tool)
            .build()
            .err()
    };
    for good in ["a", "get_It-2", &"x".repeat(64)] {
        assert_eq!(named(good), None);
    }
    for bad in ["", "a b", "a.b", "é", &"x".repeat(65)] {
        assert_eq!(named(bad), Some(AgentError::ToolName(bad.into())));
    }
    assert_eq!(
        named("echo"),
        Some(AgentError::DuplicateTool("echo".into()))
    );
}
