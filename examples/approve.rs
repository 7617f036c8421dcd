//! A tool whose calls a person must approve: the run pauses, outlives its program, and continues once the person decides.
//!
//!     cargo run --example approve

#![allow(clippy::print_stdout, reason = "printing is its purpose")]

use std::{env, error::Error, fs, path::Path};

use quell::{
    Agent, EventKind, RunId, Runtime, ToolContext, runtime::Decisions, sim::Storyteller,
    store::RunQuery, stores::SqliteStore, tool,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize, JsonSchema)]
struct Payment {
    to: String,
    euros: u32,
}

fn clerk() -> Result<Agent, Box<dyn Error>> {
    let model = Storyteller::new("That is settled.")
        .calling("pay", json!({ "to": "the baker", "euros": 4 }))
        .calling("pay", json!({ "to": "the gambler", "euros": 4000 }));
    let pay = tool::from_fn(
        "pay",
        "Pays somebody.",
        |payment: Payment, _: ToolContext| async move {
            Ok(format!("{} has {} euros more", payment.to, payment.euros))
        },
    );
    Ok(Agent::builder("clerk", model).tool(pay.confirm()).build()?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::temp_dir().join(format!("quell-{}", RunId::new()));
    fs::create_dir(&folder)?;
    let file = folder.join("runs.db");
    ask(&file).await?;
    println!("-- the program ends, and is started again --");
    decide(&file).await?;
    Ok(fs::remove_dir_all(&folder)?)
}

/// Starts the run and leaves it once it is paused.
async fn ask(file: &Path) -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open(file)?;
    let (runtime, _) = Runtime::builder().open(store.clone()).await?;
    let run = runtime.start(&clerk()?, "Pay what is due.").await?;
    let mut events = run.events();
    while let Some(event) = events.next().await {
        if let EventKind::Paused(paused) = event?.kind {
            println!("paused: {} calls wait for a person", paused.calls.len());
            break;
        }
    }
    store.close().await;
    Ok(())
}

/// Finds the paused run, decides on its calls, and reads the run to its end.
async fn decide(file: &Path) -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open(file)?;
    let builder = Runtime::builder().agent(&clerk()?);
    let (runtime, _) = builder.open(store.clone()).await?;
    let waiting = runtime.runs(RunQuery::unfinished()).await?;
    println!("waiting: {}", waiting.len());
    let run = runtime.get(waiting[0].run_id).await?.ok_or("it is gone")?;
    let mut events = run.events();
    while let Some(event) = events.next().await {
        match event?.kind {
            EventKind::Paused(paused) => {
                let mut decided = Decisions::new().by("ann");
                for waiting in &paused.calls {
                    let call = &waiting.call;
                    decided = match call.arguments.contains("gambler") {
                        true => decided.reject(call.id.clone(), "He is not to have any."),
                        false => decided.approve(call.id.clone()),
                    };
                }
                runtime.continue_run(run.id(), decided).await?;
            }
            EventKind::ToolCallCompleted(done) => println!("done: {}", done.output),
            EventKind::ToolCallError(failed) => println!("not done: {}", failed.error),
            EventKind::Completed { reply } => println!("clerk: {}", reply.text),
            _ => {}
        }
    }
    store.close().await;
    Ok(())
}
