//! Servers that refuse the second request unless it returns what came with the first answer, and servers that refuse
//! fields that they do not know.

use quell::{
    Agent, EventKind, NewRun, Outcome, Run, Runtime, ToolContext,
    models::{OpenAiChat, OpenAiChatBuilder},
    runtime::Decisions,
    tool,
};
use serde_json::{Value, json};

use crate::support::*;

/// What a provider requires of an assistant message with calls.
type Rule = fn(&Value) -> Result<(), &'static str>;

/// What a provider sends before it calls `look`, and what it requires later.
struct Provider {
    deltas: Vec<Value>,
    /// Fields in the delta of the call, beside the call itself.
    extra_content: Option<Value>,
    rule: Rule,
}

const CALL: &str = r#"{"city":"Oslo"}"#;

impl Provider {
    /// The first answer: it thinks, and calls `look`.
    fn calls(&self) -> String {
        let mut call = json!({
            "index": 0, "id": "call-a", "type": "function",
            "function": {"name": "look", "arguments": CALL},
        });
        if let Some(content) = &self.extra_content {
            call["extra_content"] = content.clone();
        }
        let call = json!({"tool_calls": [call]});
        let events = self.deltas.iter().chain([&call]).map(|delta| {
            let event = json!({"choices": [{"index": 0, "delta": delta}]});
            format!("data: {event}\n\n")
        });
        format!(
            "{EVENTS}{}{}{DONE}",
            events.collect::<String>(),
            finish("tool_calls")
        )
    }

    /// Why a request is refused, if it is.
    fn judge(&self, request: &Request) -> Result<(), &'static str> {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let messages = body["messages"].as_array().unwrap();
        let mut said = messages
            .iter()
            .filter(|message| message["role"] == "assistant");
        said.try_for_each(self.rule)
    }

    /// Serves so many requests: it answers the first with a call and the others with text, and refuses those that break
    /// the rule.
    async fn serve(&self, server: &Server, requests: usize) {
        for number in 0..requests {
            let (mut peer, request) = server.request().await;
            let answer = match self.judge(&request) {
                Err(complaint) => {
                    let body = json!({"error": {"message": complaint}}).to_string();
                    let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json";
                    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
                }
                Ok(()) if number == 0 => self.calls(),
                Ok(()) => format!("{EVENTS}{}{}", text("It rains."), finish("stop")),
            };
            peer.send(answer).await;
        }
    }

    /// Asks the provider three times: for the call, after a pause with its result, and in a later run of the session.
    /// Returns how the two runs ended.
    async fn outcomes(&self, with: fn(OpenAiChatBuilder) -> OpenAiChatBuilder) -> [Outcome; 2] {
        let server = Server::start().await;
        let model = with(OpenAiChat::builder().base_url(server.url()));
        let look = |_: Value, _: ToolContext| async { Ok("rain") };
        let look = tool::from_schema("look", "Looks.", json!({"type": "object"}), look);
        let agent = Agent::builder("clerk", model.build().unwrap()).tool(look.confirm());
        let (agent, runtime) = (agent.build().unwrap(), Runtime::new());
        let asks = async {
            let new = |words: &str| NewRun::new(words.to_owned()).session("s");
            let first = runtime.start(&agent, new("Does it rain?")).await.unwrap();
            let approved = Decisions::new().approve("call-a");
            paused(&first).await;
            runtime.continue_run(first.id(), approved).await.unwrap();
            let first = first.outcome().await.unwrap();
            let later = runtime.start(&agent, new("Sure?")).await.unwrap();
            [first, later.outcome().await.unwrap()]
        };
        guarded(async {
            tokio::select! {
                outcomes = asks => outcomes,
                () = async { self.serve(&server, 3).await; std::future::pending().await } => unreachable!(),
            }
        })
        .await
    }

    async fn is_content(&self) {
        for outcome in self.outcomes(|model| model).await {
            assert!(matches!(&outcome, Outcome::Completed(_)), "{outcome:?}");
            assert!(outcome.text().ends_with("It rains."), "{outcome:?}");
        }
    }
}

