//! Cancelling everything at once.

use std::time::Duration;

use quell::sim::Storyteller;

use crate::{
    Result,
    fleet::{Fleet, threads},
    options::Options,
    samples::{Pairs, time},
    stories::{Stories, World},
    table::{Table, Verdict},
};

/// In seconds.
const REACH: f64 = 1.0;

pub(super) fn row(options: &Options, table: &mut Table) -> Result<()> {
    let tokio = threads()?;
    let runs = options.pick(1_000, 10_000);
    let sample = |world| tokio.block_on(until_ended(world, runs));
    let mut pairs = Pairs::default();
    for _ in 0..options.pairs() {
        pairs.push(sample(World::Quell)?, sample(World::Control)?);
    }
    // Not the median: it is a limit, and the worst has to keep it.
    let verdict = Verdict::Judged(pairs.quell().max() <= REACH);
    let what = format!("cancel all of {runs} runs, until every reader has seen the end");
    table.pairs(what, "<= 1 s", &pairs, time, verdict);
    Ok(())
}

/// In seconds.
async fn until_ended(world: World, runs: usize) -> Result<f64> {
    let pace = Duration::from_secs(1);
    let story = Storyteller::endless().pace(pace).jitter(1.0);
    let mut fleet = Fleet::telling(world, runs, &Stories::Own(story)).await?;
    fleet.reach(runs as u64 / 4).await?;
    Ok(fleet.cancel_all().await?.as_secs_f64())
}
