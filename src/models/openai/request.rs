//! What is sent.

use std::sync::Arc;

use quell_actors::{
    message::{Message, ToolCall},
    model::ModelRequest,
    tool::ToolSpec,
};
use serde_json::{Map, Value, json};

use super::back::{give_back, sends_reasoning_content};

/// What every request asks besides its messages.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    /// Whose model it is: what an answer wants to be given back is given back to the same one only.
    pub(super) provider: Arc<str>,
    pub(super) model: String,
    pub(super) temperature: Option<f64>,
    pub(super) max_tokens: Option<u32>,
    /// OpenAI's newer models refuse `max_tokens`; many other servers know nothing else.
    pub(super) max_tokens_field: &'static str,
    pub(super) include_usage: bool,
    pub(super) give_reasoning_back: bool,
    pub(super) is_deepseek: bool,
    pub(super) extra: Map<String, Value>,
}

impl Asking {
    /// The body of a request. Extra fields win over settings, but not over what makes it a stream of this request, nor
    /// over the agent's tools.
    pub(super) fn body(&self, request: &ModelRequest) -> Vec<u8> {
        let mut body = Map::new();
        if let Some(temperature) = self.temperature {
            body.insert("temperature".into(), json!(temperature));
        }
        if let Some(max_tokens) = self.max_tokens {
            body.insert(self.max_tokens_field.into(), json!(max_tokens));
        }
        if self.include_usage {
            body.insert("stream_options".into(), json!({"include_usage": true}));
        }
        body.extend(self.extra.clone());
        body.insert("model".into(), json!(self.model));
        body.insert("messages".into(), self.messages(request));
        body.insert("stream".into(), json!(true));
        if !request.tools.is_empty() {
            let tools = request.tools.iter().map(|spec| tool(spec)).collect();
            body.insert("tools".into(), tools);
        }
        // OpenAI refuses a word on tools where there are none, and agents with and without tools may share a model.
        if !body.contains_key("tools") {
            body.remove("tool_choice");
            body.remove("parallel_tool_calls");
        }
        Value::Object(body).to_string().into_bytes()
    }

    /// The messages, with what the provider wants to be given back: signatures always, reasoning where there are tools.
    fn messages(&self, request: &ModelRequest) -> Value {
        let reasoning = self.give_reasoning_back && !request.tools.is_empty();
        let mut given = request.messages.iter().filter_map(Message::provider);
        // DeepSeek wants the field in every answer, also in one that was cut before it came.
        let fill = reasoning && (self.is_deepseek || given.any(sends_reasoning_content));
        let message = |said: &Message| {
            let mut message = message(said);
            if let Some(given) = said.provider() {
                give_back(&mut message, given, reasoning);
            }
            if fill
                && matches!(said, Message::Assistant { .. })
                && message["reasoning_content"].is_null()
            {
                message["reasoning_content"] = json!("");
            }
            message
        };
        request.messages.iter().map(message).collect()
    }
}

fn message(message: &Message) -> Value {
    match message {
        Message::System { text, .. } => json!({"role": "system", "content": &**text}),
        Message::User { text, .. } => json!({"role": "user", "content": &**text}),
        Message::Assistant { text, calls, .. } if calls.is_empty() => {
            json!({"role": "assistant", "content": &**text})
        }
        Message::Assistant { text, calls, .. } => {
            // No words beside calls are null, as OpenAI writes it: Ollama takes that too where there are calls, and what
            // stands before Bedrock refuses an empty text.
            let content = (!text.is_empty()).then_some(&**text);
            let calls: Value = calls.iter().map(|asked| call(asked)).collect();
            json!({"role": "assistant", "content": content, "tool_calls": calls})
        }
        Message::Tool { call_id, text, .. } => {
            json!({"role": "tool", "tool_call_id": &**call_id, "content": &**text})
        }
    }
}

fn call(call: &ToolCall) -> Value {
    let function = json!({"name": &*call.name, "arguments": &*call.arguments});
    json!({"id": &*call.id, "type": "function", "function": function})
}

fn tool(spec: &ToolSpec) -> Value {
    let function = json!({
        "name": &*spec.name,
        "description": &*spec.about,
        "parameters": spec.parameters,
    });
    json!({"type": "function", "function": function})
}

#[cfg(test)]
mod tests {
    use quell_actors::{ToolContext, tool::from_schema};

    use super::*;

