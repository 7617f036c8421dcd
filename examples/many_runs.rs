//! Starts three hundred runs at once, waits for the two hundred that end by themselves, and cancels the rest in one call.
//!
//!     cargo run --release --example many_runs

#![allow(clippy::print_stdout, reason = "printing is its purpose")]

use std::{error::Error, time::Duration};

use indicatif::ProgressBar;
use quell::{
    Agent, CancelReason, CancelRequest, Outcome, Run, Runtime, error::EventsError, runtime::Scope,
    sim::Storyteller,
};
use tokio::task::JoinSet;

const POEMS: usize = 200;
const NOVELS: usize = 100;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pace = Duration::from_millis(20);
    let poem = Storyteller::new(&"and the sea ".repeat(20)).pace(pace);
    let poet = Agent::new("poet", poem.jitter(0.9));
    let novelist = Agent::new("novelist", Storyteller::endless().pace(pace));

    let runtime = Runtime::new();
    let (mut poems, mut novels) = (JoinSet::new(), JoinSet::new());
    for _ in 0..POEMS {
        poems.spawn(ending(runtime.start(&poet, "Sing of the sea.").await?));
    }
    for _ in 0..NOVELS {
        novels.spawn(ending(
            runtime.start(&novelist, "Begin at the beginning.").await?,
        ));
    }

    let bar = ProgressBar::new((POEMS + NOVELS) as u64);
    let mut summary = Summary::default();
    while let Some(outcome) = poems.join_next().await {
        summary.add(&outcome??);
        bar.inc(1);
    }
    let reason = CancelReason::Because("the poems are told".into());
    let answers = runtime
        .cancel_all(Scope::all().agent("novelist"), CancelRequest::new(reason))
        .await?;
    while let Some(outcome) = novels.join_next().await {
        summary.add(&outcome??);
        bar.inc(1);
    }
    bar.finish_and_clear();

    println!("cancels answered: {}", answers.len());
    println!("completed: {}", summary.completed);
    println!("cancelled: {}", summary.cancelled);
    println!("failed: {}", summary.failed);
    println!("bytes of text kept: {}", summary.bytes);
    println!(
        "slowest cancel, from request to quiet: {:.1?}",
        summary.slowest
    );
    Ok(())
}

async fn ending(run: Run) -> Result<Outcome, EventsError> {
    run.outcome().await
}

#[derive(Default)]
struct Summary {
    completed: usize,
    cancelled: usize,
    failed: usize,
    bytes: usize,
    slowest: Duration,
}

impl Summary {
    fn add(&mut self, outcome: &Outcome) {
        self.bytes += outcome.text().len();
        match outcome {
            Outcome::Completed(_) => self.completed += 1,
            Outcome::Cancelled(partial) => {
                self.cancelled += 1;
                self.slowest = self.slowest.max(partial.receipt.took);
            }
            Outcome::Error(_) => self.failed += 1,
        }
    }
}
