use std::sync::Arc;

use super::*;

fn call(id: &str, name: &str, arguments: &str) -> Arc<ToolCall> {
    Arc::new(ToolCall::new(id, name, arguments))
}

fn says(text: &str, calls: Vec<Arc<ToolCall>>) -> Message {
    Message::calling(text, calls)
}

/// An assistant that calls the tool `f` with these ids.
fn calls(ids: &[&str]) -> Message {
    says("", ids.iter().map(|id| call(id, "f", "{}")).collect())
}

fn result(id: &str) -> Message {
    Message::Tool {
        call_id: id.into(),
        text: "".into(),
    }
}

fn system() -> Message {
    Message::system("Be brief.")
}

fn user() -> Message {
    Message::user("Oslo?")
}

#[track_caller]
fn check(messages: &[Message], expected: &str) {
    let found = check_chat(messages).map_or_else(|fault| fault.to_string(), |()| "fine".to_owned());
    assert_eq!(found, expected, "{messages:#?}");
}

#[test]
fn a_conversation_that_providers_take_has_no_fault() {
    let answer = Message::assistant("Cold.");
    for messages in [
        &[user()][..],
        &[system(), user()],
        &[system(), system(), user()],
        &[system()],
        &[user(), user()],
        &[user(), answer.clone(), user()],
        &[answer.clone(), user()],
        &[user(), answer.clone(), answer.clone(), user()],
        // One call, several, in any order, with words, and more than one turn of them.
        &[user(), calls(&["a"]), result("a")],
        &[user(), calls(&["a", "b"]), result("a"), result("b")],
        &[user(), calls(&["a", "b"]), result("b"), result("a")],
        &[
            user(),
            says("Hm.", vec![call("a", "f", "{}")]),
            result("a"),
            user(),
        ],
        &[
            user(),
            calls(&["a"]),
            result("a"),
            calls(&["b"]),
            result("b"),
            answer,
            user(),
        ],
        // An id used before, in another message.
        &[
            user(),
            calls(&["a"]),
            result("a"),
            calls(&["a"]),
            result("a"),
        ],
    ] {
        check(messages, "fine");
    }
}

#[test]
fn each_fault_is_named() {
    let no_result = r#"messages[1]: the call "a" has no result"#;
    for (messages, expected) in [
        (
            &[][..],
            "the conversation is empty: expected at least one message",
        ),
        (
            &[user(), system()],
            "messages[1]: a system message must come before all others",
        ),
        (
            &[user(), says("", vec![]), user()],
            "messages[1]: the assistant message has neither text nor calls",
        ),
        (
            &[user(), calls(&[""]), result("")],
            "messages[1]: a call has no id",
        ),
        (
            &[user(), calls(&["a", "a"]), result("a"), result("a")],
            r#"messages[1]: two calls have the id "a""#,
        ),
        (&[user(), calls(&["a"])], no_result),
        (&[user(), calls(&["a"]), user()], no_result),
        (&[user(), calls(&["a"]), user(), result("a")], no_result),
        (&[user(), calls(&["b", "a"]), result("b")], no_result),
        (
            &[user(), calls(&["a"]), calls(&["b"]), result("b")],
            no_result,
        ),
        (
            &[user(), calls(&["a"]), result("a"), result("a")],
            r#"messages[3]: the call "a" already has a result"#,
        ),
        (
            &[user(), result("a")],
            r#"messages[1]: the result belongs to no call just before it: "a""#,
        ),
        (
            &[user(), calls(&["a"]), result("a"), user(), result("a")],
            r#"messages[4]: the result belongs to no call just before it: "a""#,
        ),
        (
            &[user(), calls(&["a"]), result("a"), result("b")],
            r#"messages[3]: the result belongs to no call just before it: "b""#,
        ),
        (
            &[user(), Message::assistant("Cold.")],
            "messages[1]: the last message is the assistant's: there is nothing to answer",
        ),
    ] {
        check(messages, expected);
    }
}