async fn paused(run: &Run) {
    let mut events = run.events();
    while !matches!(
        events.next().await.expect("the run pauses").unwrap().kind,
        EventKind::Paused(_)
    ) {}
}

/// Whether a message has only these fields.
fn only(message: &Value, fields: &[&str]) -> bool {
    let known = |name: &String| fields.contains(&name.as_str());
    message.as_object().unwrap().keys().all(known)
}

const PLAIN: [&str; 3] = ["role", "content", "tool_calls"];

fn deepseek() -> Provider {
    Provider {
        deltas: vec![
            json!({"role": "assistant", "content": null, "reasoning_content": ""}),
            json!({"content": null, "reasoning_content": "I should"}),
            json!({"content": null, "reasoning_content": " look."}),
        ],
        extra_content: None,
        rule: |message| match (&message["reasoning_content"], &message["tool_calls"]) {
            (Value::String(_), Value::Null) => Ok(()),
            (reasoning, _) if *reasoning == "I should look." => Ok(()),
            _ => {
                Err("The `reasoning_content` in the thinking mode must be passed back to the API.")
            }
        },
    }
}

#[tokio::test]
async fn deepseek_is_given_back_the_reasoning_before_a_call() {
    deepseek().is_content().await;
    let provider = deepseek();
    let kept = provider.outcomes(|model| model.give_reasoning_back(false));
    let [Outcome::Error(error), _] = kept.await else {
        panic!("it is not given back where that is switched off");
    };
    assert!(error.message.contains("must be passed back"), "{error}");
}

#[tokio::test]
async fn gemini_is_given_back_the_signature_of_a_call() {
    let signature = json!({"google": {"thought_signature": "c2lnbmVk"}});
    let provider = Provider {
        deltas: vec![json!({"role": "assistant"})],
        extra_content: Some(signature),
        rule: |message| {
            let call = &message["tool_calls"][0];
            let signature = &call["extra_content"]["google"]["thought_signature"];
            match call.is_null() || *signature == "c2lnbmVk" {
                true => Ok(()),
                false => Err("Function call is missing a thought_signature in functionCall parts."),
            }
        },
    };
    provider.is_content().await;
}

#[tokio::test]
async fn openrouter_is_given_back_the_details_of_the_reasoning_with_their_pieces_joined() {
    let piece = |piece: Value| json!({"reasoning": piece["text"], "reasoning_details": [piece]});
    let provider = Provider {
        deltas: vec![
            piece(json!({"type": "reasoning.text", "index": 0, "text": "I should"})),
            piece(json!({"type": "reasoning.text", "index": 0, "text": " look."})),
            json!({"reasoning_details": [{"type": "reasoning.text", "index": 0, "signature": "s"}]}),
        ],
        extra_content: None,
        rule: |message| {
            let whole = json!([
                {"type": "reasoning.text", "index": 0, "text": "I should look.", "signature": "s"},
            ]);
            match message["tool_calls"].is_null() || message["reasoning_details"] == whole {
                true => Ok(()),
                false => Err("Invalid `signature` in `thinking` block"),
            }
        },
    };
    provider.is_content().await;
}

#[tokio::test]
async fn groq_is_given_back_no_field_that_it_does_not_know() {
    let provider = Provider {
        deltas: vec![json!({"reasoning": "I should look."})],
        extra_content: None,
        rule: |message| match only(message, &["role", "content", "tool_calls", "reasoning"]) {
            true => Ok(()),
            false => Err("property 'reasoning_content' is unsupported"),
        },
    };
    provider.is_content().await;
}

