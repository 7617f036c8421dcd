//! The truth test: a real inference server, and its own word on whether a cancel stopped it.
//!
//!     scripts/real-upstream cargo test --test real_upstream
//!
//! Without a server named in `QUELL_UPSTREAM` nothing is tested, and the test says so; `QUELL_UPSTREAM_REQUIRED` makes
//! that a failure.
#![cfg(feature = "http-models")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic, and has figures to show"
)]

use std::{
    env,
    time::{Duration, Instant},
};

use quell::{
    Agent, Cut, EventKind, Outcome, Run, RunStatus, Runtime, UsageSource, models::OpenAiChat,
};
use tokio::time::{interval, timeout};

/// The outer limit of the whole test; never reached by one that passes.
const GUARD: Duration = Duration::from_secs(120);

/// How many tokens are asked for: more than the server could make in the time of the test.
const ASKED: u32 = 100_000;

/// How many cancels are measured: the machine is shared, so the median counts.
const ROUNDS: usize = 7;

/// The server, and what it says of itself.
struct Server {
    base: String,
    http: reqwest::Client,
}

impl Server {
    fn of_environment() -> Option<Server> {
        let base = env::var("QUELL_UPSTREAM").ok()?;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Some(Server { base, http })
    }

    async fn get(&self, path: &str) -> String {
        let url = format!("{}{path}", self.base);
        let answer = self.http.get(url).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// How many slots are at work.
    async fn busy(&self) -> usize {
        let slots: serde_json::Value = serde_json::from_str(&self.get("/slots").await).unwrap();
        let slots = slots.as_array().unwrap();
        slots
            .iter()
            .filter(|slot| slot["is_processing"] == true)
            .count()
    }

    /// Tokens made by all tasks that have ended.
    async fn made(&self) -> u64 {
        let metrics = self.get("/metrics").await;
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix("llamacpp:tokens_predicted_total "))
            .unwrap();
        line.trim().parse::<f64>().unwrap() as u64
    }

    /// Waits until no slot is at work, and says how long that took since `since`.
    async fn idle(&self, since: Instant) -> Duration {
        while self.busy().await > 0 {}
        since.elapsed()
    }

    fn agent(&self, tokens: u32) -> Agent {
        let model = OpenAiChat::builder()
            .base_url(format!("{}/v1", self.base))
            .model("random")
            .max_tokens(tokens)
            .build()
            .unwrap();
        Agent::new("storyteller", model)
    }
}

/// Waits for so many pieces of content.
async fn heard(run: &Run, pieces: usize) {
    let mut events = run.events();
    let mut count = 0;
    while count < pieces {
        let event = events.next().await.expect("the run goes on").unwrap();
        count += usize::from(matches!(event.kind, EventKind::Content { .. }));
    }
}

async fn a_run_completes(server: &Server) {
    let runtime = Runtime::new();
    let run = runtime
        .start(&server.agent(8), "Tell me a story.")
        .await
        .unwrap();
    let Outcome::Completed(reply) = run.outcome().await.unwrap() else {
        panic!("the run did not complete: {:?}", run.outcome().await);
    };
    assert!(!reply.text.is_empty());
    assert_eq!(reply.usage.source, UsageSource::Provider);
    assert_eq!(reply.usage.output_tokens, 8);
}

async fn a_cancel_while_streaming_stops_the_server(server: &Server) {
    let mut idle_after = Vec::new();
    for _ in 0..ROUNDS {
        idle_after.push(one_cancel_while_streaming(server).await);
    }
    idle_after.sort();
    let median = idle_after[ROUNDS / 2];
    eprintln!("slot idle after a cancel while streaming: {idle_after:?}");
    assert!(
        median <= Duration::from_millis(100),
        "the slot was busy for {median:?}"
    );
}

/// How long the server's slot was busy after a cancel.
async fn one_cancel_while_streaming(server: &Server) -> Duration {
    let before = server.made().await;
    let run = Runtime::new()
        .start(&server.agent(ASKED), "Tell me a story.")
        .await
        .unwrap();
    heard(&run, 30).await;
    assert_eq!(server.busy().await, 1, "the server is at work");

    let asked = Instant::now();
    assert!(run.cancel().await.is_accepted());
    let idle = server.idle(asked).await;
    let Outcome::Cancelled(partial) = run.outcome().await.unwrap() else {
        panic!("an accepted cancel ends cancelled");
    };
    let made = server.made().await - before;
    eprintln!(
        "cancel while {}: slot idle after {idle:?}; {made} tokens made of {ASKED} asked; receipt: {:?}, {}",
        partial.receipt.cut, partial.receipt.took, partial.receipt.usage,
    );
    assert_eq!(partial.receipt.cut, Cut::Streaming);
    assert!(made < 1_000, "{made} tokens were made");
    assert!(!partial.text.is_empty());
    idle
}

async fn a_cancel_before_the_first_token_stops_the_server(server: &Server) {
    // A prompt that takes the server a while to read.
    let prompt = "ka lo mi ".repeat(300);
    let before = server.made().await;
    let run = Runtime::new()
        .start(&server.agent(ASKED), prompt)
        .await
        .unwrap();
    while server.busy().await == 0 {}
    let asked = Instant::now();
    assert!(run.cancel().await.is_accepted());
    let status = run.outcome().await.unwrap().status();
    let seen = asked.elapsed();
    // Asked too often, this server does not get round to noticing that a client has left; so it is asked at leisure.
    let mut pace = interval(Duration::from_millis(1_500));
    pace.tick().await;
    loop {
        pace.tick().await;
        if server.busy().await == 0 {
            break;
        }
    }
    let idle = asked.elapsed();
    let made = server.made().await - before;
    eprintln!(
        "cancel before the first token: ended after {seen:?}; slot idle after {idle:?}; {made} tokens made"
    );
    assert_eq!(status, RunStatus::Cancelled);
    // While it reads a prompt the server looks at its connections once a second, and ends the batch it is at.
    assert!(
        idle <= Duration::from_secs(10),
        "the slot was busy for {idle:?}"
    );
    assert!(made < 1_000, "{made} tokens were made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_stops_a_real_inference_server() {
    let Some(server) = Server::of_environment() else {
        assert!(
            env::var_os("QUELL_UPSTREAM_REQUIRED").is_none(),
            "QUELL_UPSTREAM names no server: run this with scripts/real-upstream"
        );
        eprintln!("not tested: QUELL_UPSTREAM names no server (see scripts/real-upstream)");
        return;
    };
    let all = async {
        a_run_completes(&server).await;
        a_cancel_while_streaming_stops_the_server(&server).await;
        a_cancel_before_the_first_token_stops_the_server(&server).await;
    };
    timeout(GUARD, all).await.expect("the test hangs");
}
