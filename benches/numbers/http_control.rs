//! The control over HTTP: the loop that somebody writes who needs no more than the words.

use std::{borrow::Cow, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use reqwest::{Client, header, redirect, retry};
use serde::Deserialize;
use sse_stream::SseByteStream;
use tokio::sync::mpsc::Sender;

use crate::{Result, stories::INPUT};

/// A client that is set as Quell's model sets its own.
pub(crate) fn client() -> Result<Client> {
    let client = Client::builder()
        .http1_only()
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never())
        .connect_timeout(Duration::from_secs(10))
        .user_agent("control")
        .no_proxy();
    Ok(client.build()?)
}

/// One answer of `model` by the server at `url`, word by word. One that fails has no more words, so that whoever counts them
/// finds out.
pub(crate) async fn tell(client: Client, url: Arc<str>, model: String, reader: Sender<Arc<str>>) {
    let _ = try_tell(client, &url, &model, reader).await;
}

async fn try_tell(client: Client, url: &str, model: &str, reader: Sender<Arc<str>>) -> Result<()> {
    let body = serde_json::json!({
        "model": model,
        "messages": [{"role": "user", "content": INPUT}],
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    let request = client
        .post(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "text/event-stream")
        .body(body.to_string());
    let response = request.send().await?.error_for_status()?;
    let mut events = pin!(SseByteStream::new(response.bytes_stream()));
    while let Some(event) = events.next().await {
        let Some(data) = event?.data else { continue };
        if data == "[DONE]" {
            break;
        }
        let piece: Piece<'_> = serde_json::from_str(&data)?;
        for choice in piece.choices {
            if let Some(text) = choice.delta.content {
                reader.send(text.into()).await?;
            }
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Delta<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<Cow<'a, str>>,
}
