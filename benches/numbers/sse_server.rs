//! A server that streams words as OpenAI does, 50 a second on each connection and without an end. A process of its
//! own, so that what it costs is not counted; the little HTTP it speaks is written by hand, so that it costs little.
//!
//! It says when it saw a connection closed, if the model that was asked for has a number for its name.
//!
//! Two sides are connected at a time, told apart by the first part of their paths, and served in turns.

use std::{io::stdin, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    select,
    sync::watch,
    time::{Instant, interval_at},
};

use crate::{Result, clocks};

/// Words a second on one connection.
pub(crate) const RATE: u32 = 50;

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// The child: says its port, then streams to the side it was last told, and ends when its stdin does.
pub(crate) fn child() -> Result<()> {
    let (tell, turn) = watch::channel(String::new());
    std::thread::spawn(move || {
        for side in stdin().lines().map_while(std::io::Result::ok) {
            let _ = tell.send(side);
        }
        std::process::exit(0);
    });
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio.block_on(serve(turn))
}

async fn serve(turn: watch::Receiver<String>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let chunk = chunk();
    for number in 0u32.. {
        let (socket, _) = listener.accept().await?;
        let (turn, chunk) = (turn.clone(), chunk.clone());
        // A client that leaves is nothing to speak of.
        tokio::spawn(async move { answer(socket, number, turn, &chunk).await.ok() });
    }
    Ok(())
}

/// One event as a chunk of HTTP.
fn chunk() -> Vec<u8> {
    let event = concat!(
        r#"data: {"id":"chatcmpl-8f2a1b9c3d4e5f60718293a4b5c6d7e8","object":"chat.completion.chunk","#,
        r#""created":1780000000,"model":"sim","system_fingerprint":"fp_0123456789","#,
        r#""choices":[{"index":0,"delta":{"content":" lighthouse"},"logprobs":null,"finish_reason":null}]}"#,
        "\n\n"
    );
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}

async fn answer(
    mut socket: TcpStream,
    number: u32,
    turn: watch::Receiver<String>,
    chunk: &[u8],
) -> Result<()> {
    socket.set_nodelay(true)?;
    // The requests here are small, and their end is the end of their JSON.
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        if socket.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let request = String::from_utf8(request)?;
    let side = request.split('/').nth(1).unwrap_or_default();
    let (mut input, output) = socket.split();
    select! {
        biased;
        () = closed(&mut input) => {}
        _ = tell(output, side, number, turn, chunk) => {}
    }
    let seen = clocks::moment().as_secs_f64();
    if let Some(model) = numbered(&request) {
        println!("{model} {seen}");
    }
    Ok(())
}

/// Waits until a client that has nothing more to say has left.
async fn closed(input: &mut ReadHalf<'_>) {
    while let Ok(1..) = input.read(&mut [0; 64]).await {}
}

/// The number that is the name of the model that was asked for.
fn numbered(request: &str) -> Option<u32> {
    let (_, body) = request.split_once("\r\n\r\n")?;
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    body["model"].as_str()?.parse().ok()
}

/// Streams whenever it is this side's turn.
async fn tell(
    mut socket: WriteHalf<'_>,
    side: &str,
    number: u32,
    mut turn: watch::Receiver<String>,
    chunk: &[u8],
) -> Result<()> {
    socket.write_all(HEAD).await?;
    // One word at once, which tells the client that it is connected.
    socket.write_all(chunk).await?;
    let period = Duration::from_secs(1) / RATE;
    loop {
        turn.wait_for(|turn| turn == side).await?;
        // Spread over the period, as clients that came at different times would be.
        let first = Instant::now() + period * (number * 7 % RATE) / RATE;
        let mut words = interval_at(first, period);
        while *turn.borrow() == side {
            words.tick().await;
            socket.write_all(chunk).await?;
        }
    }
}
