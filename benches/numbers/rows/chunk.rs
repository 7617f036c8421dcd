//! What one chunk costs, with a model that always has the next one.

use std::time::Duration;

use quell::{
    Agent,
    ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent},
    sim::Storyteller,
};

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

/// The price of waiting by the mailbox: Quell's linked runs, beside its own.
pub(super) fn linked(options: &Options, table: &mut Table) -> Result<()> {
    let tokio = threads()?;
    let runs = options.pick(100, 1_000);
    let words = (options.pick(100, 2_000) * runs) as u64;
    let linked = || tokio.block_on(per_linked_chunk(runs, words));
    let own = || tokio.block_on(per_chunk(World::Quell, runs, words));
    // As above.
    linked()?;
    own()?;
    let mut pairs = Pairs::default();
    for _ in 0..options.pairs() {
        pairs.push(linked()?, own()?);
    }
    let what = format!("CPU per chunk of {runs} linked runs; control: the runtime's own runs");
    table.pairs(what, "stated", &pairs, time, Verdict::Stated);
    Ok(())
}

/// The CPU time of one chunk in seconds, over `words` words of `runs` runs that have all begun to speak.
async fn per_chunk(world: World, runs: usize, words: u64) -> Result<f64> {
    cost(Fleet::telling(world, runs, &stories()).await?, runs, words).await
}

/// The same, of runs that are linked under an actor of somebody else.
async fn per_linked_chunk(runs: usize, words: u64) -> Result<f64> {
    let (supervisor, done) = Actor::spawn(None, Foreign, ()).await?;
    let stories = stories();
    let agent = |number| Agent::new("storyteller", stories.number(number));
    let fleet = Fleet::quell(runs, Some(supervisor.get_cell()), agent).await?;
    let cost = cost(fleet, runs, words).await;
    supervisor.stop(None);
    done.await?;
    cost
}

fn stories() -> Stories {
    let story = Storyteller::endless().pace(Duration::ZERO);
    Stories::Own(story.first_word_after(SILENCE))
}

async fn cost(mut fleet: Fleet, runs: usize, words: u64) -> Result<f64> {
    fleet.reach(20 * runs as u64).await?;

    let (before, read) = (clocks::cpu(), fleet.read().0);
    fleet.reach(read + words).await?;
    let (after, read_after) = (clocks::cpu(), fleet.read().0);

    fleet.cancel_all().await?;
    Ok((after - before).as_secs_f64() / (read_after - read) as f64)
}

/// The supervisor, which lets its children end.
struct Foreign;

impl Actor for Foreign {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _me: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<()>,
        _event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}
