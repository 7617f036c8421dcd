//! The simulated model at its seam: which chunks it returns for which conversation.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, stream::BoxStream};
use quell_actors::{
    Model,
    message::{Message, ToolCall},
    model::{ModelChunk, ModelError, ModelErrorKind, ModelRequest, ModelUsage, Retry},
    sim::{ChatFault, Gate, Storyteller, check_chat},
};
use serde_json::json;

type Answer = BoxStream<'static, Result<ModelChunk, ModelError>>;

fn ask(model: &Storyteller, messages: &[Message]) -> Answer {
    let model = model.clone().pace(Duration::ZERO);
    model.stream(ModelRequest::new(messages.to_vec())).boxed()
}

fn short(item: Result<ModelChunk, ModelError>) -> String {
    match item {
        Ok(ModelChunk::Connected) => "connected".to_owned(),
        Ok(ModelChunk::Text(text)) => format!("{text:?}"),
        Ok(ModelChunk::ToolCall(delta)) => {
            let or = |text: Option<String>| text.unwrap_or_default();
            let (id, name) = (or(delta.id), or(delta.name));
            format!("{}:{id}:{name}:{}", delta.index, delta.arguments)
        }
        Ok(ModelChunk::Finished(reason)) => format!("{reason:?}"),
        Ok(other) => format!("{other:?}"),
        Err(error) => error.message,
    }
}

/// All chunks of a storyteller's answer to a conversation, in short form.
async fn told(model: &Storyteller, messages: &[Message]) -> String {
    let said: Vec<String> = ask(model, messages).map(short).collect().await;
    said.join(" | ")
}

/// Adds an answer to a conversation, and a result for each of its calls, as a runtime does.
async fn go_on(model: &Storyteller, messages: &mut Vec<Message>) -> bool {
    let (mut text, mut calls) = (String::new(), Vec::<ToolCall>::new());
    let mut answer = ask(model, messages);
    while let Some(item) = answer.next().await {
        match item.unwrap() {
            ModelChunk::Text(words) => text.push_str(&words),
            ModelChunk::ToolCall(delta) => {
                if delta.index as usize == calls.len() {
                    let (id, name) = (delta.id.unwrap(), delta.name.unwrap());
                    calls.push(ToolCall::new(id, name, ""));
                }
                let call = calls.last_mut().unwrap();
                call.arguments = format!("{}{}", call.arguments, delta.arguments).into();
            }
            _ => {}
        }
    }
    let calls: Vec<Arc<ToolCall>> = calls.into_iter().map(Arc::new).collect();
    let results: Vec<Message> = calls.iter().map(|call| result(&call.id)).collect();
    messages.push(Message::calling(text, calls));
    let called = !results.is_empty();
    messages.extend(results);
    called
}

fn result(id: &str) -> Message {
    Message::tool(id, "-3")
}

fn question() -> Vec<Message> {
    vec![Message::system("Be brief."), Message::user("Oslo?")]
}

fn caller() -> Storyteller {
    Storyteller::new("Take a coat.").calling("forecast", json!({ "city": "Oslo" }))
}

#[tokio::test]
async fn tools_are_called_before_the_story_is_told() {
    let (model, mut messages) = (caller(), question());
    assert_eq!(
        told(&model, &messages).await,
        r#"connected | 0:call-1-0:forecast: | 0:::{"city": | 0:::"Oslo"} | ToolCalls"#
    );
    assert!(go_on(&model, &mut messages).await);
    assert_eq!(
        told(&model, &messages).await,
        r#"connected | "Take " | "a " | "coat." | Stop"#
    );
    // After the next user message the calls are made again, with new ids.
    assert!(!go_on(&model, &mut messages).await);
    messages.push(Message::user("And Bergen?"));
    let again = told(&model, &messages).await;
    assert!(
        again.starts_with("connected | 0:call-2-0:forecast:"),
        "{again}"
    );
}

#[tokio::test]
async fn turns_of_calls_follow_one_another_with_words_before_them() {
    let model = Storyteller::new("Done.")
        .saying_first("Let me look.")
        .calling("f", json!({}))
        .calling_raw("g", "no é")
        .next_turn()
        .next_turn()
        .calling("h", json!({}));
    let mut messages = question();
    assert_eq!(
        told(&model, &messages).await,
        r#"connected | "Let " | "me " | "look." | 0:call-1-0:f: | 0:::{} | 1:call-1-1:g: | 1:::no é | ToolCalls"#
    );
    // Arguments that are not JSON are repaired by the one who keeps the conversation.
    let call = |id: &str, name: &str| Arc::new(ToolCall::new(id, name, "{}"));
    let calls = vec![call("call-1-0", "f"), call("call-1-1", "g")];
    messages.push(Message::calling("Let me look.", calls));
    messages.extend([result("call-1-1"), result("call-1-0")]);
    let second = "connected | 0:call-2-0:h: | 0:::{} | ToolCalls";
    assert_eq!(told(&model, &messages).await, second);
    assert!(go_on(&model, &mut messages).await);
    assert_eq!(
        told(&model, &messages).await,
        r#"connected | "Done." | Stop"#
    );
}