#[tokio::test]
async fn a_provider_that_gave_nothing_is_given_nothing() {
    let provider = Provider {
        deltas: vec![json!({"role": "assistant", "content": "Let me look."})],
        extra_content: None,
        rule: |message| {
            let calls = message["tool_calls"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let plain = only(message, &PLAIN)
                && calls
                    .iter()
                    .all(|call| only(call, &["id", "type", "function"]));
            plain.then_some(()).ok_or("Unrecognized request argument")
        },
    };
    provider.is_content().await;
}

#[tokio::test]
async fn reasoning_that_came_empty_goes_back_empty() {
    let provider = Provider {
        deltas: vec![json!({"role": "assistant", "reasoning_content": ""})],
        extra_content: None,
        rule: |message| match message["reasoning_content"] == "" {
            true => Ok(()),
            false => Err("Missing `reasoning_content` field in the assistant message"),
        },
    };
    provider.is_content().await;
}

/// An answer that was cut has no reasoning of its own, and DeepSeek wants the field all the same.
#[tokio::test]
async fn deepseek_takes_a_session_in_which_an_answer_was_cut() {
    let (server, runtime, provider) = (Server::start().await, Runtime::new(), deepseek());
    let look = |_: Value, _: ToolContext| async { Ok("rain") };
    let look = tool::from_schema("look", "Looks.", json!({"type": "object"}), look);
    let agent = Agent::builder("clerk", server.model()).tool(look);
    let agent = agent.build().unwrap();
    let start = async || {
        let new = NewRun::new("Does it rain?").session("s");
        runtime.start(&agent, new).await.unwrap()
    };
    guarded(async {
        let first = start().await;
        let (outcome, ()) = tokio::join!(first.outcome(), provider.serve(&server, 2));
        assert!(matches!(outcome.unwrap(), Outcome::Completed(_)));

        let cut = start().await;
        let (mut peer, request) = server.request().await;
        assert_eq!(provider.judge(&request), Ok(()));
        peer.send(format!("{EVENTS}{}", text("I was"))).await;
        let mut events = cut.events();
        while !matches!(
            events.next().await.unwrap().unwrap().kind,
            EventKind::Content { .. }
        ) {}
        cut.cancel().await;

        let later = start().await;
        let words = format!("{EVENTS}{}{}", text("Yes."), finish("stop"));
        let (outcome, request) = tokio::join!(later.outcome(), server.answer(words));
        assert!(matches!(outcome.unwrap(), Outcome::Completed(_)));
        assert!(request.body.contains("interrupted"), "{}", request.body);
        assert_eq!(provider.judge(&request), Ok(()), "{}", request.body);
    })
    .await;
}

/// Another server gets the session's later run, and must not get what the first one gave.
#[tokio::test]
async fn another_provider_is_given_nothing_of_it() {
    let (one, two, runtime) = (Server::start().await, Server::start().await, Runtime::new());
    let look = |_: Value, _: ToolContext| async { Ok("rain") };
    let agent = |server: &Server| {
        let look = tool::from_schema("look", "Looks.", json!({"type": "object"}), look);
        Agent::builder("clerk", server.model())
            .tool(look)
            .build()
            .unwrap()
    };
    let start = async |server: &Server| {
        let new = NewRun::new("Does it rain?").session("s");
        let run = runtime.start(&agent(server), new).await.unwrap();
        run.outcome().await.unwrap()
    };
    let provider = deepseek();
    guarded(async {
        let (first, ()) = tokio::join!(start(&one), provider.serve(&one, 2));
        assert!(matches!(first, Outcome::Completed(_)), "{first:?}");
        let words = format!("{EVENTS}{}{}", text("Yes."), finish("stop"));
        let (later, request) = tokio::join!(start(&two), two.answer(words));
        assert!(matches!(later, Outcome::Completed(_)), "{later:?}");
        assert!(request.body.contains("call-a"), "{}", request.body);
        assert!(!request.body.contains("reasoning"), "{}", request.body);
    })
    .await;
}
