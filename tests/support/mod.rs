//! A server whose bytes a test writes itself, over a real socket.

#![allow(dead_code, unreachable_pub)] // Each test binary uses its own part.
#![allow(clippy::unwrap_used)]

use std::{fmt::Write as _, time::Duration};

use futures::{Stream, StreamExt};
use quell::{
    Model,
    message::Message,
    model::{ModelChunk, ModelError, ModelRequest},
    models::OpenAiChat,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The head of a response that is a stream of events and ends with the connection.
pub const EVENTS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// The same for a response that leaves the connection open for another.
pub const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// A server on a port of its own.
pub struct Server(TcpListener);

impl Server {
    pub async fn start() -> Server {
        Server(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// `http://127.0.0.1:<port>/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.0.local_addr().unwrap())
    }

    /// A model that asks this server.
    pub fn model(&self) -> OpenAiChat {
        OpenAiChat::builder().base_url(self.url()).build().unwrap()
    }

    pub async fn accept(&self) -> Peer {
        Peer(self.0.accept().await.unwrap().0)
    }

    /// Accepts a connection and reads a request.
    pub async fn request(&self) -> (Peer, Request) {
        let mut peer = self.accept().await;
        let request = peer.request().await;
        (peer, request)
    }

    /// Answers one request with these bytes, then ends the connection.
    pub async fn answer(&self, bytes: impl AsRef<[u8]>) -> Request {
        let (mut peer, request) = self.request().await;
        // The client may have closed the connection, which is not an error here.
        let _ = peer.0.write_all(bytes.as_ref()).await;
        let _ = peer.0.shutdown().await;
        request
    }

    /// Whether no client has connected.
    pub fn untouched(self) -> bool {
        let listener = self.0.into_std().unwrap();
        listener.accept().is_err()
    }
}

/// A request as received.
#[derive(Debug)]
pub struct Request {
    /// Request line and headers.
    pub head: String,
    pub body: String,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// The server's end of a connection.
pub struct Peer(TcpStream);

impl Peer {
    pub async fn request(&mut self) -> Request {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
                break at + 4;
            }
            assert_ne!(
                self.0.read_buf(&mut bytes).await.unwrap(),
                0,
                "no request came"
            );
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut request = Request {
            head,
            body: String::new(),
        };
        let length = request
            .header("content-length")
            .map_or(0, |n| n.parse().unwrap());
        while bytes.len() < end + length {
            assert_ne!(
                self.0.read_buf(&mut bytes).await.unwrap(),
                0,
                "half a request came"
            );
        }
        request.body = String::from_utf8(bytes[end..].to_vec()).unwrap();
        request
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends one piece of a chunked body; an empty one is its end.
    pub async fn send_chunk(&mut self, text: &str) {
        self.send(format!("{:x}\r\n{text}\r\n", text.len())).await;
    }

    /// Sends the same until the client has closed its end.
    pub async fn send_for_ever(&mut self, bytes: &str) {
        while self.0.write_all(bytes.as_bytes()).await.is_ok() {}
    }

    /// Whether the client writes anything before it closes its end.
    pub async fn has_request(&mut self) -> bool {
        matches!(self.0.peek(&mut [0]).await, Ok(1))
    }

    /// Waits until the client has closed its end.
    pub async fn closed(&mut self) {
        let mut bytes = [0; 64];
        // A reset is a close as well.
        while self.0.read(&mut bytes).await.unwrap_or(0) > 0 {}
    }

    /// Resets the connection.
    pub fn reset(self) {
        self.0.set_zero_linger().unwrap();
    }
}

/// The text of an event with one piece of an answer.
pub fn text(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

/// The text of an event with a finish reason.
pub fn finish(reason: &str) -> String {
    format!("data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"{reason}\"}}]}}\n\n")
}

pub const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5}}\n\n";
pub const DONE: &str = "data: [DONE]\n\n";

pub type Item = Result<ModelChunk, ModelError>;

/// Sends a model a fixed request.
pub fn ask(model: &impl Model) -> impl Stream<Item = Item> + Send + Unpin + 'static {
    let request = ModelRequest::new([Message::system("be brief"), Message::user("hello")]);
    Box::pin(model.stream(request))
}

/// All items of a stream, in short form.
pub async fn told(stream: impl Stream<Item = Item>) -> String {
    let items: Vec<Item> = stream.collect().await;
    let mut told = String::new();
    for item in items {
        let separator = if told.is_empty() { "" } else { " | " };
        let _ = match item {
            Ok(ModelChunk::Connected) => write!(told, "{separator}connected"),
            Ok(ModelChunk::Text(text)) => write!(told, "{separator}{text}"),
            Ok(ModelChunk::Usage(usage)) => {
                let (input, output) = (usage.input_tokens.unwrap(), usage.output_tokens.unwrap());
                write!(told, "{separator}{input}+{output}")
            }
            Ok(ModelChunk::Finished(reason)) => write!(told, "{separator}{reason:?}"),
            Ok(other) => write!(told, "{separator}{other:?}"),
            Err(error) => {
                let (kind, retry) = (error.kind, error.retry);
                write!(told, "{separator}{kind:?}, {retry:?}: {}", error.message)
            }
        };
    }
    told
}

/// What a model makes of these bytes from a server, without the address.
pub async fn told_of(bytes: impl AsRef<[u8]>) -> String {
    let server = Server::start().await;
    let model = server.model();
    let (told, _) = tokio::join!(told(ask(&model)), server.answer(bytes));
    told.replace(&format!("POST {}/chat/completions: ", server.url()), "")
}

/// Runs a test with a time limit.
pub async fn guarded<T>(test: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, test)
        .await
        .expect("the test hangs")
}
