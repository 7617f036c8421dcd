//! Three models misbehave: one panics, one fails, one falls silent. Each ends its own run only; a fourth run completes.
//!
//!     cargo run --example supervision
//!
//! Rust reports the panic on standard error, as it reports every panic.

#![allow(clippy::print_stdout, reason = "printing is its purpose")]

use std::{error::Error, time::Duration};

use quell::{
    Agent, Outcome, Runtime,
    agent::Limits,
    model::{ModelError, ModelErrorKind},
    sim::Storyteller,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let song = Storyteller::new(&"and the sea ".repeat(10)).pace(Duration::from_millis(20));
    let lost = ModelError::new(ModelErrorKind::Connection, "the line to the model is dead");
    // The last one works as it should, and ends last.
    let models = [
        ("panics", song.clone().panic_at(3)),
        ("fails", song.clone().fail_at(6, lost)),
        ("falls silent", song.clone().stall_at(9)),
        ("sings", song),
    ];
    let patience = Limits {
        silence: Some(Duration::from_secs(1)),
        ..Limits::default()
    };

    let runtime = Runtime::new();
    let mut runs = Vec::new();
    for (name, model) in models {
        let agent = Agent::builder(name, model)
            .limits(patience.clone())
            .build()?;
        runs.push(runtime.start(&agent, "Sing of the sea.").await?);
    }

    for run in runs {
        let outcome = run.outcome().await?;
        let why = match &outcome {
            Outcome::Completed(_) => "it has said all of it".to_owned(),
            Outcome::Cancelled(partial) => partial.receipt.reason.to_string(),
            Outcome::Error(error) => error.message.clone(),
        };
        println!("{}: {} ({why})", run.agent_name(), outcome.status());
        println!("    kept: {:?}", outcome.text());
    }
    Ok(())
}
