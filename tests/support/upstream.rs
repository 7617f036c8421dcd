//! A real inference server, as `scripts/real-upstream` starts it, and its own metrics.

#![allow(dead_code, unreachable_pub)] // Each test binary uses its own part.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use quell::{
    Model,
    message::Message,
    model::{ModelChunk, ModelError, ModelErrorKind, ModelRequest},
    models::{OpenAiChat, OpenAiChatBuilder},
    tool::ToolSpec,
};
use serde_json::json;
use tokio::{sync::Mutex, time::timeout};

/// The time limit of a test. A passing test never reaches it.
const GUARD: Duration = Duration::from_secs(120);

/// One test at a time: they count the server's slots and tokens, and measure how long it works.
static TURN: Mutex<()> = Mutex::const_new(());

/// The server.
pub struct Server {
    base: String,
    http: reqwest::Client,
}

impl Server {
    /// Runs a test against the server named in `QUELL_UPSTREAM`. Without one nothing is tested, and the test prints
    /// that; with `QUELL_UPSTREAM_REQUIRED` it fails.
    pub async fn test(test: impl AsyncFnOnce(&Server)) {
        let Ok(base) = env::var("QUELL_UPSTREAM") else {
            assert!(
                env::var_os("QUELL_UPSTREAM_REQUIRED").is_none(),
                "QUELL_UPSTREAM names no server: run this with scripts/real-upstream"
            );
            eprintln!("not tested: QUELL_UPSTREAM names no server (see scripts/real-upstream)");
            return;
        };
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let server = Server { base, http };
        let _turn = TURN.lock().await;
        timeout(GUARD, test(&server)).await.expect("the test hangs");
    }

    pub async fn get(&self, path: &str) -> String {
        let url = format!("{}{path}", self.base);
        let answer = self.http.get(url).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// How many slots are busy.
    pub async fn busy(&self) -> usize {
        let slots: serde_json::Value = serde_json::from_str(&self.get("/slots").await).unwrap();
        let slots = slots.as_array().unwrap();
        slots
            .iter()
            .filter(|slot| slot["is_processing"] == true)
            .count()
    }

    /// Tokens made by all tasks that have ended.
    pub async fn made(&self) -> u64 {
        let metrics = self.get("/metrics").await;
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix("llamacpp:tokens_predicted_total "))
            .unwrap();
        line.trim().parse::<f64>().unwrap() as u64
    }

    /// Waits until no slot is busy, and returns the time since `since`.
    pub async fn idle(&self, since: Instant) -> Duration {
        while self.busy().await > 0 {}
        since.elapsed()
    }

    /// A model that says so many meaningless tokens.
    pub fn model(&self, tokens: u32) -> OpenAiChat {
        self.builder(tokens).build().unwrap()
    }

    /// A model that calls one tool in each answer and says nothing else: the server allows it no other output.
    /// Arguments that the tool's schema leaves open are nonsense, and may be long.
    pub fn caller(&self) -> OpenAiChat {
        // Tokens are biased by their text, the end of an answer by its number. Logits are random, so the bias is large.
        let bias = json!([["<tool_call>", 1_000], [2, 2_000], ["\t", -1_000]]);
        self.builder(1_000)
            .field("tool_choice", "required")
            .field("parallel_tool_calls", false)
            .field("logit_bias", bias)
            .build()
            .unwrap()
    }

    fn builder(&self, tokens: u32) -> OpenAiChatBuilder {
        OpenAiChat::builder()
            .base_url(format!("{}/v1", self.base))
            .model("random")
            .max_tokens(tokens)
    }
}

/// A model's whole answer to a conversation, or why the server refuses it.
///
/// The server closes each connection at the end of a stream, although it says that it keeps it. The next request may
/// use a connection that is just being closed, so requests are retried here as a run would.
pub async fn answer(
    model: &OpenAiChat,
    messages: &[Message],
    tools: &[Arc<ToolSpec>],
) -> Result<Vec<ModelChunk>, ModelError> {
    loop {
        let request = ModelRequest::new(messages.to_vec()).tools(tools.to_vec());
        let items: Vec<_> = model.stream(request).collect().await;
        match items.first() {
            Some(Err(error)) if error.kind == ModelErrorKind::Connection => {}
            _ => return items.into_iter().collect(),
        }
    }
}
