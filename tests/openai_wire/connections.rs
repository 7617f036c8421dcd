//! How connections are used and how they fail.

use std::time::Duration;

use futures::StreamExt;
use quell::{model::ModelChunk, models::OpenAiChat};

use crate::support::*;

#[tokio::test]
async fn two_streams_that_are_not_read_do_not_stall_a_third() {
    guarded(async {
        let server = Server::start().await;
        let model = server.model();
        let flood = format!("{EVENTS}{}", text(&"x".repeat(1000)).repeat(10_000));
        let mut unread = Vec::new();
        for _ in 0..2 {
            let mut stream = ask(&model);
            let (first, (mut peer, _)) = tokio::join!(stream.next(), async {
                let (mut peer, request) = server.request().await;
                peer.send(EVENTS).await;
                (peer, request)
            });
            assert_eq!(first, Some(Ok(ModelChunk::Connected)));
            let flood = flood.clone();
            // More than all buffers can hold, so this waits for a reader.
            let flood = tokio::spawn(async move { peer.send(&flood[EVENTS.len()..]).await });
            unread.push((stream, flood));
        }
        let answer = server.answer(format!("{EVENTS}{}{DONE}", text("a").repeat(1000)));
        let (told, _) = tokio::join!(told(ask(&model)), answer);
        assert_eq!(told, format!("connected{} | Stop", " | a".repeat(1000)));
        assert!(unread.iter().all(|(_, flood)| !flood.is_finished()));
        unread.iter().for_each(|(_, flood)| flood.abort());
    })
    .await;
}

#[tokio::test]
async fn a_connection_is_used_again_after_an_answer_and_after_a_refusal() {
    guarded(async {
        let server = Server::start().await;
        let model = server.model();
        let serve = async {
            let (mut peer, _) = server.request().await;
            peer.send(CHUNKED).await;
            peer.send_chunk(&format!("{}{}", text("a"), finish("stop")))
                .await;
            peer.send_chunk(USAGE).await;
            peer.send_chunk(DONE).await;
            peer.send_chunk("").await;
            peer.request().await;
            peer.send("HTTP/1.1 400 no\r\ncontent-length: 2\r\n\r\nno")
                .await;
            peer.request().await;
            peer.send(CHUNKED).await;
            peer.send_chunk(&format!("{}{DONE}", text("c"))).await;
            peer.send_chunk("").await;
        };
        let ask_thrice = async {
            assert_eq!(told(ask(&model)).await, "connected | a | 3+5 | Stop");
            assert!(told(ask(&model)).await.starts_with("Status(400)"));
            assert_eq!(told(ask(&model)).await, "connected | c | Stop");
        };
        tokio::join!(serve, ask_thrice);
        assert!(server.untouched(), "a second connection was made");
    })
    .await;
}

#[tokio::test]
async fn what_follows_a_finish_is_read_for_a_bounded_time_and_length() {
    guarded(async {
        let whole = format!("{EVENTS}{}{}", text("a"), finish("stop"));
        // Nothing more comes, and the connection stays open.
        let server = Server::start().await;
        let model = server.model();
        let serve = async {
            let (mut peer, _) = server.request().await;
            peer.send(&whole).await;
            peer.closed().await;
        };
        let (told_of_silence, ()) = tokio::join!(told(ask(&model)), serve);
        assert_eq!(told_of_silence, "connected | a | Stop");
        // The response never ends.
        let serve = async {
            let (mut peer, _) = server.request().await;
            peer.send(&whole).await;
            peer.send_for_ever(": nothing\n\n").await;
        };
        let (told_of_noise, ()) = tokio::join!(told(ask(&model)), serve);
        assert_eq!(told_of_noise, "connected | a | Stop");
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_finish_breaks_nothing() {
    guarded(async {
        let server = Server::start().await;
        let model = server.model();
        let mut stream = ask(&model);
        let serve = async {
            let (mut peer, _) = server.request().await;
            peer.send(CHUNKED).await;
            peer.send_chunk(&format!("{}{}", text("a"), finish("stop")))
                .await;
            peer
        };
        let ((connected, first), peer) =
            tokio::join!(async { (stream.next().await, stream.next().await) }, serve);
        assert_eq!(connected, Some(Ok(ModelChunk::Connected)));
        assert_eq!(first, Some(Ok(ModelChunk::Text("a".into()))));
        peer.reset();
        assert_eq!(told(stream).await, "Stop");
    })
    .await;
}

#[tokio::test]
async fn a_broken_connection_may_be_retried_until_something_was_said() {
    guarded(async {
        for (bytes, expected) in [
            (String::new(), "Connection, Backoff: "),
            ("HTTP/1.1 200 O".into(), "Connection, Backoff: "),
            (CHUNKED.into(), "connected | Connection, Backoff: "),
            (
                format!("{CHUNKED}5\r\n: hi\n"),
                "connected | Connection, Backoff: ",
            ),
            (
                format!("{CHUNKED}{:x}\r\n{}\r\n", text("a").len(), text("a")),
                "connected | a | Connection, Never: ",
            ),
            (
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{}",
                    text("a")
                ),
                "connected | a | Connection, Never: ",
            ),
        ] {
            let told = told_of(&bytes).await;
            assert!(told.starts_with(expected), "{bytes:?}: {told}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_silent_server_is_left_after_the_read_timeout() {
    guarded(async {
        let server = Server::start().await;
        let builder = OpenAiChat::builder().base_url(server.url());
        let model = builder
            .read_timeout(Duration::from_millis(300))
            .build()
            .unwrap();
        let place = format!("POST {}/chat/completions", server.url());
        let error = |retry| format!("Connection, {retry}: {place}: nothing came for 300ms");
        for (bytes, expected) in [
            // No head; no body; only a comment; only some text.
            (String::new(), error("Backoff")),
            (EVENTS.into(), format!("connected | {}", error("Backoff"))),
            (
                format!("{EVENTS}: hi\n\n"),
                format!("connected | {}", error("Backoff")),
            ),
            (
                format!("{EVENTS}{}", text("a")),
                format!("connected | a | {}", error("Never")),
            ),
        ] {
            let serve = async {
                let (mut peer, _) = server.request().await;
                peer.send(&bytes).await;
                peer.closed().await;
            };
            let (told, ()) = tokio::join!(told(ask(&model)), serve);
            assert_eq!(told, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_sent_before_the_stream_is_polled() {
    let server = Server::start().await;
    let model = server.model();
    drop(ask(&model));
    assert!(server.untouched());
}
