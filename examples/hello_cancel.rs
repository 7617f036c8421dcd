//! Starts a run, prints it as it streams, and cancels it after three seconds.
//!
//!     cargo run --example hello_cancel

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is its purpose"
)]

use std::{error::Error, time::Duration};

use quell::{Agent, EventKind, Runtime, sim::Storyteller};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let poet = Agent::new("poet", Storyteller::new(&"and the sea ".repeat(99)));
    let run = Runtime::new().start(&poet, "Sing of the sea.").await?;

    let stop = run.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(3)).await;
        stop.cancel().await
    });

    let mut events = run.events();
    while let Some(event) = events.next().await {
        match event?.kind {
            EventKind::Content { text } => eprint!("{text}"),
            EventKind::Cancelled { partial } => println!("\n[kept] {}", partial.text),
            _ => {}
        }
    }
    Ok(())
}
