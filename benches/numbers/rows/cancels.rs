//! From the call of a cancel until a reader has seen the end, one cancel at a time among many live runs.
//!
//! Quell's runs and the control's live in two child processes at the same time, which are asked in turns.

use std::{
    io::stdin,
    time::{Duration, Instant},
};

use quell::sim::Storyteller;

use crate::{
    Result,
    child::Child,
    clocks,
    fleet::{Fleet, threads},
    options::Options,
    samples::{Pairs, Samples, memory, ratio, share, time},
    stories::{Stories, World},
    table::{Table, Verdict},
};

/// In seconds.
const REACH: (f64, f64) = (1e-3, 10e-3);

/// Between two cancels, so that each finds threads that have gone to sleep.
const PAUSE: Duration = Duration::from_millis(2);

/// How many runs, and the pace of their words in milliseconds; 0: they say one word and fall silent.
struct Load {
    runs: usize,
    pace: usize,
}

/// What both sides measured, in turns.
struct Measured {
    /// All latencies.
    quell: Samples,
    control: Samples,
    p50: Pairs,
    p99: Pairs,
    /// Of one core.
    cpu: Pairs,
    /// Of all of Quell's runs, in a second.
    words: Samples,
    /// For each run.
    memory: Pairs,
}

pub(super) fn streaming(options: &Options, table: &mut Table) -> Result<()> {
    let runs = options.pick(1_000, 10_000);
    let load = Load { runs, pace: 1_000 };
    let measured = measure(options, &load)?;
    judge(
        table,
        &format!("cancel while streaming, {runs} live runs"),
        &measured,
    );
    Ok(())
}

pub(super) fn silent(options: &Options, table: &mut Table) -> Result<()> {
    let runs = options.pick(1_000, 10_000);
    let load = Load { runs, pace: 0 };
    let measured = measure(options, &load)?;
    judge(
        table,
        &format!("cancel of a silent model, {runs} live runs"),
        &measured,
    );
    Ok(())
}

pub(super) fn many(options: &Options, table: &mut Table) -> Result<()> {
    let runs = options.pick(5_000, 100_000);
    // With full jitter no word is later than twice the pace.
    let load = Load { runs, pace: 5_000 };
    let measured = measure(options, &load)?;
    let what = format!("{runs} live runs, each a chunk every 10 s at least:");
    let enough = measured.words.median() >= runs as f64 / 10.0;
    let words = measured.words.say(|words| format!("{words:.0}/s"));
    let cells = [words, "-".into(), "-".into()];
    let reach = format!(">= {}/s", runs / 10);
    table.row(
        format!("{what} chunks"),
        reach,
        cells,
        Verdict::Judged(enough),
    );
    let cpu = &measured.cpu;
    table.pairs(
        format!("{what} CPU of a core"),
        "stated",
        cpu,
        share,
        Verdict::Stated,
    );
    for (name, of) in QUANTILES {
        let verdict = Verdict::Stated;
        quantile(
            table,
            &format!("{what} cancel"),
            name,
            of,
            &measured,
            "stated",
            verdict,
        );
    }
    let fits = measured.memory.quell().median() <= 16.0 * 1024.0;
    let what = format!("{what} memory per run");
    let verdict = Verdict::Judged(fits);
    table.pairs(what, "<= 16 KiB", &measured.memory, memory, verdict);
    Ok(())
}

const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("max", 1.0)];

fn judge(table: &mut Table, what: &str, measured: &Measured) {
    let (p50, p99) = REACH;
    for ((name, of), reach) in QUANTILES.into_iter().zip([Some(p50), Some(p99), None]) {
        let verdict = reach.map_or(Verdict::Stated, |reach| {
            Verdict::Judged(measured.quell.quantile(of) <= reach)
        });
        let reach = reach.map_or("stated".to_owned(), |reach| format!("<= {}", time(reach)));
        quantile(table, what, name, of, measured, &reach, verdict);
    }
}

/// A row of one quantile of all cancels. The ratio is that of the turns, so there is none for the maximum.
fn quantile(
    table: &mut Table,
    what: &str,
    name: &str,
    of: f64,
    measured: &Measured,
    reach: &str,
    verdict: Verdict,
) {
    let ratio = match name {
        "p50" => measured.p50.ratios().say(ratio),
        "p99" => measured.p99.ratios().say(ratio),
        _ => "-".to_owned(),
    };
    let quell = time(measured.quell.quantile(of));
    let control = time(measured.control.quantile(of));
    table.row(
        format!("{what}, {name}"),
        reach,
        [quell, control, ratio],
        verdict,
    );
}

