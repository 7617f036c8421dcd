//! The truth test: a real inference server reports itself whether a cancel has stopped it.
//!
//!     scripts/real-upstream cargo test --test real_upstream
//!
//! Without a server in `QUELL_UPSTREAM` nothing is tested, and the test prints that; with `QUELL_UPSTREAM_REQUIRED` it
//! fails.
#![cfg(feature = "http-models")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic, and has figures to show"
)]

#[path = "support/upstream.rs"]
mod upstream;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use quell::{
    Agent, EventKind, Outcome, Run, RunStatus, Runtime, ToolContext,
    cancel::Activity,
    message::{Message, ToolCall},
    model::{ModelChunk, ModelErrorKind},
    outcome::FinishReason,
    sim::check_chat,
    tool,
    tool::ToolSpec,
    usage::UsageSource,
};
use serde_json::{Value, json};
use tokio::time::interval;

use upstream::{Server, answer};

/// How many tokens are requested: more than the server can make during the test.
const ASKED: u32 = 100_000;

/// How many cancels are measured: the machine is shared, so the median counts.
const ROUNDS: usize = 7;

fn agent(server: &Server, tokens: u32) -> Agent {
    Agent::new("storyteller", server.model(tokens))
}

/// Waits for so many pieces of content.
async fn heard(run: &Run, pieces: usize) {
    let mut events = run.events();
    let mut count = 0;
    while count < pieces {
        let event = events.next().await.expect("the run goes on").unwrap();
        count += usize::from(matches!(event.kind, EventKind::Content { .. }));
    }
}

async fn a_run_completes(server: &Server) {
    let runtime = Runtime::new();
    let run = runtime
        .start(&agent(server, 8), "Tell me a story.")
        .await
        .unwrap();
    let Outcome::Completed(reply) = run.outcome().await.unwrap() else {
        panic!("the run did not complete: {:?}", run.outcome().await);
    };
    assert!(!reply.text.is_empty());
    assert_eq!(reply.usage.source, UsageSource::Provider);
    assert_eq!(reply.usage.output_tokens, 8);
}

async fn a_cancel_while_streaming_stops_the_server(server: &Server) {
    let mut idle_after = Vec::new();
    for _ in 0..ROUNDS {
        idle_after.push(one_cancel_while_streaming(server).await);
    }
    idle_after.sort();
    let median = idle_after[ROUNDS / 2];
    eprintln!("slot idle after a cancel while streaming: {idle_after:?}");
    assert!(
        median <= Duration::from_millis(100),
        "the slot was busy for {median:?}"
    );
}

/// How long the server's slot was busy after a cancel.
async fn one_cancel_while_streaming(server: &Server) -> Duration {
    let before = server.made().await;
    let run = Runtime::new()
        .start(&agent(server, ASKED), "Tell me a story.")
        .await
        .unwrap();
    heard(&run, 30).await;
    assert_eq!(server.busy().await, 1, "the server is at work");

    let asked = Instant::now();
    assert!(run.cancel().await.is_accepted());
    let idle = server.idle(asked).await;
    let Outcome::Cancelled(partial) = run.outcome().await.unwrap() else {
        panic!("an accepted cancel ends cancelled");
    };
    let made = server.made().await - before;
    eprintln!(
        "cancel while {}: slot idle after {idle:?}; {made} tokens made of {ASKED} asked; receipt: {:?}, {}",
        partial.receipt.cut, partial.receipt.took, partial.receipt.usage,
    );
    assert_eq!(partial.receipt.cut, Activity::Streaming);
    assert!(made < 1_000, "{made} tokens were made");
    assert!(!partial.text.is_empty());
    idle
}

