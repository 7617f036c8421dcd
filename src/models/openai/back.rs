//! What a provider wants to be given back with an answer, and how it is given back.
//!
//! DeepSeek refuses a request with tools in which any answer comes without its reasoning, Gemini one in which a call comes
//! without the signature that stood with it (`extra_content`), and OpenRouter one without the `reasoning_details`. Groq and
//! Cerebras refuse fields that they do not know. So each thing goes back in the field it came in, to the provider that
//! sent it, and nothing else does.

use std::collections::BTreeMap;

use quell_actors::message::ProviderParts;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::parse::Fault;

/// More bytes of this in one answer are refused.
const MOST_BYTES: usize = 512 * 1024;

/// A field in which servers send reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReasoningField {
    ReasoningContent,
    Reasoning,
}

/// What is to be given back with one answer: one part of its [`ProviderParts`].
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct GivenBack {
    /// The field in which the reasoning came.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_field: Option<ReasoningField>,
    /// The `extra_content` of calls, by their numbers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extra_content: BTreeMap<u32, Value>,
    /// The details of the reasoning, pieces joined.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasoning_details: Vec<Value>,
    #[serde(skip)]
    bytes: usize,
}

impl GivenBack {
    /// Reasoning came in this field.
    pub(super) fn reasoning(&mut self, field: ReasoningField) {
        self.reasoning_field = Some(field);
    }

    /// Reasoning came that is empty: DeepSeek wants even that again.
    pub(super) fn no_reasoning(&mut self) {
        self.reasoning_field
            .get_or_insert(ReasoningField::ReasoningContent);
    }

    /// Something came with a call. The last one counts.
    pub(super) fn with_call(&mut self, call: u32, content: &Value) -> Result<(), Fault> {
        if !content.is_null() {
            self.count(content)?;
            self.extra_content.insert(call, content.clone());
        }
        Ok(())
    }

    /// A piece of the details of the reasoning: the pieces of one text, which have the same index, are joined.
    pub(super) fn detail(&mut self, piece: &Value) -> Result<(), Fault> {
        self.count(piece)?;
        let Value::Object(piece) = piece else {
            return Ok(());
        };
        if let Some(Value::Object(before)) = self.reasoning_details.last_mut()
            && continues(before, piece)
        {
            for (name, value) in piece {
                match (before.get_mut(name), value) {
                    (_, Value::Null) => {}
                    (Some(Value::String(text)), Value::String(more)) if is_text(name) => {
                        text.push_str(more);
                    }
                    _ => {
                        before.insert(name.clone(), value.clone());
                    }
                }
            }
        } else {
            self.reasoning_details.push(Value::Object(piece.clone()));
        }
        Ok(())
    }

    /// The part to be stored, if there is anything.
    pub(super) fn part(self) -> Option<Value> {
        let is_empty = self.reasoning_field.is_none()
            && self.extra_content.is_empty()
            && self.reasoning_details.is_empty();
        if is_empty {
            return None;
        }
        serde_json::to_value(self).ok()
    }

    fn count(&mut self, value: &Value) -> Result<(), Fault> {
        self.bytes = self.bytes.saturating_add(value.to_string().len());
        if self.bytes > MOST_BYTES {
            return Err(Fault::TooLarge(format!(
                "the provider wants more than {MOST_BYTES} bytes to be given back"
            )));
        }
        Ok(())
    }
}

/// Whether a piece of details continues the one before.
fn continues(before: &Map<String, Value>, piece: &Map<String, Value>) -> bool {
    let joined = |kind: &Value| *kind == "reasoning.text" || *kind == "reasoning.summary";
    let same = |name| before.get(name) == piece.get(name);
    piece.get("type").is_some_and(joined) && same("type") && same("index")
}

/// Whether the pieces of a field of details are joined. Of any other field the last value counts.
fn is_text(name: &str) -> bool {
    name == "text" || name == "summary"
}

/// Whether this was given by a server that sends its reasoning as `reasoning_content`.
pub(super) fn sends_reasoning_content(given: &ProviderParts) -> bool {
    let mut fields = given.parts.iter().map(|part| &part["reasoning_field"]);
    fields.any(|field| *field == "reasoning_content")
}