fn measure(options: &Options, load: &Load) -> Result<Measured> {
    let cancels = options.pick(10, 120);
    // Those that are cancelled come on top, so that never fewer than the number given are live.
    let runs = (load.runs + options.pairs() * cancels).to_string();
    let pace = load.pace.to_string();
    let start = |world: World| Child::start(&["cancels", world.name(), &runs, &pace]);
    let (mut quell, mut control) = (start(World::Quell)?, start(World::Control)?);
    let mut memory = Pairs::default();
    let (&[one], &[other]) = (&*quell.hear()?, &*control.hear()?) else {
        return Err("a child said something else than its memory".into());
    };
    memory.push(one, other);

    let (mut all, mut all_control) = (Vec::new(), Vec::new());
    let (mut p50, mut p99, mut cpu) = (Pairs::default(), Pairs::default(), Pairs::default());
    let mut words = Vec::new();
    for _ in 0..options.pairs() {
        let (one, other) = (turn(&mut quell, cancels)?, turn(&mut control, cancels)?);
        p50.push(one.latency.median(), other.latency.median());
        p99.push(one.latency.quantile(0.99), other.latency.quantile(0.99));
        cpu.push(one.cpu, other.cpu);
        words.push(one.words);
        all.extend(one.latency.iter());
        all_control.extend(other.latency.iter());
    }
    Ok(Measured {
        quell: all.into_iter().collect(),
        control: all_control.into_iter().collect(),
        p50,
        p99,
        cpu,
        words: words.into_iter().collect(),
        memory,
    })
}

/// What a child measured in one turn; CPU and words since the turn before, which is to say all the time.
struct Turn {
    latency: Samples,
    cpu: f64,
    words: f64,
}

fn turn(child: &mut Child, cancels: usize) -> Result<Turn> {
    child.say(&cancels.to_string())?;
    match &*child.hear()? {
        [cpu, words, latency @ ..] if latency.len() == cancels => Ok(Turn {
            cpu: *cpu,
            words: *words,
            latency: latency.iter().copied().collect(),
        }),
        other => Err(format!("a child was asked for {cancels} cancels and said {other:?}").into()),
    }
}

/// The child: starts runs, says how much memory each takes, and then cancels as many as it is told, line by line.
pub(super) fn child(arguments: &[&str]) -> Result<()> {
    let [world, runs, pace] = arguments else {
        return Err(format!("not a load: {arguments:?}").into());
    };
    let (world, runs): (World, usize) = (World::named(world)?, runs.parse()?);
    let pace = Duration::from_millis(pace.parse()?);
    let stories = match pace {
        Duration::ZERO => Stories::Same(Storyteller::endless().pace(pace).stall_at(1)),
        pace => Stories::Own(Storyteller::endless().pace(pace).jitter(1.0)),
    };
    let tokio = threads()?;
    let before = clocks::resident()?;
    let mut fleet = tokio.block_on(Fleet::telling(world, runs, &stories))?;
    std::thread::sleep(Duration::from_secs(1));
    println!("{}", (clocks::resident()? - before) / runs as f64);

    let mut since = (Instant::now(), clocks::cpu(), fleet.read().0);
    let mut next = 0;
    for line in stdin().lines() {
        let numbers = next..next + line?.parse::<usize>()?;
        next = numbers.end;
        // In a task, as a server would do it, and not on this thread, which is none of tokio's.
        let latencies;
        (fleet, latencies) = tokio.block_on(tokio.spawn(cancel(fleet, numbers)))??;

        let now = (Instant::now(), clocks::cpu(), fleet.read().0);
        let wall = (now.0 - since.0).as_secs_f64();
        let cpu = (now.1 - since.1).as_secs_f64() / wall;
        print!("{cpu} {}", (now.2 - since.2) as f64 / wall);
        for latency in latencies {
            print!(" {}", latency.as_secs_f64());
        }
        println!();
        since = now;
    }
    tokio.block_on(fleet.cancel_all())?;
    Ok(())
}

async fn cancel(
    mut fleet: Fleet,
    numbers: std::ops::Range<usize>,
) -> Result<(Fleet, Vec<Duration>)> {
    let mut latencies = Vec::new();
    for number in numbers {
        tokio::time::sleep(PAUSE).await;
        latencies.push(fleet.cancel(number).await?);
    }
    Ok((fleet, latencies))
}