    fn asking(extra: Value) -> Asking {
        Asking {
            provider: "p".into(),
            model: "m".into(),
            temperature: Some(0.5),
            max_tokens: Some(7),
            max_tokens_field: "max_tokens",
            include_usage: true,
            give_reasoning_back: true,
            is_deepseek: false,
            extra: extra.as_object().cloned().unwrap_or_default(),
        }
    }

    fn request() -> ModelRequest {
        ModelRequest::new([
            Message::system("s"),
            Message::user("u"),
            Message::assistant("a"),
        ])
    }

    fn read(asking: &Asking, request: &ModelRequest) -> Value {
        serde_json::from_slice(&asking.body(request)).unwrap()
    }

    fn body(asking: &Asking) -> Value {
        read(asking, &request())
    }

    fn with_tool() -> ModelRequest {
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        let call = |_: Value, _: ToolContext| async { Ok(()) };
        let forecast = from_schema("forecast", "The weather.", parameters, call);
        request().tools([forecast.spec().clone()])
    }

    #[test]
    fn a_request_is_always_a_stream_that_counts() {
        let expected = json!({
            "model": "m", "temperature": 0.5, "max_tokens": 7, "stream": true,
            "stream_options": {"include_usage": true},
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "u"},
                {"role": "assistant", "content": "a"},
            ],
        });
        assert_eq!(body(&asking(json!({}))), expected);
    }

    #[test]
    fn extra_fields_win_over_settings_but_not_over_the_stream() {
        let extra =
            json!({"top_k": 4, "temperature": 1, "stream": false, "messages": [], "model": "x"});
        let body = body(&asking(extra));
        assert_eq!(
            (&body["top_k"], &body["temperature"]),
            (&json!(4), &json!(1))
        );
        assert_eq!(
            (&body["stream"], &body["model"]),
            (&json!(true), &json!("m"))
        );
        assert_eq!(body["messages"].as_array().map(Vec::len), Some(3));
    }

    #[test]
    fn the_count_can_be_left_out_for_servers_that_refuse_it() {
        let asking = Asking {
            include_usage: false,
            temperature: None,
            max_tokens: None,
            ..asking(json!({}))
        };
        let body = body(&asking);
        let mut names: Vec<_> = body.as_object().unwrap().keys().collect();
        names.sort();
        assert_eq!(names, ["messages", "model", "stream"]);
    }

    #[test]
    fn tools_are_named_where_there_are_some() {
        let expected = json!([{
            "type": "function",
            "function": {
                "name": "forecast",
                "description": "The weather.",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            },
        }]);
        let extra = json!({"tools": [7], "tool_choice": "required", "parallel_tool_calls": false});
        let asked = read(&asking(extra.clone()), &with_tool());
        assert_eq!(asked["tools"], expected);
        assert_eq!(
            (&asked["tool_choice"], &asked["parallel_tool_calls"]),
            (&json!("required"), &json!(false))
        );
        // The tools of a provider's own can be named where the agent has none.
        assert_eq!(body(&asking(extra))["tools"], json!([7]));
        let without = body(&asking(
            json!({"tool_choice": "auto", "parallel_tool_calls": true}),
        ));
        for name in ["tools", "tool_choice", "parallel_tool_calls"] {
            assert!(without.get(name).is_none(), "{name}");
        }
    }

    #[test]
    fn calls_and_their_results_are_told_as_they_stand() {
        let call = |id: &str, arguments: &str| Arc::new(ToolCall::new(id, "forecast", arguments));
        let tool = |id: &str, text: &str| Message::tool(id, text);
        let says = |text: &str, calls| Message::calling(text, calls);
        let messages = [
            says("", vec![call("a", "{\"city\": 1.0}"), call("b", "{}")]),
            tool("a", "-3"),
            tool("b", ""),
            says("Hm.", vec![call("c", "{}")]),
            tool("c", "é"),
        ];
        let sent = |id: &str, arguments: &str| {
            let function = json!({"name": "forecast", "arguments": arguments});
            json!({"id": id, "type": "function", "function": function})
        };
        let expected = json!([
            {"role": "assistant", "content": null, "tool_calls": [sent("a", "{\"city\": 1.0}"), sent("b", "{}")]},
            {"role": "tool", "tool_call_id": "a", "content": "-3"},
            {"role": "tool", "tool_call_id": "b", "content": ""},
            {"role": "assistant", "content": "Hm.", "tool_calls": [sent("c", "{}")]},
            {"role": "tool", "tool_call_id": "c", "content": "é"},
        ]);
        let asked = read(&asking(json!({})), &ModelRequest::new(messages));
        assert_eq!(asked["messages"], expected);
    }
}
