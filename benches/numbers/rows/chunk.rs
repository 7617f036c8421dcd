//! What one chunk costs, with a model that always has the next one.

use std::time::Duration;

use quell::sim::Storyteller;

use crate::{
    Result, clocks,
    fleet::{Fleet, threads},
    options::Options,
    samples::{Pairs, time},
    stories::{Stories, World},
    table::{Table, Verdict},
};

/// In seconds.
const REACH: f64 = 1e-6;

/// All runs are there before the first of them speaks.
const SILENCE: Duration = Duration::from_millis(200);

pub(super) fn row(options: &Options, table: &mut Table) -> Result<()> {
    let tokio = threads()?;
    let runs = options.pick(100, 1_000);
    let words = options.pick(100, 2_000) * runs;
    let sample = |world| tokio.block_on(per_chunk(world, runs, words as u64));
    // The first samples find a cold heap, which a program that has run for a while has not.
    for world in World::BOTH {
        sample(world)?;
    }
    let mut pairs = Pairs::default();
    for _ in 0..options.pairs() {
        pairs.push(sample(World::Quell)?, sample(World::Control)?);
    }
    let verdict = Verdict::Judged(pairs.quell().median() <= REACH);
    let what = format!("CPU per chunk, simulated model, {runs} runs");
    table.pairs(what, "<= 1 us", &pairs, time, verdict);
    Ok(())
}

/// The CPU time of one chunk in seconds, over `words` words of `runs` runs that have all begun to speak.
async fn per_chunk(world: World, runs: usize, words: u64) -> Result<f64> {
    let story = Storyteller::endless()
        .pace(Duration::ZERO)
        .first_word_after(SILENCE);
    let mut fleet = Fleet::telling(world, runs, &Stories::Own(story)).await?;
    fleet.reach(20 * runs as u64).await?;

    let (before, read) = (clocks::cpu(), fleet.read().0);
    fleet.reach(read + words).await?;
    let (after, read_after) = (clocks::cpu(), fleet.read().0);

    fleet.cancel_all().await?;
    Ok((after - before).as_secs_f64() / (read_after - read) as f64)
}
