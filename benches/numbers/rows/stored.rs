//! What it costs, and how long it takes, to keep runs in a file. `synchronous=NORMAL`; the control is Quell with its
//! store in memory.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt, stream};
use quell::{
    Agent, EventKind, Model, Run, Runtime,
    model::{ModelChunk, ModelError, ModelRequest},
    outcome::FinishReason,
    sim::Storyteller,
};

use crate::{
    Result, clocks,
    fleet::{Fleet, room_for, threads},
    options::Options,
    samples::{Pairs, Samples, time},
    scratch::Scratch,
    stories::{INPUT, Stories},
    table::{Table, Verdict},
};

/// All runs are there before the first of them speaks.
const SILENCE: Duration = Duration::from_millis(200);

/// Where the events of a fleet go.
#[derive(Clone, Copy)]
enum Keeping {
    File,
    Memory,
}

impl Keeping {
    /// A runtime for so many runs, and the folder it keeps them in.
    async fn runtime(self, runs: usize) -> Result<(Runtime, Option<Scratch>)> {
        match self {
            Keeping::Memory => Ok((Runtime::builder().config(room_for(runs)).in_memory(), None)),
            Keeping::File => {
                let scratch = Scratch::new("stored")?;
                Ok((scratch.runtime(runs).await?, Some(scratch)))
            }
        }
    }
}

/// CPU for an event, and events in a second, when a model always has the next word.
pub(super) fn row(options: &Options, table: &mut Table) -> Result<()> {
    let tokio = threads()?;
    let runs = options.pick(100, 1_000);
    let words = options.pick(200, 2_000) * runs;
    let sample = |keeping| tokio.block_on(per_event(keeping, runs, words as u64));
    let (mut cpu, mut wall) = (Pairs::default(), Pairs::default());
    for _ in 0..options.pick(2, 7) {
        let (file, memory) = (sample(Keeping::File)?, sample(Keeping::Memory)?);
        cpu.push(file.0, memory.0);
        wall.push(1.0 / file.1, 1.0 / memory.1);
    }
    let rate = wall.quell().median();
    let cells = [
        wall.quell().say(|rate| format!("{rate:.0}/s")),
        wall.control().say(|rate| format!("{rate:.0}/s")),
        wall.ratios().say(crate::samples::ratio),
    ];
    let what = format!("events stored, {runs} runs; control: in memory");
    let verdict = Verdict::Judged(rate >= 200_000.0);
    table.row(what, ">= 200000/s", cells, verdict);
    let verdict = Verdict::Judged(cpu.quell().median() <= 4e-6);
    let what = format!("CPU per stored event, all in, {runs} runs; control: in memory");
    table.pairs(what, "<= 4 us", &cpu, time, verdict);
    Ok(())
}

/// The CPU time and the time of one event, in seconds.
async fn per_event(keeping: Keeping, runs: usize, words: u64) -> Result<(f64, f64)> {
    let (runtime, _scratch) = keeping.runtime(runs).await?;
    let story = Storyteller::endless().pace(Duration::ZERO);
    let stories = Stories::Own(story.first_word_after(SILENCE));
    let agent = |number| Agent::new("storyteller", stories.number(number));
    let mut fleet = Fleet::on(runtime, runs, None, agent).await?;
    // More than may wait for a store: from here on nothing is read that was not stored meanwhile.
    fleet.reach(1_200 * runs as u64).await?;

    let (cpu, since, read) = (clocks::cpu(), Instant::now(), fleet.read().0);
    fleet.reach(read + words).await?;
    let (cpu, took) = (clocks::cpu() - cpu, since.elapsed());
    let events = (fleet.read().0 - read) as f64;

    fleet.cancel_all().await?;
    Ok((cpu.as_secs_f64() / events, took.as_secs_f64() / events))
}

/// What storing adds to a token: from the moment the model has it until a reader sees it.
pub(super) fn token(options: &Options, table: &mut Table) -> Result<()> {
    let tokio = threads()?;
    let runs = options.pick(100, 1_000);
    let sample = |keeping| tokio.block_on(delays(keeping, runs));
    let (mut p50, mut p99) = (Pairs::default(), Pairs::default());
    let mut costs = Pairs::default();
    for _ in 0..options.pairs() {
        let ((file, cost), (memory, control)) = (sample(Keeping::File)?, sample(Keeping::Memory)?);
        costs.push(cost, control);
        p50.push(file.median(), memory.median());
        p99.push(file.quantile(0.99), memory.quantile(0.99));
    }
    let what = format!("token, model to reader, {runs} runs x 50/s; control: in memory:");
    for (name, pairs, reach, limit) in [
        ("p50", p50, "<= 3 ms", 3e-3),
        ("p99", p99, "<= 20 ms", 20e-3),
    ] {
        let added = pairs.quell().median() - pairs.control().median();
        let verdict = Verdict::Judged(added <= limit);
        table.pairs(
            format!("{what} {name}"),
            format!("adds {reach}"),
            &pairs,
            time,
            verdict,
        );
    }
    let what = format!("CPU per token, {runs} runs x 50/s, one append each; control: in memory");
    table.pairs(what, "stated", &costs, time, Verdict::Stated);
    Ok(())
}

