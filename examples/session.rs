//! Two runs of a session: the second knows what the first said. More runs are started while the session is busy.
//!
//!     cargo run --example session

#![allow(clippy::print_stdout, reason = "printing is its purpose")]

use std::error::Error;

use futures::{Stream, stream};
use quell::{
    Agent, Model, NewRun, Outcome, Runtime,
    message::Message,
    model::{ModelChunk, ModelError, ModelRequest},
    outcome::FinishReason,
    runtime::WhenBusy,
    sim::Storyteller,
    store::RunQuery,
};

/// A model that repeats the last question and counts the messages it was given.
struct Echo;

impl Model for Echo {
    fn stream(
        &self,
        request: ModelRequest,
    ) -> impl Stream<Item = Result<ModelChunk, ModelError>> + Send + 'static {
        let asked = request.messages.last().map_or("nothing", Message::text);
        let before = request.messages.len().saturating_sub(1);
        let said = format!("You say {asked:?}, and I remember {before} messages.");
        stream::iter([
            Ok(ModelChunk::Connected),
            Ok(ModelChunk::Text(said.into())),
            Ok(ModelChunk::Finished(FinishReason::Stop)),
        ])
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::new();
    let (echo, singer) = (
        Agent::new("echo", Echo),
        Agent::new("singer", Storyteller::endless()),
    );
    let say = |words: &str| NewRun::new(words).session("harbour");

    for words in ["My name is Ann.", "What is my name?"] {
        let run = runtime.start(&echo, say(words)).await?;
        println!("echo: {}", run.outcome().await?.text());
    }

    // This run keeps the session busy until it is cancelled.
    let song = runtime.start(&singer, say("Sing.")).await?;
    let refused = runtime.start(&echo, say("May I?").when_busy(WhenBusy::Reject));
    match refused.await {
        Ok(_) => println!("rejected: no"),
        Err(error) => println!("rejected: {error}"),
    }
    let beside = runtime.start(&echo, say("Over here!").when_busy(WhenBusy::Parallel));
    println!("beside it: {}", beside.await?.outcome().await?.text());

    // The default: the run waits until the session is free.
    let waits = runtime.start(&echo, say("And now?")).await?;
    println!("waits: {}", waits.status());
    let comes_first = say("Stop that.").when_busy(WhenBusy::Interrupt);
    let comes_first = runtime.start(&echo, comes_first).await?;
    if let Outcome::Cancelled(partial) = song.outcome().await? {
        println!("singer: cancelled ({})", partial.receipt.reason);
    }
    println!("came first: {}", comes_first.outcome().await?.text());
    println!("waited: {}", waits.outcome().await?.text());

    let runs = runtime.runs(RunQuery::session("harbour")).await?;
    println!("runs of the session: {}", runs.len());
    Ok(())
}