#[tokio::test]
async fn calls_come_in_pieces_of_any_size_and_without_ids() {
    let model = Storyteller::new("")
        .calling_raw("f", "日本語!")
        .without_call_ids();
    for (characters, pieces) in [
        (0, "0:::日 | 0:::本 | 0:::語 | 0:::!"),
        (3, "0:::日本語 | 0:::!"),
        (4, "0:::日本語!"),
        (usize::MAX, "0:::日本語!"),
    ] {
        let model = model.clone().argument_pieces(characters);
        let expected = format!("connected | 0::f: | {pieces} | ToolCalls");
        assert_eq!(told(&model, &question()).await, expected);
    }
    let model = Storyteller::new("").calling_raw("f", "");
    let expected = "connected | 0:call-1-0:f: | ToolCalls";
    assert_eq!(told(&model, &question()).await, expected);
}

#[tokio::test]
async fn a_storyteller_can_call_tools_for_ever() {
    let model = caller()
        .next_turn()
        .calling("wind", json!({}))
        .calls_tools_for_ever();
    let mut messages = question();
    for turn in 1..20 {
        assert!(go_on(&model, &mut messages).await);
        assert_eq!(check_chat(&messages), Ok(()));
        let calls = messages[messages.len() - 2].calls().to_vec();
        assert_eq!(*calls[0].id, format!("call-{turn}-0"));
        assert_eq!(&*calls[0].name, if turn == 1 { "forecast" } else { "wind" });
    }
    let nothing_to_call = Storyteller::new("Done.").calls_tools_for_ever();
    assert!(!go_on(&nothing_to_call, &mut messages).await);
}

#[tokio::test]
async fn each_piece_of_a_call_waits_at_the_gate() {
    let gate = Gate::new();
    let model = caller().gate(&gate);
    let probe = model.probe();
    let mut answer = ask(&model, &question());
    for expected in [
        "connected",
        "0:call-1-0:forecast:",
        r#"0:::{"city":"#,
        r#"0:::"Oslo"}"#,
        "ToolCalls",
    ] {
        assert!(answer.next().now_or_never().is_none(), "before {expected}");
        assert_eq!(probe.open(), 1);
        gate.let_through(1);
        assert_eq!(short(answer.next().await.unwrap()), expected);
    }
    assert_eq!((probe.open(), probe.chunks()), (0, 5));
    assert!(answer.next().await.is_none());
}

#[tokio::test]
async fn whatever_happens_at_a_word_happens_at_a_piece_of_a_call() {
    let error = ModelError::new(ModelErrorKind::Connection, "reset");
    let mut usage = ModelUsage::default();
    usage.input_tokens = Some(3);
    let head = "connected | \"Hm.\" | 0:call-1-0:forecast:";
    let model = caller().saying_first("Hm.");
    let failing = model.clone().fail_at(2, error.clone());
    assert_eq!(told(&failing, &question()).await, format!("{head} | reset"));
    let cut = model.clone().cut_off_at(2);
    assert_eq!(told(&cut, &question()).await, head);
    let counting = model.clone().usage_at(1, usage).usage_at(3, usage);
    let counting = told(&counting, &question()).await;
    assert_eq!(counting.matches("Usage(").count(), 2, "{counting}");
    assert!(counting.ends_with("ToolCalls"), "{counting}");

    let mut answer = ask(&model.clone().stall_at(2), &question());
    for _ in 0..3 {
        answer.next().await.unwrap().unwrap();
    }
    for _ in 0..100 {
        assert!(answer.next().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    let panicking = model.panic_at(4);
    let messages = question();
    let telling = AssertUnwindSafe(told(&panicking, &messages)).catch_unwind();
    assert!(telling.await.is_err());
}

#[tokio::test]
async fn acts_can_be_restricted_to_one_turn() {
    let error = ModelError::new(ModelErrorKind::Connection, "reset");
    let model = caller().fail_at(1, error).only_in_turn(2);
    let mut messages = question();
    assert!(go_on(&model, &mut messages).await);
    assert_eq!(
        told(&model, &messages).await,
        "connected | \"Take \" | reset"
    );
}

#[tokio::test]
async fn a_conversation_that_no_provider_would_take_is_refused() {
    let mut messages = question();
    let call = ToolCall::new("a", "f", "{}");
    messages.push(Message::calling("", vec![Arc::new(call)]));
    messages.push(Message::user("Never mind."));
    let (at, id) = (2, "a".to_owned());
    assert_eq!(check_chat(&messages), Err(ChatFault::NoResult { at, id }));

    let model = caller();
    let (probe, mut answer) = (model.probe(), ask(&model, &messages));
    let error = answer.next().await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind, error.retry),
        (ModelErrorKind::Status(400), Retry::Never)
    );
    assert_eq!(
        error.message,
        r#"a provider would refuse this conversation: messages[2]: the call "a" has no result"#
    );
    assert!(answer.next().await.is_none());
    assert_eq!((probe.requests(), probe.open()), (1, 0));

    // A provider that is down refuses before it checks the conversation.
    let down = ModelError::new(ModelErrorKind::Status(503), "down");
    assert_eq!(told(&caller().refuse(down), &messages).await, "down");
    let lenient = told(&model.lenient(), &messages).await;
    assert!(lenient.ends_with("ToolCalls"), "{lenient}");
}