/// When this program began to count.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A model that says what time it is, 50 times a second.
struct Clock;

/// How often it does.
const TICKS: usize = 150;

impl Model for Clock {
    fn stream(
        &self,
        _: ModelRequest,
    ) -> impl Stream<Item = Result<ModelChunk, ModelError>> + Send + 'static {
        let ticks = stream::unfold(0, |tick| async move {
            if tick == TICKS {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now = EPOCH.elapsed().as_nanos().to_string();
            Some((Ok(ModelChunk::Text(now.into())), tick + 1))
        });
        let end = stream::once(async { Ok(ModelChunk::Finished(FinishReason::Stop)) });
        ticks.chain(end).boxed()
    }
}

/// How long each word of a fleet took, and the CPU time of one, in seconds.
async fn delays(keeping: Keeping, runs: usize) -> Result<(Samples, f64)> {
    LazyLock::force(&EPOCH);
    let (runtime, _scratch) = keeping.runtime(runs).await?;
    let cpu = clocks::cpu();
    let agent = Agent::new("clock", Clock);
    let mut readers = Vec::with_capacity(runs);
    for _ in 0..runs {
        let run = runtime.start(&agent, INPUT).await?;
        readers.push(tokio::spawn(read_delays(run)));
    }
    let mut all = Vec::with_capacity(runs * TICKS);
    for reader in readers {
        all.extend(reader.await??);
    }
    let cost = (clocks::cpu() - cpu).as_secs_f64() / (runs * TICKS) as f64;
    Ok((all.into_iter().collect(), cost))
}

async fn read_delays(run: Run) -> Result<Vec<f64>> {
    let mut delays = Vec::with_capacity(TICKS);
    let mut events = run.events();
    while let Some(event) = events.next().await {
        if let EventKind::Content { text } = event?.kind {
            let said = Duration::from_nanos(text.parse()?);
            delays.push(EPOCH.elapsed().saturating_sub(said).as_secs_f64());
        }
    }
    // The first second is that of the starts.
    Ok(delays.split_off(TICKS / 3))
}

/// From the call of a cancel until a reader has seen the end, which is stored by then.
pub(super) fn cancel(options: &Options, table: &mut Table) -> Result<()> {
    let tokio = threads()?;
    let (runs, cancels) = (options.pick(1_000, 10_000), options.pick(50, 500));
    let mut pairs = (Pairs::default(), Pairs::default());
    for _ in 0..options.pick(1, 3) {
        let sample = |keeping| tokio.block_on(cancelled(keeping, runs, cancels));
        let (file, memory) = (sample(Keeping::File)?, sample(Keeping::Memory)?);
        pairs.0.push(file.median(), memory.median());
        pairs.1.push(file.quantile(0.99), memory.quantile(0.99));
    }
    let what = format!("cancel while streaming, {runs} live runs in a file; control: in memory:");
    let verdict = Verdict::Judged(pairs.0.quell().median() <= 3e-3);
    table.pairs(format!("{what} p50"), "<= 3 ms", &pairs.0, time, verdict);
    table.pairs(
        format!("{what} p99"),
        "stated",
        &pairs.1,
        time,
        Verdict::Stated,
    );
    Ok(())
}

async fn cancelled(keeping: Keeping, runs: usize, cancels: usize) -> Result<Samples> {
    let (runtime, _scratch) = keeping.runtime(runs).await?;
    let story = Storyteller::endless()
        .pace(Duration::from_secs(1))
        .jitter(1.0);
    let stories = Stories::Own(story);
    let agent = |number| Agent::new("storyteller", stories.number(number));
    let mut fleet = Fleet::on(runtime, runs, None, agent).await?;
    fleet.reach(runs as u64).await?;
    let mut took = Vec::with_capacity(cancels);
    for number in 0..cancels {
        tokio::time::sleep(Duration::from_millis(2)).await;
        took.push(fleet.cancel(number).await?.as_secs_f64());
    }
    fleet.cancel_all().await?;
    Ok(took.into_iter().collect())
}