/// Adds to a message of the model what its provider gave with it. The reasoning is left out unless `reasoning`.
pub(super) fn give_back(message: &mut Value, given: &ProviderParts, reasoning: bool) {
    // What is not of this form was not made here.
    let parts = given
        .parts
        .iter()
        .filter_map(|part| GivenBack::deserialize(part).ok());
    for part in parts {
        for (call, content) in part.extra_content {
            if let Some(call) = message["tool_calls"].get_mut(call as usize) {
                call["extra_content"] = content;
            }
        }
        if !reasoning {
            continue;
        }
        if !part.reasoning_details.is_empty() {
            message["reasoning_details"] = part.reasoning_details.into();
        } else if let Some(field) = part.reasoning_field {
            let field = match field {
                ReasoningField::ReasoningContent => "reasoning_content",
                ReasoningField::Reasoning => "reasoning",
            };
            message[field] = json!(&*given.reasoning);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(of: impl FnOnce(&mut GivenBack)) -> Option<Value> {
        let mut back = GivenBack::default();
        of(&mut back);
        back.part()
    }

    #[test]
    fn each_thing_goes_back_in_the_field_it_came_in() {
        let back = |part: Option<Value>, reasoning| {
            let calls = json!([{"id": "a"}, {"id": "b"}]);
            let mut message = json!({"role": "assistant", "tool_calls": calls});
            let given = ProviderParts::new("p", part.into_iter().collect()).reasoning("hm");
            give_back(&mut message, &given, reasoning);
            message.as_object_mut().unwrap().remove("role");
            message
        };
        let calls = json!([{"id": "a"}, {"id": "b"}]);
        assert_eq!(back(None, true), json!({"tool_calls": calls}));
        let strange = Some(json!({"reasoning_field": "content"}));
        assert_eq!(back(strange, true), json!({"tool_calls": calls}));
        assert_eq!(back(Some(json!("s")), true), json!({"tool_calls": calls}));
        for (field, name) in [
            (ReasoningField::ReasoningContent, "reasoning_content"),
            (ReasoningField::Reasoning, "reasoning"),
        ] {
            let part = || part(|back| back.reasoning(field));
            let expected = json!({"tool_calls": calls, name: "hm"});
            assert_eq!(back(part(), true), expected);
            assert_eq!(back(part(), false), json!({"tool_calls": calls}));
        }
        let signed = part(|back| {
            back.with_call(1, &Value::Null).unwrap();
            back.with_call(0, &json!(1)).unwrap();
            back.with_call(0, &json!({"google": {"thought_signature": "s"}}))
                .unwrap();
            back.with_call(9, &json!("there is no such call")).unwrap();
        });
        let extra = json!({"google": {"thought_signature": "s"}});
        let expected = json!({"tool_calls": [{"id": "a", "extra_content": extra}, {"id": "b"}]});
        assert_eq!(back(signed, false), expected);
    }

    #[test]
    fn pieces_of_details_are_joined_by_their_index() {
        let details = part(|back| {
            for piece in [
                json!({"type": "reasoning.text", "index": 0, "format": "f", "text": "Let", "signature": null}),
                json!({"type": "reasoning.text", "index": 0, "text": " me"}),
                json!({"type": "reasoning.text", "index": 0, "signature": "s"}),
                json!({"type": "reasoning.text", "index": 1, "text": "Next."}),
                json!({"type": "reasoning.encrypted", "index": 2, "data": "x"}),
                json!({"type": "reasoning.encrypted", "index": 2, "data": "y"}),
                json!("no object"),
            ] {
                back.detail(&piece).unwrap();
            }
            back.reasoning(ReasoningField::Reasoning);
        });
        let mut message = json!({});
        let given = ProviderParts::new("p", details.into_iter().collect()).reasoning("hm");
        give_back(&mut message, &given, true);
        let expected = json!({"tool_calls": null, "reasoning_details": [
            {"type": "reasoning.text", "index": 0, "format": "f", "text": "Let me", "signature": "s"},
            {"type": "reasoning.text", "index": 1, "text": "Next."},
            {"type": "reasoning.encrypted", "index": 2, "data": "x"},
            {"type": "reasoning.encrypted", "index": 2, "data": "y"},
        ]});
        assert_eq!(message["reasoning_details"], expected["reasoning_details"]);
        assert_eq!(message.get("reasoning"), None, "it is in the details");
    }

    #[test]
    fn more_than_any_answer_needs_is_refused() {
        let mut back = GivenBack::default();
        let large = json!({"type": "reasoning.text", "text": "x".repeat(MOST_BYTES / 2)});
        assert_eq!(back.detail(&large), Ok(()));
        assert!(matches!(back.detail(&large), Err(Fault::TooLarge(_))));
        assert!(matches!(back.with_call(0, &large), Err(Fault::TooLarge(_))));
    }
}
