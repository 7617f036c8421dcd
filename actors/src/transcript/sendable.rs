//! Calls as they may be sent back to a model.
//!
//! A model writes what it likes for a tool's name and arguments. OpenAI checks the names of calls in a conversation
//! again, llama.cpp, vLLM and Ollama read their arguments as JSON, and all refuse a request for one call that is not as
//! it should be: this request, and every later one, for the call stays in the history. So the log keeps what the model
//! wrote, and a request has what follows from here.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::message::ToolCall;

/// Stands where a name can be no tool's. Not made of the name, lest it become that of another tool.
const NO_NAME: &str = "invalid_tool_name";

/// The call as every provider takes it: the same one where nothing is wrong with it.
///
/// Arguments that are no JSON object become one that says so and has them in it as they are; none at all become the
/// empty object, which some models mean by that. A name that can be no tool's becomes `invalid_tool_name`.
pub(super) fn sendable(call: &Arc<ToolCall>) -> Arc<ToolCall> {
    let named = is_tool_name(&call.name);
    let object = is_object(&call.arguments);
    if named && object {
        return call.clone();
    }
    let arguments = match call.arguments.trim() {
        _ if object => call.arguments.clone(),
        "" | "null" => "{}".into(),
        _ => json!({ "invalid_arguments": &*call.arguments })
            .to_string()
            .into(),
    };
    Arc::new(ToolCall {
        id: call.id.clone(),
        name: if named {
            call.name.clone()
        } else {
            NO_NAME.into()
        },
        arguments,
    })
}

/// Whether arguments are a JSON object.
pub(crate) fn is_object(arguments: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(arguments).is_ok()
}

/// Whether a tool can have this name: 1 to 64 letters, digits, `_` and `-`.
pub(crate) fn is_tool_name(name: &str) -> bool {
    let of_letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(of_letters)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{message::Message, sim::check_chat};

    fn call(name: &str, arguments: &str) -> Arc<ToolCall> {
        Arc::new(ToolCall::new("a", name, arguments))
    }

    #[track_caller]
    fn check(name: &str, arguments: &str, expected: (&str, &str)) {
        let sent = sendable(&call(name, arguments));
        assert_eq!((&*sent.name, &*sent.arguments), expected);
        assert_eq!(&*sent.id, "a");
    }

    #[test]
    fn a_call_that_is_as_it_should_be_is_sent_as_it_is() {
        for (name, arguments) in [("f", "{}"), ("get-It_2", " {\"a\": [1e2, null]}\n")] {
            let call = call(name, arguments);
            assert!(Arc::ptr_eq(&sendable(&call), &call));
        }
    }

    #[test]
    fn what_no_provider_takes_is_made_into_what_it_takes() {
        check("f", "", ("f", "{}"));
        check("f", " \n", ("f", "{}"));
        check("f", "null", ("f", "{}"));
        let cut = r#"{"invalid_arguments":"{\"city\": \"Os"}"#;
        check("f", r#"{"city": "Os"#, ("f", cut));
        check("f", "[1]", ("f", r#"{"invalid_arguments":"[1]"}"#));
        check("", "{ }", ("invalid_tool_name", "{ }"));
        check("f.g", "", ("invalid_tool_name", "{}"));
        check("é", "{}", ("invalid_tool_name", "{}"));
        check(&"f".repeat(65), "{}", ("invalid_tool_name", "{}"));
    }

    proptest! {
        #[test]
        fn whatever_a_model_writes_can_be_sent_back(name in ".{0,70}", arguments in ".*|[\\[\\]{}\",:a1 ]{0,8}") {
            let messages = [
                Message::user("?"),
                Message::calling("", vec![sendable(&call(&name, &arguments))]),
                Message::Tool { call_id: "a".into(), text: "".into() },
            ];
            prop_assert_eq!(check_chat(&messages), Ok(()));
        }
    }
}
