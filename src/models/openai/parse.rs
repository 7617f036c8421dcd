//! What the events of an answer mean. Pure: events in, chunks out.

use std::{collections::VecDeque, sync::Arc};

use quell_actors::{
    model::{ModelChunk, ModelUsage, Retry, ToolCallDelta},
    outcome::FinishReason,
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    back::{GivenBack, ReasoningField},
    calls::{Calls, TooManyCalls},
    complaint::{Complaint, says_something},
    lenient::{Count, Maybe, Text},
};

/// Why an answer cannot be read on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The provider says that it failed.
    Provider { message: String, retry: Retry },
    /// What came is not of the protocol.
    Protocol(String),
    /// More came than is allowed.
    TooLarge(String),
}

impl From<TooManyCalls> for Fault {
    fn from(error: TooManyCalls) -> Fault {
        Fault::TooLarge(error.to_string())
    }
}

/// Reads one answer, event by event.
#[derive(Debug, Default)]
pub(super) struct Parser {
    calls: Calls,
    reason: Option<FinishReason>,
    refused: bool,
    /// An event with a part of an answer was read.
    answered: bool,
    done: bool,
    usage: Option<ModelUsage>,
    back: GivenBack,
}

impl Parser {
    /// Reads the `data` of one event, which may be named, and adds what it says to `chunks`, also when it ends in a fault.
    pub(super) fn event(
        &mut self,
        name: Option<&str>,
        data: &str,
        chunks: &mut VecDeque<ModelChunk>,
    ) -> Result<(), Fault> {
        let data = data.trim();
        match name {
            _ if data.is_empty() => return Ok(()),
            Some("ping") => return Ok(()),
            Some("error") => return Err(complaint_in(data)),
            _ if data == "[DONE]" => {
                self.done = true;
                return Ok(());
            }
            _ => {}
        }
        // Checked here because the parser would also take a list, field by field.
        if !data.starts_with('{') {
            return Err(Fault::Protocol(format!(
                "an event is no JSON object: {data}"
            )));
        }
        let event: Event<'_> = serde_json::from_str(data).map_err(|error| {
            Fault::Protocol(format!("an event cannot be read: {error}: {data}"))
        })?;
        let failed = event.object.get() == Some("error");
        for choice in event.choices.iter().flatten() {
            self.choice(choice, chunks)?;
        }
        self.usage(&event.usage, chunks);
        match event.error.filter(says_something) {
            Some(error) => Err(provider(&error)),
            None if failed => Err(complaint_in(data)),
            None if self.failed_silently(&event.choices) => Err(Fault::Provider {
                message: "the provider ended its answer with an error it did not name".to_owned(),
                retry: Retry::Never,
            }),
            None => Ok(()),
        }
    }

    /// Why the answer ended, once it has. `[DONE]` alone, with no answer before it, is none.
    pub(super) fn finish(&self) -> Option<FinishReason> {
        let reason = match &self.reason {
            Some(reason) => reason.clone(),
            None if self.done && self.answered => FinishReason::Stop,
            None => return None,
        };
        Some(match reason {
            // Some servers say "stop" for every end.
            FinishReason::Stop if !self.calls.is_empty() => FinishReason::ToolCalls,
            FinishReason::Stop if self.refused => FinishReason::Refusal,
            reason => reason,
        })
    }

    /// The same for a body that is known to be a whole answer, whether it says why it ended or not.
    pub(super) fn finish_whole(&mut self) -> Option<FinishReason> {
        self.done = true;
        self.finish()
    }

    /// What is to be given back with the answer, once.
    pub(super) fn given_back(&mut self) -> Option<Value> {
        std::mem::take(&mut self.back).part()
    }

    /// Whether anything was read that belongs to an answer.
    pub(super) fn answered(&self) -> bool {
        self.answered
    }

    /// Whether `[DONE]` was read.
    pub(super) fn done(&self) -> bool {
        self.done
    }

    fn choice(
        &mut self,
        choice: &Choice<'_>,
        chunks: &mut VecDeque<ModelChunk>,
    ) -> Result<(), Fault> {
        // One answer was asked for. What calls itself another is not mixed into it.
        if choice.index.0.unwrap_or(0) != 0 {
            return Ok(());
        }
        self.answered = true;
        // `message` is where an answer stands that came in one piece.
        if let Some(delta) = choice.delta.0.as_ref().or(choice.message.0.as_ref()) {
            let content = delta.reasoning_content.get();
            let content = content.map(|text| (text, ReasoningField::ReasoningContent));
            let reasoning = delta.reasoning.get();
            let reasoning = reasoning.map(|text| (text, ReasoningField::Reasoning));
            if let Some((text, field)) = content.or(reasoning) {
                self.back.reasoning(field);
                chunks.push_back(ModelChunk::Reasoning(Arc::from(text)));
            }
            if delta.reasoning_content.is_given() {
                self.back.no_reasoning();
            }
            for piece in delta.reasoning_details.as_array().into_iter().flatten() {
                self.back.detail(piece)?;
            }
            for text in [delta.content.get(), delta.refusal.get()]
                .into_iter()
                .flatten()
            {
                chunks.push_back(ModelChunk::Text(Arc::from(text)));
            }
            self.refused |= delta.refusal.get().is_some();
            for call in delta
                .tool_calls
                .iter()
                .flatten()
                .filter_map(|call| call.0.as_ref())
            {
                self.call(call, chunks)?;
            }
        }
        self.usage(&choice.usage, chunks);
        if let Some(reason) = choice
            .finish_reason
            .get()
            .filter(|reason| *reason != "error")
        {
            self.reason = Some(reason_of(reason));
        }
        Ok(())
    }

    fn call(&mut self, call: &Call<'_>, chunks: &mut VecDeque<ModelChunk>) -> Result<(), Fault> {
        let function = call.function.0.as_ref();
        let name = function.and_then(|function| function.name.get());
        let index = self.calls.number(call.index.0, call.id.get(), name)?;
        self.back.with_call(index, &call.extra_content)?;
        let arguments = match function.and_then(|function| function.arguments.as_ref()) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            // Some servers send the object itself instead of its text.
            Some(object) => object.to_string(),
        };
        let mut delta = ToolCallDelta::new(index).arguments(arguments);
        delta.id = call.id.get().map(str::to_owned);
        delta.name = name.map(str::to_owned);
        chunks.push_back(ModelChunk::ToolCall(Box::new(delta)));
        Ok(())
    }

    fn usage(&mut self, usage: &Maybe<Tokens>, chunks: &mut VecDeque<ModelChunk>) {
        let Some(tokens) = &usage.0 else { return };
        let mut usage = ModelUsage::default();
        usage.input_tokens = tokens.prompt_tokens.0;
        usage.output_tokens = tokens.completion_tokens.0;
        let (input, output) = (
            &tokens.prompt_tokens_details.0,
            &tokens.completion_tokens_details.0,
        );
        usage.cached_input_tokens = tokens.prompt_cache_hit_tokens.0;
        if let Some(details) = input {
            usage.cached_input_tokens = details.cached_tokens.0.or(usage.cached_input_tokens);
            usage.cache_write_tokens = details.cache_write_tokens.0;
        }
        if let Some(details) = output {
            usage.reasoning_tokens = details.reasoning_tokens.0;
        }
        if usage != ModelUsage::default() && self.usage.replace(usage) != Some(usage) {
            chunks.push_back(ModelChunk::Usage(usage));
        }
    }

    fn failed_silently(&self, choices: &Option<Vec<Choice<'_>>>) -> bool {
        let mut reasons = choices
            .iter()
            .flatten()
            .map(|choice| choice.finish_reason.get());
        reasons.any(|reason| reason == Some("error"))
    }
}

