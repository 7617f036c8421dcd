//! An agent with one tool.
//!
//!     cargo run --example tool

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is its purpose"
)]

use std::{error::Error, time::Duration};

use quell::{
    Agent, EventKind, Outcome, Runtime, Tool, ToolContext, sim::Storyteller, tool::ToolError,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

struct Forecast;

#[derive(Deserialize, JsonSchema)]
struct Place {
    /// Name of a city, as a person would write it.
    city: String,
}

#[derive(Serialize)]
struct Weather {
    celsius: f32,
}

impl Tool for Forecast {
    const NAME: &'static str = "forecast";
    const ABOUT: &'static str = "Tomorrow's weather in one city.";
    type Input = Place;
    type Output = Weather;

    async fn call(&self, place: Place, _: ToolContext) -> Result<Weather, ToolError> {
        Ok(Weather {
            celsius: if place.city == "Oslo" { -3.0 } else { 21.0 },
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The simulated model calls the tool, and says its text once it has the result.
    let model = Storyteller::new("Take a coat.").calling("forecast", json!({ "city": "Oslo" }));

    let agent = Agent::builder("forecaster", model)
        .instructions("Answer in one sentence.")
        .tool(Forecast)
        .max_turns(6)
        .deadline(Duration::from_secs(60))
        .build()?;

    let run = Runtime::new().start(&agent, "Oslo tomorrow?").await?;
    let mut events = run.events();
    while let Some(event) = events.next().await {
        match event?.kind {
            EventKind::ToolCallStarted(call) => println!("[{}] {}", call.name, call.arguments),
            EventKind::ToolCallCompleted(done) => println!("[result] {}", done.output),
            EventKind::ToolCallError(failed) => println!("[failed] {}", failed.error),
            _ => {}
        }
    }
    match run.outcome().await? {
        Outcome::Completed(reply) => println!("{}", reply.text),
        Outcome::Cancelled(partial) => println!("{} [cut short]", partial.text),
        Outcome::Error(error) => eprintln!("{error}"),
    }
    Ok(())
}
