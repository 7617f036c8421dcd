//! Secrets are never shown.

use quell::models::OpenAiChat;

use crate::support::*;

const KEY: &str = "sk-secret-0123456789";

#[track_caller]
fn assert_hidden(shown: &str) {
    for secret in [
        KEY,
        "hunter22secret",
        "hunter22",
        "token-in-query",
        "header-value",
        "c29tZW9uZTpodW50ZXIyMnNlY3JldA==",
    ] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[tokio::test]
async fn a_key_that_is_echoed_is_in_no_error() {
    let echo = format!("you sent {KEY} and header-value, token-in-query");
    let json = format!(r#"{{"error":{{"message":"{echo}","code":"{KEY}"}}}}"#);
    let status = |body: &str| {
        format!(
            "HTTP/1.1 401 {KEY}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let finish = finish(&format!("{}{KEY}", "x".repeat(50)));
    for bytes in [
        status(&json),
        status(&echo),
        status(&format!("{}{echo}", "x".repeat(480))),
        format!("{EVENTS}data: {json}\n\n"),
        format!("{EVENTS}data: {echo}\n\n"),
        format!("{EVENTS}error: {echo}\n\n"),
        format!("{EVENTS}{{{echo}"),
        format!("{EVENTS}<html>{echo}"),
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: {KEY}\r\n\r\n"),
        format!("{EVENTS}{finish}"),
    ] {
        let server = Server::start().await;
        let model = OpenAiChat::builder()
            .base_url(format!("{}?t=token-in-query", server.url()))
            .api_key(KEY)
            .header("x-secret", "header-value")
            .build()
            .unwrap();
        let (told, _) =
            guarded(async { tokio::join!(told(ask(&model)), server.answer(&bytes)) }).await;
        assert!(told.contains("Never") || told.contains("Other"), "{told}");
        assert_hidden(&told);
        assert_hidden(&format!("{model:?}"));
    }
}

#[tokio::test]
async fn a_place_is_named_without_what_is_secret_in_its_address() {
    // Nobody listens on port 1.
    let url = "http://someone:hunter22secret@127.0.0.1:1/v1?t=token-in-query";
    let builder = OpenAiChat::builder().base_url(url);
    assert_hidden(&format!("{builder:?}"));
    let model = builder.build().unwrap();
    assert_hidden(&format!("{model:?}"));
    let told = guarded(told(ask(&model))).await;
    assert_eq!(
        told,
        format!(
            "Connect, Backoff: POST http://127.0.0.1:1/v1/chat/completions: connection refused"
        )
    );
}

#[tokio::test]
async fn a_password_that_is_echoed_is_in_no_error() {
    let server = Server::start().await;
    let url = server
        .url()
        .replace("http://", "http://someone:hunter%32%32secret@");
    let model = OpenAiChat::builder().base_url(url).build().unwrap();
    let body = "someone:hunter22secret, c29tZW9uZTpodW50ZXIyMnNlY3JldA==";
    let bytes = format!(
        "HTTP/1.1 401 x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (told, request) =
        guarded(async { tokio::join!(told(ask(&model)), server.answer(bytes)) }).await;
    assert_eq!(
        request.header("authorization"),
        Some("Basic c29tZW9uZTpodW50ZXIyMnNlY3JldA==")
    );
    assert!(told.starts_with("Status(401)"), "{told}");
    assert_hidden(&told);
}
