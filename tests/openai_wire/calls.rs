//! Tool calls, in every form in which servers send them.

use futures::StreamExt;
use quell::{
    Model, ToolContext,
    message::Message,
    model::{ModelChunk, ModelRequest},
    outcome::FinishReason,
    tool,
};
use serde_json::{Value, json};

use crate::support::*;

/// Reads a whole answer: its text, its calls as `id:name:arguments` in order, and how it ended.
async fn heard(body: &str) -> String {
    let server = Server::start().await;
    let mut stream = ask(&server.model());
    let read = async {
        let (mut text, mut calls, mut end) = (String::new(), Vec::new(), "cut off".to_owned());
        while let Some(item) = stream.next().await {
            match item {
                Ok(ModelChunk::Text(words)) => text.push_str(&words),
                Ok(ModelChunk::ToolCall(delta)) => {
                    let index = delta.index as usize;
                    assert!(index <= calls.len(), "calls are numbered without gaps");
                    if index == calls.len() {
                        calls.push((None, None, String::new()));
                    }
                    let (id, name, arguments) = &mut calls[index];
                    *id = id.take().or(delta.id);
                    *name = name.take().or(delta.name);
                    arguments.push_str(&delta.arguments);
                }
                Ok(ModelChunk::Finished(reason)) => end = format!("{reason:?}"),
                Ok(_) => {}
                Err(error) => end = format!("{:?}", error.kind),
            }
        }
        let mut told: Vec<String> = calls
            .into_iter()
            .map(|(id, name, arguments)| {
                let or = |text: Option<String>| text.unwrap_or("-".to_owned());
                format!("{}:{}:{arguments}", or(id), or(name))
            })
            .collect();
        if !text.is_empty() {
            told.insert(0, text);
        }
        told.push(end);
        told.join(" | ")
    };
    let bytes = format!("{EVENTS}{body}");
    guarded(async { tokio::join!(read, server.answer(bytes)) })
        .await
        .0
}

/// An event with these pieces of calls.
fn pieces(pieces: Value) -> String {
    let delta = json!({"choices": [{"index": 0, "delta": {"tool_calls": pieces}}]});
    format!("data: {delta}\n\n")
}

/// The first piece of a call as the protocol defines it.
fn first(index: usize, id: &str, name: &str, arguments: &str) -> String {
    let function = json!({"name": name, "arguments": arguments});
    pieces(json!([{"index": index, "id": id, "type": "function", "function": function}]))
}

/// A later piece of a call as the protocol defines it.
fn more(index: usize, arguments: &str) -> String {
    pieces(json!([{"index": index, "function": {"arguments": arguments}}]))
}

/// A piece of a call in any form.
fn piece(piece: Value) -> String {
    pieces(json!([piece]))
}

#[track_caller]
fn check(body: &[String], expected: &str) -> impl Future<Output = ()> {
    let (body, expected) = (body.concat(), expected.to_owned());
    async move { assert_eq!(heard(&body).await, expected, "{body}") }
}

#[tokio::test]
async fn calls_by_the_book_are_heard_one_by_one_and_interleaved() {
    let end = finish("tool_calls");
    check(
        &[
            first(0, "a", "f", ""),
            more(0, "{\"x\""),
            more(0, ":1}"),
            end.clone(),
            DONE.into(),
        ],
        r#"a:f:{"x":1} | ToolCalls"#,
    )
    .await;
    check(
        &[
            text("Let me look."),
            first(0, "a", "f", ""),
            more(0, "{}"),
            first(1, "b", "g", ""),
            more(1, "{}"),
            end.clone(),
        ],
        "Let me look. | a:f:{} | b:g:{} | ToolCalls",
    )
    .await;
    check(
        &[
            first(0, "a", "f", "{"),
            first(1, "b", "g", "["),
            more(0, "}"),
            more(1, "]"),
            end.clone(),
        ],
        "a:f:{} | b:g:[] | ToolCalls",
    )
    .await;
    // Two pieces in one event, and the finish reason in the event of the last piece.
    let two = json!([
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
        {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}},
    ]);
    let last = json!({"choices": [{"delta": {"tool_calls": two}, "finish_reason": "tool_calls"}]});
    check(
        &[format!("data: {last}\n\n")],
        "a:f:{} | b:g:{} | ToolCalls",
    )
    .await;
}

