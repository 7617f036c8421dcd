//! What a provider says when it fails.

use quell_actors::model::Retry;
use serde_json::Value;

/// A provider's complaint, out of any of the shapes in use: `{"error":{"message","type","code"}}`, `{"error":".."}`,
/// `{"object":"error","message"}`, `{"detail":..}`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Complaint {
    message: Option<String>,
    code: Option<String>,
    kind: Option<String>,
}

impl Complaint {
    /// Reads a whole object, or the value of its `error`.
    pub(super) fn read(value: &Value) -> Complaint {
        let error = value.get("error").filter(|error| says_something(error));
        match error.unwrap_or(value) {
            Value::Object(error) => Complaint {
                message: ["message", "detail", "error", "msg"]
                    .iter()
                    .find_map(|name| error.get(*name).and_then(text)),
                code: error.get("code").and_then(text),
                kind: error.get("type").and_then(text),
            },
            other => Complaint {
                message: text(other),
                ..Complaint::default()
            },
        }
    }

    /// No money, no answer: the provider says this with status 429, but waiting does not help.
    pub(super) fn is_quota(&self) -> bool {
        [&self.code, &self.kind]
            .into_iter()
            .flatten()
            .any(|word| word == "insufficient_quota")
    }

    /// Whether the request may be repeated, when all there is to judge by is what was said within an answer.
    pub(super) fn retry(&self) -> Retry {
        let passing = [&self.code, &self.kind].into_iter().flatten().any(|word| {
            let status = word.parse().unwrap_or(0);
            passing_status(status)
                || matches!(
                    word.as_str(),
                    "server_error" | "rate_limit_exceeded" | "overloaded" | "overloaded_error"
                )
        });
        if passing && !self.is_quota() {
            Retry::Backoff
        } else {
            Retry::Never
        }
    }

    /// One line for a person, where the provider said anything.
    pub(super) fn text(&self) -> Option<String> {
        let code = self.code.as_ref().or(self.kind.as_ref());
        match (&self.message, code) {
            (Some(message), Some(code)) => Some(format!("{message} ({code})")),
            (Some(word), None) | (None, Some(word)) => Some(word.clone()),
            (None, None) => None,
        }
    }
}

/// Whether a status says that a later try may do better.
pub(super) fn passing_status(status: u16) -> bool {
    matches!(status, 408 | 409 | 429 | 500..=599)
}

/// Whether the value of a field `error` means one. Some servers send `"error": null` or an empty one with every event.
pub(super) fn says_something(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::Array(_) => true,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn complaints_are_read_in_all_their_shapes() {
        use Retry::{Backoff, Never};
        for (value, expected, retry) in [
            (
                json!({"error": {"message": "no", "type": "invalid_request_error", "code": null}}),
                Some("no (invalid_request_error)"),
                Never,
            ),
            (
                json!({"error": {"message": "slow down", "code": 429}}),
                Some("slow down (429)"),
                Backoff,
            ),
            (
                json!({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}),
                Some("slow down (rate_limit_exceeded)"),
                Backoff,
            ),
            (
                json!({"error": {"message": "pay", "type": "insufficient_quota", "code": 429}}),
                Some("pay (429)"),
                Never,
            ),
            (
                json!({"error": {"type": "server_error"}}),
                Some("server_error"),
                Backoff,
            ),
            (
                json!({"error": "model not found"}),
                Some("model not found"),
                Never,
            ),
            (
                json!({"object": "error", "message": "too long", "code": 400}),
                Some("too long (400)"),
                Never,
            ),
            (
                json!({"message": "The server had an error", "type": "server_error"}),
                Some("The server had an error (server_error)"),
                Backoff,
            ),
            (json!({"detail": "Not Found"}), Some("Not Found"), Never),
            (
                json!({"detail": [{"msg": "field required"}]}),
                Some(r#"[{"msg":"field required"}]"#),
                Never,
            ),
            (json!("plain"), Some("plain"), Never),
            (json!({}), None, Never),
        ] {
            let complaint = Complaint::read(&value);
            assert_eq!(complaint.text().as_deref(), expected, "{value}");
            assert_eq!(complaint.retry(), retry, "{value}");
        }
    }
}