#[test]
fn a_call_names_what_could_be_a_tool_and_has_an_object_for_arguments() {
    let long = "f".repeat(64);
    for name in ["f", "get_weather-2", "9", &long] {
        check(
            &[says("", vec![call("a", name, "{}")]), result("a")],
            "fine",
        );
    }
    let too_long = "f".repeat(65);
    for name in ["", "get weather", "f.g", "f/g", "é", "f\n", &too_long] {
        let expected = format!(
            "messages[0]: invalid tool name {name:?}: expected 1 to 64 letters, digits, `_` or `-`"
        );
        check(
            &[says("", vec![call("a", name, "{}")]), result("a")],
            &expected,
        );
    }
    for arguments in ["{}", " {\n} ", r#"{"city":"Oslo","days":[1,{"x":null}]}"#] {
        check(
            &[says("", vec![call("a", "f", arguments)]), result("a")],
            "fine",
        );
    }
    for arguments in [
        "",
        " ",
        "{",
        "{}}",
        "null",
        "[]",
        "1",
        r#""{}""#,
        "city=Oslo",
        "{'a':1}",
        r#"{"a":1,}"#,
        r#"{"a":"\ud800"}"#,
        "{\"a\":\"\n\"}",
        r#"{"a":1e999}"#,
    ] {
        let expected = r#"messages[0]: the arguments of the call "a" are not a JSON object"#;
        check(
            &[says("", vec![call("a", "f", arguments)]), result("a")],
            expected,
        );
    }
}

/// The same rules in another form: each message is checked on its own, by the messages around it.
fn is_fine(messages: &[Message]) -> bool {
    let is_tool = |message: &Message| matches!(message, Message::Tool { .. });
    let each = messages.iter().enumerate().all(|(at, message)| {
        // The nearest message before this one that is not a result, and the results between the two.
        let (before, results) = {
            let start = messages[..at].iter().rposition(|message| !is_tool(message));
            (
                start.map(|start| &messages[start]),
                &messages[start.map_or(0, |s| s + 1)..at],
            )
        };
        match message {
            Message::System { .. } => messages[..at]
                .iter()
                .all(|message| matches!(message, Message::System { .. })),
            Message::User { .. } => true,
            Message::Assistant { text, calls, .. } => {
                let mut asked: Vec<&str> = calls.iter().map(|call| &*call.id).collect();
                let mut answered: Vec<&str> = messages[at + 1..]
                    .iter()
                    .map_while(|message| match message {
                        Message::Tool { call_id, .. } => Some(&**call_id),
                        Message::System { .. }
                        | Message::User { .. }
                        | Message::Assistant { .. } => None,
                    })
                    .collect();
                asked.sort_unstable();
                answered.sort_unstable();
                let unique = asked.windows(2).all(|pair| pair[0] != pair[1]);
                !(text.is_empty() && asked.is_empty()) && unique && asked == answered
            }
            Message::Tool { call_id, .. } => {
                let asked = before
                    .is_some_and(|message| message.calls().iter().any(|call| call.id == *call_id));
                asked && !results.iter().any(|message| *message == result(call_id))
            }
        }
    });
    each && messages
        .last()
        .is_some_and(|last| !matches!(last, Message::Assistant { .. }))
}

#[test]
fn every_short_conversation_is_judged_as_the_rules_say() {
    let alphabet = [
        system(),
        user(),
        Message::assistant("Cold."),
        says("", vec![]),
        calls(&["a"]),
        calls(&["b", "a"]),
        calls(&["a", "a"]),
        result("a"),
        result("b"),
    ];
    let (mut fine, mut refused) = (0, 0);
    for length in 0..=5 {
        for number in 0..alphabet.len().pow(length) {
            let mut digits = number;
            let messages: Vec<Message> = (0..length)
                .map(|_| {
                    let digit = digits % alphabet.len();
                    digits /= alphabet.len();
                    alphabet[digit].clone()
                })
                .collect();
            let told = check_chat(&messages);
            assert_eq!(told.is_ok(), is_fine(&messages), "{told:?}: {messages:#?}");
            *(if told.is_ok() {
                &mut fine
            } else {
                &mut refused
            }) += 1;
        }
    }
    assert!(fine > 100 && refused > 60_000, "{fine} and {refused}");
}
