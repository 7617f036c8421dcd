//! One task reads a run's stream, another cancels the run by its id, and the program prints a report.
//!
//!     cargo run --example cancel_run

#![allow(clippy::print_stdout, reason = "printing is its purpose")]

use std::{
    error::Error,
    io::{self, Write},
    time::Duration,
};

use quell::{Agent, EventKind, Outcome, Run, RunId, Runtime, sim::Storyteller};

type Failure = Box<dyn Error + Send + Sync>;

const PROMPT: &str = "Write a very long story about a dragon who learns to code.";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // With a key in the environment, `OpenAiChat::from_env()?.model("gpt-5-mini")` tells a better story.
    let agent = Agent::builder("Storyteller", Storyteller::endless().seed(6))
        .description("An agent that writes detailed stories")
        .build()?;
    let runtime = Runtime::new();
    let run = runtime.start(&agent, PROMPT).await?;

    let reader = tokio::spawn(read(run.clone()));
    let canceller = tokio::spawn(cancel_after(runtime, run.id(), Duration::from_secs(2)));
    let outcome = reader.await??;
    canceller.await?;

    println!("\nstatus: {}", outcome.status());
    println!("run id: {}", run.id());
    println!(
        "was cancelled: {}",
        matches!(outcome, Outcome::Cancelled(_))
    );
    println!("content preview: {:.60}...", outcome.text());
    Ok(())
}

/// Prints the run's text as it comes, and returns how the run ended.
async fn read(run: Run) -> Result<Outcome, Failure> {
    let mut events = run.events();
    while let Some(event) = events.next().await {
        match event?.kind {
            EventKind::Content { text } => {
                print!("{text}");
                // Standard output is line-buffered: without a flush the text appears only at the end of a line.
                io::stdout().flush()?;
            }
            EventKind::Cancelled { partial } => {
                println!("\n\n{} was cancelled: {}", run.id(), partial.receipt.reason);
            }
            _ => {}
        }
    }
    Ok(run.outcome().await?)
}

/// Cancels by id alone, which is all that a server has from a request.
async fn cancel_after(runtime: Runtime, run: RunId, delay: Duration) {
    tokio::time::sleep(delay).await;
    let answer = runtime.cancel(run).await;
    println!("\n\ncancel was accepted: {}", answer.is_accepted());
}
