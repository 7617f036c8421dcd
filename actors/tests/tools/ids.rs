//! Each call has a unique id in its run, whatever id the model gives.

use quell_actors::{
    EventKind, Runtime,
    model::{ModelChunk, ToolCallDelta},
    outcome::FinishReason,
    sim::Storyteller,
};
use serde_json::json;

use super::{
    How, clerk, echo, ended, results,
    scripted::{Scripted, call, stop, text, wants_tools},
    start,
    support::all_events,
};

const HI: &str = r#"{"text":"hi"}"#;

/// The ids and the names of all calls that were asked for, in the order of the log.
async fn asked(model: Scripted) -> Vec<(String, String)> {
    let agent = clerk(model).tool(echo()).build().unwrap();
    let run = start(How::Own, &Runtime::new(), &agent).await;
    assert_eq!(ended(&run).await.text(), "end");
    let asked: Vec<_> = all_events(&run)
        .await
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::ModelRequestCompleted(completed) => Some(completed.calls.clone()),
            _ => None,
        })
        .flatten()
        .map(|call| (call.id.to_string(), call.name.to_string()))
        .collect();
    assert_eq!(results(&run).await.len(), asked.len());
    asked
}

async fn ids(model: Scripted) -> Vec<String> {
    asked(model).await.into_iter().map(|(id, _)| id).collect()
}

#[tokio::test(start_paused = true)]
async fn ids_are_made_up_where_a_model_gives_none_or_one_twice() {
    let twice = Scripted::new().answer([
        call(0, "", "echo", HI),
        call(1, "a", "echo", HI),
        call(2, "a", "echo", HI),
        wants_tools(),
    ]);
    assert_eq!(ids(twice).await, ["call-1-0", "a", "call-1-2"]);
}

#[tokio::test(start_paused = true)]
async fn an_id_of_an_earlier_turn_is_not_used_again() {
    let again = || {
        [
            call(0, "a", "echo", HI),
            call(1, "call-2-0", "echo", HI),
            wants_tools(),
        ]
    };
    let model = Scripted::new().answer(again()).answer(again());
    assert_eq!(
        ids(model).await,
        ["a", "call-2-0", "call-2-0-2", "call-2-1"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_model_that_gives_no_ids_at_all_is_served() {
    let model = Storyteller::new("done")
        .calling("echo", json!({ "text": "one" }))
        .calling("echo", json!({ "text": "two" }))
        .next_turn()
        .calling("echo", json!({ "text": "three" }))
        .without_call_ids();
    let agent = clerk(model).tool(echo()).build().unwrap();
    let run = start(How::Own, &Runtime::new(), &agent).await;
    assert_eq!(ended(&run).await.text(), "done");
    let told = results(&run).await;
    let told: Vec<_> = told.iter().map(|(id, text)| (&**id, &**text)).collect();
    assert_eq!(
        told,
        [
            ("call-1-0", "one"),
            ("call-1-1", "two"),
            ("call-2-0", "three")
        ]
    );
}

fn piece(index: u32, id: &str, name: &str, arguments: &str) -> ModelChunk {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut delta = ToolCallDelta::new(index).arguments(arguments);
    (delta.id, delta.name) = (some(id), some(name));
    ModelChunk::ToolCall(Box::new(delta))
}

#[tokio::test(start_paused = true)]
async fn pieces_come_in_any_order_and_with_gaps() {
    let model = Scripted::new().answer([
        piece(7, "b", "echo", "{\"text\""),
        piece(3, "", "", "{\"te"),
        piece(7, "", "", ":\"2\"}"),
        piece(3, "", "echo", "xt\":\"1\"}"),
        piece(3, "a", "other", ""),
        wants_tools(),
    ]);
    let agent = clerk(model).tool(echo()).build().unwrap();
    let run = start(How::Own, &Runtime::new(), &agent).await;
    ended(&run).await;
    let told = results(&run).await;
    let told: Vec<_> = told.iter().map(|(id, text)| (&**id, &**text)).collect();
    assert_eq!(told, [("a", "1"), ("b", "2")]);
}

#[tokio::test(start_paused = true)]
async fn calls_count_whatever_the_finish_is_called() {
    let finish = |reason| ModelChunk::Finished(reason);
    for reason in [
        FinishReason::Stop,
        FinishReason::Length,
        FinishReason::Other("tool_use".into()),
    ] {
        let model = Scripted::new().answer([text("so "), call(0, "a", "echo", HI), finish(reason)]);
        let agent = clerk(model).tool(echo()).build().unwrap();
        let run = start(How::Own, &Runtime::new(), &agent).await;
        assert_eq!(ended(&run).await.text(), "so end");
    }
    // An answer with this finish reason but without calls ends the run.
    let model = Scripted::new()
        .answer([text("so"), wants_tools()])
        .answer([stop()]);
    let agent = clerk(model.clone()).tool(echo()).build().unwrap();
    let run = start(How::Own, &Runtime::new(), &agent).await;
    assert_eq!(ended(&run).await.text(), "so");
    assert_eq!(model.requests().len(), 1);
}
