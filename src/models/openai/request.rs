//! What is sent.

use quell_actors::{Message, ModelRequest};
use serde_json::{Map, Value, json};

/// What every request asks besides its messages.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) model: String,
    pub(super) temperature: Option<f64>,
    pub(super) max_tokens: Option<u32>,
    /// OpenAI's newer models refuse `max_tokens`; many other servers know nothing else.
    pub(super) max_tokens_field: &'static str,
    pub(super) include_usage: bool,
    pub(super) extra: Map<String, Value>,
}

impl Asking {
    /// The body of a request. Extra fields win over settings, but not over what makes it a stream of this request.
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
        body.insert(
            "messages".into(),
            request.messages.iter().map(message).collect(),
        );
        body.insert("stream".into(), json!(true));
        Value::Object(body).to_string().into_bytes()
    }
}

fn message(message: &Message) -> Value {
    match message {
        Message::System { text } => json!({"role": "system", "content": &**text}),
        Message::User { text } => json!({"role": "user", "content": &**text}),
        Message::Assistant { text, .. } => json!({"role": "assistant", "content": &**text}),
        Message::Tool { call_id, text } => {
            json!({"role": "tool", "tool_call_id": &**call_id, "content": &**text})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(extra: Value) -> Asking {
        Asking {
            model: "m".into(),
            temperature: Some(0.5),
            max_tokens: Some(7),
            max_tokens_field: "max_tokens",
            include_usage: true,
            extra: extra.as_object().cloned().unwrap_or_default(),
        }
    }

    fn body(asking: &Asking) -> Value {
        let messages = [
            Message::system("s"),
            Message::user("u"),
            Message::assistant("a"),
        ];
        serde_json::from_slice(&asking.body(&ModelRequest::new(messages))).unwrap()
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
}