#[tokio::test]
async fn arguments_may_come_whole_empty_as_an_object_or_not_at_all() {
    let end = finish("tool_calls");
    for (function, expected) in [
        (json!({"name": "f", "arguments": "{\"x\":1}"}), r#"{"x":1}"#),
        (json!({"name": "f", "arguments": ""}), ""),
        (json!({"name": "f", "arguments": null}), ""),
        (json!({"name": "f"}), ""),
        (json!({"name": "f", "arguments": {"x": 1}}), r#"{"x":1}"#),
        (json!({"name": "f", "arguments": "not json"}), "not json"),
    ] {
        let call = piece(json!({"index": 0, "id": "a", "function": function}));
        check(&[call, end.clone()], &format!("a:f:{expected} | ToolCalls")).await;
    }
}

#[tokio::test]
async fn an_index_may_be_missing_the_same_for_all_full_of_gaps_or_huge() {
    let end = finish("tool_calls");
    let whole = |index: Value, id: &str, name: &str| {
        let mut call = json!({"id": id, "function": {"name": name, "arguments": "{}"}});
        if !index.is_null() {
            call["index"] = index;
        }
        piece(call)
    };
    for (one, two) in [
        (json!(null), json!(null)),
        (json!(0), json!(0)),
        (json!(0), json!(2)),
        (json!(7), json!(3)),
        (json!(u64::MAX), json!(1e18)),
        (json!("0"), json!(-1)),
    ] {
        let calls = [whole(one, "a", "f"), whole(two, "b", "g"), end.clone()];
        check(&calls, "a:f:{} | b:g:{} | ToolCalls").await;
    }
    // Pieces without an index continue the call before.
    let nameless = |arguments: &str| piece(json!({"function": {"arguments": arguments}}));
    check(
        &[
            piece(json!({"id": "a", "function": {"name": "f", "arguments": "{"}})),
            nameless("}"),
            piece(json!({"id": "b", "function": {"name": "g", "arguments": "{"}})),
            nameless("}"),
            end,
        ],
        "a:f:{} | b:g:{} | ToolCalls",
    )
    .await;
}

#[tokio::test]
async fn ids_and_names_may_be_repeated_empty_late_or_never_come() {
    let end = finish("tool_calls");
    let again = |id: &str, name: &str, arguments: &str| {
        piece(json!({"index": 0, "id": id, "function": {"name": name, "arguments": arguments}}))
    };
    check(
        &[
            again("a", "f", "{"),
            again("a", "f", "\"x\":1"),
            again("a", "f", "}"),
            end.clone(),
        ],
        r#"a:f:{"x":1} | ToolCalls"#,
    )
    .await;
    check(
        &[again("a", "f", "{"), again("", "", "}"), end.clone()],
        "a:f:{} | ToolCalls",
    )
    .await;
    check(
        &[
            piece(json!({"index": 0, "id": null, "function": {"name": "f", "arguments": "{"}})),
            again("a", "", "}"),
            end.clone(),
        ],
        "a:f:{} | ToolCalls",
    )
    .await;
    // No id, for two calls of the same tool; and neither id nor name.
    let f = json!({"function": {"name": "f", "arguments": "{}"}});
    check(
        &[piece(f.clone()), piece(f), end.clone()],
        "-:f:{} | -:f:{} | ToolCalls",
    )
    .await;
    check(&[more(0, "{}"), end], "-:-:{} | ToolCalls").await;
}

#[tokio::test]
async fn an_answer_with_calls_ends_for_its_calls_whatever_the_server_says() {
    let call = first(0, "a", "f", "{}");
    for (end, expected) in [
        (finish("stop"), "ToolCalls"),
        (finish("function_call"), "ToolCalls"),
        (DONE.to_owned(), "ToolCalls"),
        // These reasons mean that the calls may be incomplete.
        (finish("length"), "Length"),
        (finish("content_filter"), "ContentFilter"),
        (finish("error"), "Provider"),
        (String::new(), "cut off"),
        (more(0, "")[..30].to_owned(), "cut off"),
    ] {
        check(&[call.clone(), end], &format!("a:f:{{}} | {expected}")).await;
    }
    // A call after the finish reason still counts.
    check(
        &[text("Hm."), finish("stop"), call],
        "Hm. | a:f:{} | ToolCalls",
    )
    .await;
}

#[tokio::test]
async fn calls_of_an_answer_in_one_piece_are_heard() {
    let function = json!({"name": "f", "arguments": "{}"});
    let calls = json!([
        {"id": "a", "type": "function", "function": function},
        {"id": "b", "type": "function", "function": function},
    ]);
    let message = json!({"role": "assistant", "content": null, "tool_calls": calls});
    let body =
        json!({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]});
    check(&[body.to_string()], "a:f:{} | b:f:{} | ToolCalls").await;
}

#[tokio::test]
async fn more_calls_than_any_answer_needs_are_refused() {
    let calls: Vec<String> = (0..129)
        .map(|index| first(index, &format!("id-{index}"), "f", "{}"))
        .collect();
    let told = heard(&format!("{}{}", calls.concat(), finish("tool_calls"))).await;
    assert!(told.starts_with("id-0:f:{} | id-1:f:{} | "), "{told}");
    assert!(told.ends_with("id-127:f:{} | TooLarge"), "{told}");
}

#[tokio::test]
async fn tools_and_calls_are_sent_with_a_request() {
    let server = Server::start().await;
    let model = quell::models::OpenAiChat::builder()
        .base_url(server.url())
        .field("parallel_tool_calls", false)
        .build()
        .unwrap();
    let parameters = json!({"type": "object", "properties": {}});
    let clock = |_: Value, _: ToolContext| async { Ok("noon") };
    let clock = tool::from_schema("clock", "The time.", parameters.clone(), clock);
    let call = quell::message::ToolCall::new("a", "clock", "{}");
    let messages = [
        Message::user("What time is it?"),
        Message::calling("", vec![call.into()]),
        Message::tool("a", "noon"),
    ];
    let request = ModelRequest::new(messages).tools([clock.spec().clone()]);
    let answer = server.answer(format!("{EVENTS}{}", finish("stop")));
    let last = async {
        let items: Vec<_> = Box::pin(model.stream(request)).collect().await;
        items.last().cloned()
    };
    let (last, request) = guarded(async { tokio::join!(last, answer) }).await;
    assert_eq!(last, Some(Ok(ModelChunk::Finished(FinishReason::Stop))));
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body["parallel_tool_calls"], false);
    let function = json!({"name": "clock", "description": "The time.", "parameters": parameters});
    assert_eq!(
        body["tools"],
        json!([{"type": "function", "function": function}])
    );
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": "What time is it?"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "clock", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "a", "content": "noon"},
        ])
    );
}
