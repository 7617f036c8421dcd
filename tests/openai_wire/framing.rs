//! The framing of a response's bytes.

use proptest::prelude::*;

use crate::support::*;

#[track_caller]
fn check(body: &str, expected: &str) -> impl Future<Output = ()> {
    let (bytes, expected) = (format!("{EVENTS}{body}"), expected.to_owned());
    async move {
        let told = guarded(told_of(&bytes)).await;
        assert_eq!(told, expected, "{bytes}");
    }
}

#[tokio::test]
async fn a_finish_reason_or_done_is_a_finish_and_a_bare_end_is_not() {
    let a = text("a");
    check(
        &format!("{a}{}{USAGE}{DONE}", finish("stop")),
        "connected | a | 3+5 | Stop",
    )
    .await;
    check(
        &format!("{a}{}", finish("length")),
        "connected | a | Length",
    )
    .await;
    check(&format!("{a}{DONE}"), "connected | a | Stop").await;
    check(&a, "connected | a").await;
    check(&format!("{a}data: {{\"choices\":[{{\"del"), "connected | a").await;
    check(
        DONE,
        "connected | Protocol, Never: the stream is done and held no answer",
    )
    .await;
}

#[tokio::test]
async fn the_last_event_needs_no_blank_line() {
    let whole = format!("{}{}", text("a"), finish("stop"));
    check(whole.trim_end(), "connected | a | Stop").await;
    check(
        &format!("{}data: [DONE]", text("a")),
        "connected | a | Stop",
    )
    .await;
}

#[tokio::test]
async fn comments_pings_and_empty_blocks_are_no_events() {
    let noise = ": OPENROUTER PROCESSING\n\nevent: ping\n\nevent: ping\ndata: {}\n\nid: 1\n\n:\n\n";
    let body = format!(
        "{noise}{}{noise}{}{noise}{DONE}{noise}",
        text("a"),
        finish("stop")
    );
    check(&body, "connected | a | Stop").await;
    check(
        noise,
        "connected | Protocol, Never: the body ended and held no answer",
    )
    .await;
}

#[tokio::test]
async fn errors_in_the_middle_and_at_the_start_of_an_answer() {
    let error = r#"{"error":{"message":"overloaded","code":"server_error"}}"#;
    let never = "Provider, Never: overloaded (server_error)";
    let backoff = "Provider, Backoff: overloaded (server_error)";
    check(
        &format!("data: {error}\n\n"),
        &format!("connected | {backoff}"),
    )
    .await;
    check(
        &format!("{}data: {error}\n\n{DONE}", text("a")),
        &format!("connected | a | {never}"),
    )
    .await;
    check(
        &format!("event: error\ndata: {error}\n\n"),
        &format!("connected | {backoff}"),
    )
    .await;
    let inner = r#"{"message":"overloaded","code":"server_error"}"#;
    check(
        &format!("{}error: {inner}\n\n", text("a")),
        &format!("connected | a | {never}"),
    )
    .await;
    let with_choice = r#"data: {"error":{"message":"m","code":"x"},"choices":[{"delta":{"content":"b"},"finish_reason":"error"}]}"#;
    check(with_choice, "connected | b | Provider, Never: m (x)").await;
    // After the finish reason the answer is complete, whatever follows.
    check(
        &format!("{}{}data: {error}\n\n", text("a"), finish("stop")),
        "connected | a | Stop",
    )
    .await;
    check(
        &format!("{}{}data: {{nonsense\n\n", text("a"), finish("stop")),
        "connected | a | Stop",
    )
    .await;
}

#[tokio::test]
async fn more_said_after_a_finish_reason_is_heard() {
    let body = format!("{0}{1}{0}{1}{USAGE}{DONE}", text("a"), finish("stop"));
    check(&body, "connected | a | a | 3+5 | Stop").await;
}