async fn a_cancel_before_the_first_token_stops_the_server(server: &Server) {
    // A prompt that takes the server a while to read.
    let prompt = "ka lo mi ".repeat(300);
    let before = server.made().await;
    let run = Runtime::new()
        .start(&agent(server, ASKED), prompt)
        .await
        .unwrap();
    while server.busy().await == 0 {}
    let asked = Instant::now();
    assert!(run.cancel().await.is_accepted());
    let status = run.outcome().await.unwrap().status();
    let seen = asked.elapsed();
    // If it is polled too often, this server does not notice that a client has left, so it is polled slowly.
    let mut pace = interval(Duration::from_millis(1_500));
    pace.tick().await;
    loop {
        pace.tick().await;
        if server.busy().await == 0 {
            break;
        }
    }
    let idle = asked.elapsed();
    let made = server.made().await - before;
    eprintln!(
        "cancel before the first token: ended after {seen:?}; slot idle after {idle:?}; {made} tokens made"
    );
    assert_eq!(status, RunStatus::Cancelled);
    // While the server reads a prompt, it checks its connections once a second, and finishes its current batch.
    assert!(
        idle <= Duration::from_secs(10),
        "the slot was busy for {idle:?}"
    );
    assert!(made < 1_000, "{made} tokens were made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_stops_a_real_inference_server() {
    Server::test(async |server| {
        a_run_completes(server).await;
        a_cancel_while_streaming_stops_the_server(server).await;
        a_cancel_before_the_first_token_stops_the_server(server).await;
    })
    .await;
}

/// The input of a tool that knows the weather of one city.
fn forecast() -> Arc<ToolSpec> {
    let parameters = json!({
        "type": "object",
        "properties": {"city": {"enum": ["Oslo"]}},
        "required": ["city"],
    });
    let cold = |_: Value, _: ToolContext| async { Ok(-3) };
    tool::from_schema("forecast", "Tomorrow's weather.", parameters, cold)
        .spec()
        .clone()
}

fn call(id: &str, arguments: &str) -> Arc<ToolCall> {
    Arc::new(ToolCall::new(id, "forecast", arguments))
}

fn says(text: &str, calls: Vec<Arc<ToolCall>>) -> Message {
    Message::calling(text, calls)
}

fn result(id: &str, text: &str) -> Message {
    Message::tool(id, text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_with_tool_results_is_accepted() {
    Server::test(async |server| {
        let (model, tools) = (server.model(4), [forecast()]);
        let system = || Message::system("Be brief.");
        let user = || Message::user("Oslo tomorrow?");
        let (a, b) = (call("a", r#"{"city":"Oslo"}"#), call("b", "{}"));
        for history in [
            &[user()][..],
            &[
                system(),
                user(),
                says("", vec![a.clone()]),
                result("a", "-3"),
            ],
            &[
                user(),
                says("Let me look.", vec![a.clone(), b.clone()]),
                result("b", ""),
                result("a", "-3"),
            ],
            &[
                user(),
                says("", vec![a.clone()]),
                result("a", "-3"),
                says("", vec![b.clone()]),
                result("b", "-4"),
            ],
            // Interrupted in the middle of its text, while its tools were running, and before they started.
            &[system(), user(), says("It will", vec![]), user()],
            &[
                user(),
                says("", vec![a.clone(), b.clone()]),
                result("a", "-3"),
                result("b", "cancelled"),
                user(),
            ],
            &[
                user(),
                says("Let me", vec![a.clone()]),
                result("a", "not started"),
                user(),
                user(),
            ],
            // Arguments that were not JSON, as they are sent back.
            &[
                user(),
                says("", vec![call("a", r#"{"invalid_arguments":"{\"city\":"}"#)]),
                result("a", "invalid"),
                user(),
            ],
        ] {
            assert_eq!(check_chat(history), Ok(()));
            for tools in [&tools[..], &[]] {
                let chunks = answer(&model, history, tools).await.unwrap();
                assert_eq!(
                    chunks.last(),
                    Some(&ModelChunk::Finished(FinishReason::Length))
                );
            }
        }
        // This means something, because the server does not accept everything.
        for (history, status) in [
            (
                &[user(), says("", vec![call("a", "{")]), result("a", "")][..],
                500,
            ),
            (&[user(), says("", vec![a.clone()]), user()], 400),
            (&[user(), result("a", "-3")], 400),
            (
                &[
                    user(),
                    says("", vec![a]),
                    result("a", "-3"),
                    user(),
                    result("a", "-3"),
                ],
                400,
            ),
            (&[user(), system(), user()], 400),
        ] {
            assert!(check_chat(history).is_err());
            let refusal = answer(&model, history, &tools).await.unwrap_err();
            assert_eq!(refusal.kind, ModelErrorKind::Status(status), "{refusal}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_a_real_server_is_heard_and_answered() {
    Server::test(async |server| {
        let (model, tools) = (server.caller(), [forecast()]);
        let mut history = vec![Message::user("Oslo tomorrow?")];
        for turn in 1..=2 {
            let chunks = answer(&model, &history, &tools).await.unwrap();
            let deltas: Vec<_> = chunks
                .iter()
                .filter_map(|chunk| match chunk {
                    ModelChunk::ToolCall(delta) => Some(delta),
                    _ => None,
                })
                .collect();
            assert!(deltas.len() > 10, "{chunks:?}");
            assert!(deltas.iter().all(|delta| delta.index == 0), "{chunks:?}");
            assert_eq!(deltas[0].name.as_deref(), Some("forecast"));
            let id = deltas[0].id.clone().unwrap();
            let arguments: String = deltas.iter().map(|delta| &*delta.arguments).collect();
            let parsed: Value = serde_json::from_str(&arguments).unwrap();
            assert_eq!(parsed, json!({"city": "Oslo"}));
            assert_eq!(
                chunks.last(),
                Some(&ModelChunk::Finished(FinishReason::ToolCalls))
            );
            eprintln!(
                "turn {turn}: {} pieces of the call {id}: {arguments:?}",
                deltas.len()
            );
            history.push(says("", vec![call(&id, &arguments)]));
            history.push(result(&id, "-3"));
        }
        assert_eq!(check_chat(&history), Ok(()));
    })
    .await;
}
