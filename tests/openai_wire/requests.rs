//! What is sent, and by which route.

use quell::models::OpenAiChat;
use serde_json::{Value, json};

use crate::support::*;

#[tokio::test]
async fn a_request_says_what_was_set_and_nothing_else() {
    let server = Server::start().await;
    let model = OpenAiChat::builder()
        .base_url(format!("{}?version=1", server.url()))
        .api_key("sk-0123")
        .organization("org")
        .header("x-team", "blue")
        .max_tokens(9)
        .temperature(0.5)
        .field("top_k", 4)
        .build()
        .unwrap()
        .model("m");
    let answer = server.answer(format!("{EVENTS}{DONE}"));
    let (_, request) = guarded(async { tokio::join!(told(ask(&model)), answer) }).await;
    assert!(
        request
            .head
            .starts_with("POST /v1/chat/completions?version=1 HTTP/1.1\r\n"),
        "{}",
        request.head
    );
    let mut names: Vec<&str> = request
        .head
        .lines()
        .skip(1)
        .filter_map(|l| l.split_once(':'))
        .map(|(n, _)| n)
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "accept",
            "authorization",
            "content-length",
            "content-type",
            "host",
            "openai-organization",
            "user-agent",
            "x-team"
        ]
    );
    assert_eq!(request.header("authorization"), Some("Bearer sk-0123"));
    assert_eq!(request.header("openai-organization"), Some("org"));
    assert_eq!(request.header("x-team"), Some("blue"));
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(
        body,
        json!({
            "model": "m", "stream": true, "stream_options": {"include_usage": true},
            "max_tokens": 9, "temperature": 0.5, "top_k": 4,
            "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}],
        })
    );
}

#[tokio::test]
async fn user_and_password_of_an_address_are_sent_as_a_header() {
    let server = Server::start().await;
    let url = server.url().replace("http://", "http://me:p%40ss@");
    let model = OpenAiChat::builder().base_url(url).build().unwrap();
    let answer = server.answer(format!("{EVENTS}{DONE}"));
    let (_, request) = guarded(async { tokio::join!(told(ask(&model)), answer) }).await;
    // me:p@ss
    assert_eq!(request.header("authorization"), Some("Basic bWU6cEBzcw=="));
    assert!(!request.head.contains("me:"), "{}", request.head);
}

#[tokio::test]
async fn a_proxy_that_was_set_is_used_also_for_this_machine() {
    let (server, proxy) = (Server::start().await, Server::start().await);
    let builder = OpenAiChat::builder().base_url(server.url());
    let model = builder.proxy(proxy.url()).build().unwrap();
    let answer = proxy.answer(format!("{EVENTS}{}{DONE}", text("a")));
    let (told, request) = guarded(async { tokio::join!(told(ask(&model)), answer) }).await;
    assert_eq!(told, "connected | a | Stop");
    assert!(
        request
            .head
            .starts_with(&format!("POST {}/chat/completions", server.url()))
    );
    assert!(server.untouched());
}

const CHILD: &str = "QUELL_TEST_PROXY_CHILD";

/// The test runs again in a child process, because the environment of a running process cannot be changed safely.
#[tokio::test]
async fn a_proxy_of_the_environment_is_not_used_for_this_machine() {
    guarded(async {
        if std::env::var_os(CHILD).is_some() {
            let told = told_of(format!("{EVENTS}{}{DONE}", text("a"))).await;
            assert_eq!(told, "connected | a | Stop");
            // For other hosts the proxy is used: this name cannot be resolved.
            let model = OpenAiChat::builder()
                .base_url("http://model.invalid/v1")
                .build()
                .unwrap();
            assert_eq!(told_by(&model).await, "connected | proxied | Stop");
            return;
        }
        let proxy = Server::start().await;
        let name = "requests::a_proxy_of_the_environment_is_not_used_for_this_machine";
        let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", name])
            .env(CHILD, "1")
            .kill_on_drop(true);
        child.env_remove("NO_PROXY").env_remove("no_proxy");
        for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            child.env(variable, proxy.url());
        }
        let answer = proxy.answer(format!("{EVENTS}{}{DONE}", text("proxied")));
        let (output, request) = tokio::join!(child.output(), answer);
        let output = output.unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        assert!(
            request.head.starts_with("POST http://model.invalid/v1/"),
            "{}",
            request.head
        );
        assert!(proxy.untouched());
    })
    .await;
}

async fn told_by(model: &OpenAiChat) -> String {
    told(ask(model)).await
}
