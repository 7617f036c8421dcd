//! What a model that always has the next chunk leaves for others on its thread.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use futures::{Stream, stream};
use quell::{
    Agent, Model,
    model::{ModelChunk, ModelError, ModelRequest},
};
use tokio::runtime::Builder;

use crate::{
    Result,
    fleet::Fleet,
    options::Options,
    samples::{Samples, time},
    stories::{World, tell},
    table::{Table, Verdict},
};

/// In seconds: the median of a sleep of 5 ms, and the 99th percentile of a cancel.
const REACH: (f64, f64) = (15e-3, 30e-3);

const SLEEP: Duration = Duration::from_millis(5);

pub(super) fn row(options: &Options, table: &mut Table) -> Result<()> {
    let runs = options.pick(20, 100);
    let rounds = options.pick(1, 7);
    let (mut quell, mut control) = (Measured::default(), Measured::default());
    for _ in 0..rounds {
        quell.add(measure(World::Quell, runs)?);
        control.add(measure(World::Control, runs)?);
    }
    let what = format!("{runs} models that are always ready, one thread:");
    let (sleep, cancel) = REACH;
    for (name, reach, of, limit, [one, other]) in [
        (
            "a sleep of 5 ms, median",
            "<= 15 ms",
            0.5,
            sleep,
            [&quell.sleeps, &control.sleeps],
        ),
        (
            "a cancel, p50",
            "stated",
            0.5,
            f64::MAX,
            [&quell.cancels, &control.cancels],
        ),
        (
            "a cancel, p99",
            "<= 30 ms",
            0.99,
            cancel,
            [&quell.cancels, &control.cancels],
        ),
    ] {
        let [one, other] = [one, other].map(|all| all.iter().copied().collect::<Samples>());
        let verdict = match limit {
            f64::MAX => Verdict::Stated,
            limit => Verdict::Judged(one.quantile(of) <= limit),
        };
        let cells = [
            time(one.quantile(of)),
            time(other.quantile(of)),
            "-".to_owned(),
        ];
        table.row(format!("{what} {name}"), reach, cells, verdict);
    }
    Ok(())
}

/// In seconds.
#[derive(Default)]
struct Measured {
    sleeps: Vec<f64>,
    cancels: Vec<f64>,
}

impl Measured {
    fn add(&mut self, more: Measured) {
        self.sleeps.extend(more.sleeps);
        self.cancels.extend(more.cancels);
    }
}

/// A sleeper and somebody who cancels, beside `runs` runs.
fn measure(world: World, runs: usize) -> Result<Measured> {
    const CANCELS: usize = 20;
    let tokio = Builder::new_current_thread().enable_all().build()?;
    tokio.block_on(async {
        // Those that are cancelled come on top.
        let all = runs + CANCELS;
        let fleet = match world {
            World::Quell => {
                let agent = Agent::new("ready", Ready);
                Fleet::quell(all, None, |_| agent.clone()).await?
            }
            World::Control => Fleet::control(all, |_, reader| tell(Ready, reader)),
        };
        fleet.reach(all as u64).await?;
        // In tasks, as a program has them.
        let sleeping = tokio::spawn(sleep(40));
        let (mut fleet, cancels) = tokio::spawn(cancel(fleet, CANCELS)).await??;
        let sleeps = sleeping.await?;
        fleet.cancel_all().await?;
        Ok(Measured { sleeps, cancels })
    })
}

async fn sleep(times: usize) -> Vec<f64> {
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let since = Instant::now();
        tokio::time::sleep(SLEEP).await;
        took.push(since.elapsed().as_secs_f64());
    }
    took
}

async fn cancel(mut fleet: Fleet, number: usize) -> Result<(Fleet, Vec<f64>)> {
    let mut took = Vec::with_capacity(number);
    for number in 0..number {
        tokio::time::sleep(SLEEP).await;
        took.push(fleet.cancel(number).await?.as_secs_f64());
    }
    Ok((fleet, took))
}

/// A model that always has the next word.
struct Ready;

impl Model for Ready {
    fn stream(
        &self,
        _: ModelRequest,
    ) -> impl Stream<Item = Result<ModelChunk, ModelError>> + Send + 'static {
        static WORD: LazyLock<Arc<str>> = LazyLock::new(|| "word ".into());
        stream::repeat_with(|| Ok(ModelChunk::Text(WORD.clone())))
    }
}