/// The fault of a line or an event that is an error by its name, be it JSON or not.
pub(super) fn complaint_in(data: &str) -> Fault {
    match serde_json::from_str::<Value>(data) {
        Ok(value) => provider(&value),
        Err(_) => Fault::Provider {
            message: data.to_owned(),
            retry: Retry::Never,
        },
    }
}

fn provider(value: &Value) -> Fault {
    let complaint = Complaint::read(value);
    let unnamed = || "the provider says that it failed, and not how".to_owned();
    Fault::Provider {
        message: complaint.text().unwrap_or_else(unnamed),
        retry: complaint.retry(),
    }
}

fn reason_of(word: &str) -> FinishReason {
    match word {
        "stop" => FinishReason::Stop,
        "length" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        "refusal" => FinishReason::Refusal,
        other => FinishReason::Other(Arc::from(other)),
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    usage: Maybe<Tokens>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(borrow, default)]
    object: Text<'a>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Count,
    #[serde(borrow, default)]
    delta: Maybe<Delta<'a>>,
    #[serde(borrow, default)]
    message: Maybe<Delta<'a>>,
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
    #[serde(default)]
    usage: Maybe<Tokens>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Text<'a>,
    #[serde(borrow, default)]
    refusal: Text<'a>,
    #[serde(borrow, default)]
    reasoning_content: Text<'a>,
    #[serde(borrow, default)]
    reasoning: Text<'a>,
    #[serde(default)]
    reasoning_details: Value,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Maybe<Call<'a>>>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(default)]
    index: Count,
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    function: Maybe<Function<'a>>,
    #[serde(default)]
    extra_content: Value,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(default)]
    arguments: Option<Value>,
}

#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    prompt_tokens: Count,
    #[serde(default)]
    completion_tokens: Count,
    /// DeepSeek's.
    #[serde(default)]
    prompt_cache_hit_tokens: Count,
    #[serde(default)]
    prompt_tokens_details: Maybe<InputDetails>,
    #[serde(default)]
    completion_tokens_details: Maybe<OutputDetails>,
}

#[derive(Deserialize)]
struct InputDetails {
    #[serde(default)]
    cached_tokens: Count,
    #[serde(default)]
    cache_write_tokens: Count,
}

#[derive(Deserialize)]
struct OutputDetails {
    #[serde(default)]
    reasoning_tokens: Count,
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
