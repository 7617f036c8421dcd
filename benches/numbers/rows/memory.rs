//! Memory: of a live run, and of an event. Each sample is a process of its own, which has nothing to use again.

use std::time::Duration;

use quell::sim::{Gate, Storyteller};

use crate::{
    Result,
    child::Child,
    clocks,
    fleet::{Fleet, threads},
    options::Options,
    samples::{Pairs, Samples, memory},
    stories::{Stories, World},
    table::{Table, Verdict},
};

/// In bytes.
const REACH_RUN: f64 = 16.0 * 1024.0;
const REACH_EVENT: f64 = 64.0;

/// Until what is freed has been freed, and counted.
const SETTLE: Duration = Duration::from_millis(200);

pub(super) fn row(options: &Options, table: &mut Table) -> Result<()> {
    let runs = options.pick(1_000, 10_000).to_string();
    let mut pairs = Pairs::default();
    for _ in 0..options.pairs() {
        let of = |world: World| ask(&["run-memory", world.name(), &runs]);
        pairs.push(of(World::Quell)?, of(World::Control)?);
    }
    let verdict = Verdict::Judged(pairs.quell().median() <= REACH_RUN);
    let what = format!("memory per live run with its reader, beyond its text, {runs} runs");
    table.pairs(what, "<= 16 KiB", &pairs, memory, verdict);

    let (runs, events) = (options.pick(100, 1_000), options.pick(100, 1_000));
    let of = |_| ask(&["event-memory", &runs.to_string(), &events.to_string()]);
    let samples: Samples = (0..options.pairs()).map(of).collect::<Result<_>>()?;
    let verdict = Verdict::Judged(samples.median() <= REACH_EVENT);
    let what = format!("memory per event beyond the bytes of its text, {runs} runs x {events}");
    let cells = [samples.say(memory), "-".into(), "-".into()];
    table.row(what, "<= 64 B", cells, verdict);
    Ok(())
}

/// The one number that a child measures.
fn ask(arguments: &[&str]) -> Result<f64> {
    match &*Child::start(arguments)?.hear()? {
        [number] => Ok(*number),
        other => Err(format!("{arguments:?} is one number, and not {other:?}").into()),
    }
}

/// The child that measures live runs: each has said one word, which is taken off, and is read by a task.
pub(super) fn run_child(arguments: &[&str]) -> Result<()> {
    let [world, runs] = arguments else {
        return Err(format!("not a world and a number of runs: {arguments:?}").into());
    };
    let (world, runs): (World, usize) = (World::named(world)?, runs.parse()?);
    let stories = Stories::Same(Storyteller::endless().pace(Duration::ZERO).stall_at(1));
    let tokio = threads()?;
    // A few first, so that code and what there is once for all runs do not count.
    let few = tokio.block_on(stalled(world, 50, &stories))?;
    let before = clocks::resident()?;
    let fleet = tokio.block_on(stalled(world, runs, &stories))?;
    let after = clocks::resident()?;
    let text = fleet.read().1 as f64;
    println!("{}", (after - before - text) / runs as f64);
    for mut fleet in [few, fleet] {
        tokio.block_on(fleet.cancel_all())?;
    }
    Ok(())
}

async fn stalled(world: World, runs: usize, stories: &Stories) -> Result<Fleet> {
    let fleet = Fleet::telling(world, runs, stories).await?;
    fleet.reach(runs as u64).await?;
    tokio::time::sleep(SETTLE).await;
    Ok(fleet)
}

/// The child that measures events.
pub(super) fn event_child(arguments: &[&str]) -> Result<()> {
    let [runs, events] = arguments else {
        return Err(format!("not numbers of runs and events: {arguments:?}").into());
    };
    let per_event = per_event(runs.parse()?, events.parse()?);
    println!("{}", threads()?.block_on(per_event)?);
    Ok(())
}

/// The runs have said a few words each, and then go on to `events`. Taken off are the bytes of the words and nothing
/// else: what it takes to hold a text apart from its bytes counts as the event's.
async fn per_event(runs: usize, events: u64) -> Result<f64> {
    let gate = Gate::new();
    // Each word is a text of its own, as from a real model.
    let story = Storyteller::endless().gate(&gate).stall_at(events);
    let mut fleet = Fleet::telling(World::Quell, runs, &Stories::Same(story)).await?;
    // One chunk of each run is `Connected`, which is no word.
    gate.let_through(4 * runs);
    fleet.reach(3 * runs as u64).await?;
    tokio::time::sleep(SETTLE).await;

    let (before, read) = (clocks::resident()?, fleet.read());
    gate.open();
    fleet.reach(events * runs as u64).await?;
    tokio::time::sleep(SETTLE).await;
    let (after, read_after) = (clocks::resident()?, fleet.read());

    fleet.cancel_all().await?;
    let text = (read_after.1 - read.1) as f64;
    Ok((after - before - text) / (read_after.0 - read.0) as f64)
}
