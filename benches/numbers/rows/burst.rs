//! Many cancels in one loop: how long each takes until its reader has seen the end, and how long the last.

use std::time::Duration;

#[cfg(feature = "sqlite")]
use quell::Agent;
use quell::sim::Storyteller;

#[cfg(feature = "sqlite")]
use crate::scratch::Scratch;
use crate::{
    Result,
    fleet::{Fleet, threads},
    options::Options,
    samples::{Pairs, Samples, time},
    stories::{Stories, World},
    table::{Table, Verdict},
};

/// Of the control: until the last reader has seen the end.
const REACH: f64 = 1.2;
#[cfg(feature = "sqlite")]
const REACH_STORED: f64 = 2.0;

pub(super) fn row(options: &Options, table: &mut Table) -> Result<()> {
    let tokio = threads()?;
    let load = Load {
        runs: options.pick(1_000, 10_000),
        cancels: options.pick(100, 1_000),
    };
    let mut memory = Measured::default();
    #[cfg(feature = "sqlite")]
    let mut file = Measured::default();
    for _ in 0..options.pairs() {
        let control = tokio.block_on(load.sample(load.telling(World::Control)))?;
        memory.push(
            tokio.block_on(load.sample(load.telling(World::Quell)))?,
            control,
        );
        #[cfg(feature = "sqlite")]
        {
            let scratch = Scratch::new("burst")?;
            file.push(tokio.block_on(load.sample(load.stored(&scratch)))?, control);
        }
    }
    memory.show(table, &load, "in memory", REACH);
    #[cfg(feature = "sqlite")]
    file.show(table, &load, "SQLite", REACH_STORED);
    Ok(())
}

struct Load {
    runs: usize,
    cancels: usize,
}

impl Load {
    fn stories() -> Stories {
        let pace = Duration::from_secs(1);
        Stories::Own(Storyteller::endless().pace(pace).jitter(1.0))
    }

    async fn telling(&self, world: World) -> Result<Fleet> {
        Fleet::telling(world, self.runs, &Load::stories()).await
    }

    #[cfg(feature = "sqlite")]
    async fn stored(&self, scratch: &Scratch) -> Result<Fleet> {
        let stories = Load::stories();
        let agent = |number| Agent::new("storyteller", stories.number(number));
        Fleet::on(scratch.runtime(self.runs).await?, self.runs, None, agent).await
    }

    /// The median, and the last, in seconds.
    async fn sample(&self, fleet: impl Future<Output = Result<Fleet>>) -> Result<(f64, f64)> {
        let mut fleet = fleet.await?;
        fleet.reach(self.runs as u64).await?;
        let cancels = self.cancels;
        let burst = tokio::spawn(async move {
            let took = fleet.cancel_each(0..cancels).await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((fleet, took))
        });
        let (mut fleet, (took, last)) = burst.await??;
        fleet.cancel_all().await?;
        let took: Samples = took.iter().map(Duration::as_secs_f64).collect();
        Ok((took.median(), last.as_secs_f64()))
    }
}

#[derive(Default)]
struct Measured {
    p50: Pairs,
    last: Pairs,
}

impl Measured {
    fn push(&mut self, quell: (f64, f64), control: (f64, f64)) {
        self.p50.push(quell.0, control.0);
        self.last.push(quell.1, control.1);
    }

    fn show(&self, table: &mut Table, load: &Load, kept: &str, reach: f64) {
        let Load { runs, cancels } = load;
        let what = format!("{cancels} of {runs} runs cancelled in one loop, {kept}:");
        let verdict = Verdict::Judged(self.last.ratios().median() <= reach);
        table.pairs(
            format!("{what} p50"),
            "stated",
            &self.p50,
            time,
            Verdict::Stated,
        );
        table.pairs(
            format!("{what} last"),
            format!("<= {reach} x"),
            &self.last,
            time,
            verdict,
        );
    }
}
