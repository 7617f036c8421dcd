//! The output of tools and models is bounded.

use std::time::Duration;

use quell_actors::{
    CancelReason, Outcome, Runtime, ToolContext,
    agent::Limits,
    cancel::ToolEnd,
    tool,
    tool::{AnyTool, OnCancel, ToolError},
};
use serde_json::{Value, json};

use super::{
    How, clerk, ended, ends, results,
    scripted::{Scripted, call, wants_tools},
    start,
};

const MANY: usize = 1024 * 1024;

/// The longest error text that is kept whole.
const MOST: usize = 64 * 1024;

fn tools() -> Vec<AnyTool> {
    let words = || "é".repeat(MANY / 2);
    vec![
        tool::from_fn("fails", "", move |_: Value, _| async move {
            Err::<(), _>(ToolError::new(words()))
        }),
        tool::from_fn("panics", "", move |_: Value, _| async move {
            std::panic::panic_any(words());
            #[allow(unreachable_code, reason = "it has a type")]
            Ok(())
        }),
        tool::blocking_fn("thread", "", move |_: Value, _| {
            std::panic::panic_any(words());
            #[allow(unreachable_code, reason = "it has a type")]
            Ok(())
        }),
        tool::from_fn("reads", "", |(): (), _| async { Ok(()) }),
        tool::from_fn(
            "late",
            "",
            move |_: Value, context: ToolContext| async move {
                context.cancelled().await;
                Ok(words())
            },
        )
        .timeout(Duration::from_secs(1))
        .on_cancel(OnCancel::Finish),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_told_in_part_when_it_is_long() {
    let long = "x".repeat(MANY / 2);
    let quoted = json!(long).to_string();
    for (name, arguments) in [
        ("fails", "{}"),
        ("panics", "{}"),
        ("thread", "{}"),
        ("reads", &*quoted),
        ("late", "{}"),
        (&*long, "{}"),
    ] {
        let model = Scripted::new().answer([call(0, "a", name, arguments), wants_tools()]);
        let agent = tools()
            .into_iter()
            .fold(clerk(model), |agent, tool| agent.tool(tool));
        let run = start(How::Own, &Runtime::new(), &agent.build().unwrap()).await;
        assert_eq!(ended(&run).await.text(), "end");
        let told = &results(&run).await[0].1;
        let name = &name[..name.len().min(9)];
        assert!(told.len() > MOST / 2, "{name}: as much as fits is told");
        assert!(told.len() < MOST + 200, "{name}: {} bytes", told.len());
        assert!(told.contains("cut"), "{name}: it says that it was cut");
    }
}

fn with_log(bytes: u64) -> Limits {
    Limits {
        max_log_bytes: bytes,
        ..Limits::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_the_log_has_no_room_for_ends_the_run() {
    let much = tool::from_fn("much", "", |_: Value, _| async { Ok("x".repeat(10_000)) });
    let agent = clerk(super::calls(&["much"]))
        .tool(much)
        .limits(with_log(5_000));
    let run = start(How::Own, &Runtime::new(), &agent.build().unwrap()).await;
    let outcome = ended(&run).await;
    let Outcome::Cancelled(partial) = &outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(partial.receipt.reason, CancelReason::Budget);
    assert_eq!(partial.receipt.by.as_deref(), Some("max_log_bytes"));
    assert_eq!(ends(&outcome), [], "it had come to its end before");
    let told = &results(&run).await[0].1;
    assert_eq!(
        told,
        "failed: The result did not fit into what a run may hold."
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_log_has_no_room_for_is_not_made() {
    let arguments = json!({ "text": "x".repeat(3_000) }).to_string();
    let model = Scripted::new().answer([call(0, "a", "echo", &arguments), wants_tools()]);
    let agent = clerk(model).tool(super::echo()).limits(with_log(5_000));
    let run = start(How::Own, &Runtime::new(), &agent.build().unwrap()).await;
    let outcome = ended(&run).await;
    assert_eq!(
        super::support::partial(&outcome).receipt.reason,
        CancelReason::Budget
    );
    assert_eq!(results(&run).await, []);
}

#[tokio::test(start_paused = true)]
async fn what_refused_calls_are_told_counts() {
    // Each refusal is as long as its call, and there is no other output.
    let calls = (0..100).map(|at| call(at, "", &"x".repeat(40), "{}"));
    let model = Scripted::new().answer(calls.chain([wants_tools()]));
    let agent = clerk(model).tool(super::echo()).limits(with_log(12_000));
    let run = start(How::Own, &Runtime::new(), &agent.build().unwrap()).await;
    let outcome = ended(&run).await;
    assert_eq!(
        super::support::partial(&outcome).receipt.reason,
        CancelReason::Budget
    );
    assert!(
        ends(&outcome)
            .iter()
            .all(|(_, end)| *end == ToolEnd::NotStarted)
    );
}

#[tokio::test(start_paused = true)]
async fn progress_that_the_log_has_no_room_for_is_not_heard() {
    let chatty = tool::from_fn("chatty", "", |_: Value, context: ToolContext| async move {
        for _ in 0..100 {
            context.progress("x".repeat(1_000));
        }
        Ok(())
    });
    let agent = clerk(super::calls(&["chatty"]))
        .tool(chatty)
        .limits(with_log(5_000));
    let run = start(How::Own, &Runtime::new(), &agent.build().unwrap()).await;
    let outcome = ended(&run).await;
    let bytes: usize = super::support::all_events(&run)
        .await
        .iter()
        .map(|event| serde_json::to_string(event).unwrap().len())
        .sum();
    assert!(bytes < 20_000, "{bytes}: {outcome:?}");
}

/// A tool that tells of its progress in `lines` of so many bytes, and returns what is long itself.
fn chatty(lines: usize, bytes: usize) -> AnyTool {
    let call = move |_: Value, context: ToolContext| async move {
        for _ in 0..lines {
            context.progress("x".repeat(bytes));
        }
        Ok("done ".repeat(1_000))
    };
    tool::from_schema("chatty", "Talks.", json!({}), call)
}

#[tokio::test(start_paused = true)]
async fn progress_leaves_room_for_the_result_and_says_when_it_is_kept_no_longer() {
    const LOG: usize = 64 * 1024;
    for (lines, bytes) in [(2_000, 1), (200, 1_000), (5, 100)] {
        let model = Scripted::new()
            .answer([call(0, "a", "chatty", "{}"), wants_tools()])
            .answer([
                super::scripted::text("all is done"),
                super::scripted::stop(),
            ]);
        let limits = Limits {
            max_log_bytes: LOG as u64,
            ..Limits::default()
        };
        let agent = clerk(model).tool(chatty(lines, bytes)).limits(limits);
        let run = start(How::Own, &Runtime::new(), &agent.build().unwrap()).await;
        let outcome = ended(&run).await;
        assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
        let events = super::support::all_events(&run).await;
        let told: Vec<_> = events
            .iter()
            .filter_map(|event| match &event.kind {
                quell_actors::EventKind::ToolCallProgress(told) => Some(&*told.text),
                _ => None,
            })
            .collect();
        let kept: usize = told.iter().map(|text| 64 + text.len()).sum();
        assert!(kept <= LOG / 2 + 200, "{kept}");
        let (last, before) = told.split_last().unwrap();
        assert!(before.iter().all(|text| text.len() == bytes));
        if before.len() + 1 == lines {
            assert_eq!(last.len(), bytes);
        } else {
            assert!(last.contains("not kept"), "{last}");
            // It is not because of one line that half of the room is given up.
            assert!(kept + 64 + bytes > LOG / 2, "{kept}");
        }
        assert_eq!(results(&run).await.len(), 1);
    }
}
