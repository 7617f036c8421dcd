//! Dropping the stream closes the connection, at any point of the answer.

use std::task::Poll;

use futures::{FutureExt, StreamExt};
use quell::model::ModelChunk;

use crate::support::*;

/// Reads `read` items of an answer of which the server has sent `bytes`, drops the stream, and waits until the server
/// sees the connection closed.
async fn dropped_after(bytes: &str, read: usize) {
    guarded(async {
        let server = Server::start().await;
        let model = server.model();
        let mut stream = ask(&model);
        let (_, mut peer) = tokio::join!(
            async {
                for _ in 0..read {
                    assert!(matches!(stream.next().await, Some(Ok(_))), "{bytes}");
                }
            },
            async {
                let (mut peer, _) = server.request().await;
                peer.send(bytes).await;
                peer
            }
        );
        drop(stream);
        peer.closed().await;
    })
    .await;
}

#[tokio::test]
async fn a_stream_dropped_once_it_is_connected_closes_the_connection() {
    let calls = r#"data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]}}]}"#;
    for (body, read) in [
        // No token yet, mid-token, between tokens, between pieces of a call, mid-event.
        (String::new(), 1),
        (": hi\n\n".into(), 1),
        (text("a"), 2),
        (format!("{}data: {{\"cho", text("a")), 2),
        (format!("{calls}\n\n"), 2),
        // After the finish reason, before [DONE].
        (format!("{}{}", text("a"), finish("stop")), 2),
    ] {
        dropped_after(&format!("{EVENTS}{body}"), read).await;
        // Also if the connection could be reused.
        let chunk = if body.is_empty() {
            String::new()
        } else {
            format!("{:x}\r\n{body}\r\n", body.len())
        };
        dropped_after(&format!("{CHUNKED}{chunk}"), read).await;
    }
}

#[tokio::test]
async fn a_stream_dropped_while_it_waits_for_the_head_closes_the_connection() {
    for sent in ["", "HTTP/1.1 200 O"] {
        guarded(async {
            let server = Server::start().await;
            let model = server.model();
            let mut stream = ask(&model);
            let serve = async {
                let (mut peer, _) = server.request().await;
                peer.send(sent).await;
                peer
            };
            let mut peer = tokio::select! {
                item = stream.next() => panic!("{item:?}"),
                peer = serve => peer,
            };
            drop(stream);
            peer.closed().await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_stream_dropped_while_it_connects_leaves_nothing_behind() {
    guarded(async {
        let server = Server::start().await;
        let model = server.model();
        let mut stream = ask(&model);
        // One poll starts the connection; nothing has been written yet.
        assert!(stream.next().now_or_never().is_none());
        drop(stream);
        // The connection, if there is one, is closed without a request.
        let mut next = ask(&model);
        let first = std::future::poll_fn(|cx| Poll::Ready(next.poll_next_unpin(cx))).await;
        assert!(first.is_pending());
        let (told, ()) = tokio::join!(told(next), async {
            loop {
                let mut peer = server.accept().await;
                if peer.has_request().await {
                    peer.send(format!("{EVENTS}{}{DONE}", text("b"))).await;
                    break;
                }
            }
        });
        assert_eq!(told, "connected | b | Stop");
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_has_finished_or_failed_holds_no_connection() {
    guarded(async {
        for (body, last) in [
            (finish("stop"), "finish"),
            ("data: {\n\n".to_owned(), "error"),
        ] {
            let server = Server::start().await;
            let model = server.model();
            let mut stream = ask(&model);
            let serve = async {
                let (mut peer, _) = server.request().await;
                peer.send(format!("{EVENTS}{body}")).await;
                peer.closed().await;
            };
            let read = async {
                loop {
                    match stream.next().await.unwrap() {
                        Ok(ModelChunk::Finished(_)) => break "finish",
                        Ok(_) => {}
                        Err(_) => break "error",
                    }
                }
            };
            let (ended, ()) = tokio::join!(read, serve);
            assert_eq!(ended, last);
            // The stream is still alive, and at its end.
            assert_eq!(stream.next().await, None);
        }
    })
    .await;
}
