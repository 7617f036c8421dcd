//! The meaning of each status other than success.

use crate::support::*;

async fn check(status: &str, headers: &str, body: &str, expected: &str) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n");
    let told = guarded(told_of(format!("{head}{body}"))).await;
    assert_eq!(told, expected, "{status} {headers} {body}");
}

#[tokio::test]
async fn refusals_say_what_the_provider_said_and_whether_to_come_back() {
    for (status, headers, body, expected) in [
        (
            "401 Unauthorized",
            "",
            r#"{"error":{"message":"bad key","code":"invalid_api_key"}}"#,
            "Status(401), Never: 401 Unauthorized: bad key (invalid_api_key)",
        ),
        (
            "400 Bad Request",
            "",
            r#"{"error":{"message":"too long","type":"exceed_context_size_error"}}"#,
            "Status(400), Never: 400 Bad Request: too long (exceed_context_size_error)",
        ),
        (
            "404 Not Found",
            "",
            r#"{"detail":"Not Found"}"#,
            "Status(404), Never: 404 Not Found: Not Found",
        ),
        (
            "404 Not Found",
            "",
            r#"{"error":"model not found"}"#,
            "Status(404), Never: 404 Not Found: model not found",
        ),
        (
            "422 Unprocessable Entity",
            "",
            r#"{"message":"no"}"#,
            "Status(422), Never: 422 Unprocessable Entity: no",
        ),
        (
            "503 Service Unavailable",
            "",
            r#"{"error":{"message":"Loading model","code":503}}"#,
            "Status(503), Backoff: 503 Service Unavailable: Loading model (503)",
        ),
        (
            "529 Overloaded",
            "",
            "",
            "Status(529), Backoff: 529 <unknown status code>",
        ),
        (
            "502 Bad Gateway",
            "content-type: text/html\r\n",
            "<html>\r\n  down",
            "Status(502), Backoff: 502 Bad Gateway: <html> down",
        ),
        (
            "500 Internal Server Error",
            "content-encoding: gzip\r\n",
            "\u{1f}",
            "Status(500), Backoff: 500 Internal Server Error",
        ),
        (
            "429 Too Many Requests",
            "retry-after: 2\r\n",
            r#"{"error":{"message":"slow"}}"#,
            "Status(429), After(2s): 429 Too Many Requests: slow",
        ),
        (
            "429 Too Many Requests",
            "x-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 6m0s\r\n",
            "",
            "Status(429), After(360s): 429 Too Many Requests",
        ),
        (
            "429 Too Many Requests",
            "retry-after: 2\r\n",
            r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#,
            "Status(429), Never: 429 Too Many Requests: pay (insufficient_quota)",
        ),
        (
            "503 Service Unavailable",
            "x-should-retry: false\r\n",
            "",
            "Status(503), Never: 503 Service Unavailable",
        ),
    ] {
        check(status, headers, body, expected).await;
    }
}

#[tokio::test]
async fn a_refusal_of_any_length_is_quoted_in_part() {
    let body = "\u{e9}".repeat(100_000);
    let head = format!(
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let told = guarded(told_of(format!("{head}{body}"))).await;
    assert!(
        told.starts_with("Status(500), Backoff: 500 Internal Server Error: \u{e9}\u{e9}"),
        "{told}"
    );
    assert!(told.ends_with("...") && told.len() < 600, "{told}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = Server::start().await;
        let answer = format!(
            "HTTP/1.1 {status} \r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
            elsewhere.url()
        );
        let told = guarded(told_of(answer)).await;
        assert!(
            told.starts_with(&format!("Status({status}), Never: {status} ")),
            "{told}"
        );
        assert!(told.ends_with("redirects are not followed"), "{told}");
        assert!(elsewhere.untouched());
    }
}