#[tokio::test]
async fn what_is_no_answer_is_a_protocol_error() {
    let head = |extra: &str| format!("HTTP/1.1 200 OK\r\n{extra}connection: close\r\n\r\n");
    let (sse, json) = (
        "content-type: text/event-stream\r\n",
        "content-type: application/json\r\n",
    );
    let html = "content-type: text/html; charset=utf-8\r\n";
    let page = "<html>\n<title>Sign in</title>";
    let told_page =
        "Protocol, Never: the body is a page, not an answer: <html> <title>Sign in</title>";
    let whole = r#"{"choices":[{"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":5}}"#;
    for (head, body, expected) in [
        (head(html), page, told_page.to_owned()),
        (head(sse), page, format!("connected | {told_page}")),
        (
            head(json),
            r#"{"error":{"message":"no"}}"#,
            "connected | Provider, Never: no".into(),
        ),
        (
            head(json),
            r#"{"error":{"message":"busy","code":503}}"#,
            "connected | Provider, Backoff: busy (503)".into(),
        ),
        (head(json), whole, "connected | a | 3+5 | Stop".into()),
        (head(sse), whole, "connected | a | 3+5 | Stop".into()),
        (
            head(json),
            &format!("\n\n \r\n{whole}\n"),
            "connected | a | 3+5 | Stop".into(),
        ),
        (
            head(json),
            r#"{"id":7}"#,
            r#"connected | Protocol, Never: the body is neither an answer nor an error: {"id":7}"#
                .into(),
        ),
        (
            head(""),
            &format!("{}{DONE}", text("a")),
            "connected | a | Stop".into(),
        ),
        (
            head(json),
            &format!("{}{DONE}", text("a")),
            "connected | a | Stop".into(),
        ),
        (
            head("content-encoding: gzip\r\n"),
            "\u{1f}",
            "Protocol, Never: the body is compressed (gzip), which was not asked for".into(),
        ),
        (
            head("content-encoding: identity\r\n"),
            &format!("{}{DONE}", text("a")),
            "connected | a | Stop".into(),
        ),
        (
            head(sse),
            "",
            "connected | Protocol, Never: the body is empty".into(),
        ),
        (
            head(sse),
            "\n \n",
            "connected | Protocol, Never: the body is empty".into(),
        ),
        (
            "HTTP/1.1 204 No Content\r\n\r\n".into(),
            "",
            "connected | Protocol, Never: the body is empty".into(),
        ),
    ] {
        let told = guarded(told_of(format!("{head}{body}"))).await;
        assert_eq!(told, expected, "{head}{body}");
    }
}

#[tokio::test]
async fn bytes_that_are_not_utf8_are_a_protocol_error() {
    let bytes = [EVENTS.as_bytes(), text("a").as_bytes(), b"data: \xff\n\n"].concat();
    let told = guarded(told_of(bytes)).await;
    assert_eq!(
        told,
        "connected | a | Protocol, Never: the stream of events is not UTF-8"
    );
}

#[tokio::test]
async fn an_event_larger_than_allowed_is_refused() {
    for (head, body) in [
        (EVENTS, format!("{}data: {}", text("a"), "x".repeat(2000))),
        (
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
            format!("{{{}", " ".repeat(2000)),
        ),
    ] {
        let server = Server::start().await;
        let builder = quell::models::OpenAiChat::builder().base_url(server.url());
        let model = builder.max_event_bytes(1000).build().unwrap();
        let answer = server.answer(format!("{head}{body}"));
        let (told, _) = guarded(async { tokio::join!(told(ask(&model)), answer) }).await;
        assert!(
            told.contains("TooLarge, Never: ") && told.ends_with("is larger than 1000 bytes"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_megabyte_in_one_token_passes_whole() {
    let long = "x".repeat(1 << 20);
    check(
        &format!("{}{DONE}", text(&long)),
        &format!("connected | {long} | Stop"),
    )
    .await;
}

#[test]
fn splits_and_garbage_change_nothing_and_break_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answer = format!(
        ": hi\r\n\r\n{}{}{}{USAGE}{DONE}",
        text("\u{e9}\u{1f30a}").replace('\n', "\r\n"),
        text("b").replace('\n', "\r"),
        finish("stop"),
    );
    let config = ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..Default::default()
    };
    let mut runner = prop::test_runner::TestRunner::new(config);
    let sizes = prop::collection::vec(1usize..40, 1..8);
    let garbage = prop::collection::vec(any::<u8>(), 0..200);
    runner
        .run(&(sizes, garbage), |(sizes, garbage)| {
            let sliced = runtime.block_on(guarded(sliced(answer.as_bytes(), &sizes)));
            prop_assert_eq!(sliced, "connected | \u{e9}\u{1f30a} | b | 3+5 | Stop");
            let bytes = [EVENTS.as_bytes(), &garbage].concat();
            let told = runtime.block_on(guarded(told_of(bytes)));
            prop_assert!(told.starts_with("connected | Protocol"), "{}", told);
            prop_assert!(told.len() < 1024, "{}", told);
            Ok(())
        })
        .unwrap();
}

/// The result of a body that comes in HTTP chunks of these sizes.
async fn sliced(body: &[u8], sizes: &[usize]) -> String {
    let mut bytes = CHUNKED.as_bytes().to_vec();
    let mut rest = body;
    for size in sizes.iter().cycle() {
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
        rest = after;
        if piece.is_empty() {
            break;
        }
    }
    told_of(bytes).await
}
