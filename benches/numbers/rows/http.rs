//! What one chunk costs when it comes over HTTP, at the pace of a fast model.
//!
//! Quell and the control are a process each, both connected all the time; the server, a third, streams to them in
//! turns of two seconds.

use std::{
    io::stdin,
    thread::sleep,
    time::{Duration, Instant},
};

use quell::{Agent, models::OpenAiChat};

use crate::{
    Result,
    child::Child,
    clocks,
    fleet::{Fleet, threads},
    http_control,
    options::Options,
    samples::{Pairs, Samples, ratio, time},
    sse_server::RATE,
    stories::World,
    table::{Table, Verdict},
};

const REACH: f64 = 1.25;

/// From the moment the server is told whose turn it is until it is measured.
const RAMP: Duration = Duration::from_millis(300);

/// How far the chunks a second may be off. When others take the machine, chunks pile up and are read several at a time,
/// which makes them cheap, for whoever was so lucky.
const TOLERANCE: f64 = 0.04;

pub(super) fn row(options: &Options, table: &mut Table) -> Result<()> {
    let runs = options.pick(50, 1_000);
    let mut server = Child::start(&["sse-server"])?;
    let port = server.hear()?.first().copied().unwrap_or_default();
    let start = |world: World| {
        let base = format!("http://127.0.0.1:{port}/{}/v1", world.name());
        Child::start(&["http", world.name(), &base, &runs.to_string()])
    };
    let (mut quell, mut control) = (start(World::Quell)?, start(World::Control)?);
    // Each says so when it is connected.
    quell.hear()?;
    control.hear()?;

    let window = options.pick(500, 1_500).to_string();
    let mut turn = |world: World, child: &mut Child| -> Result<(f64, f64)> {
        server.say(world.name())?;
        sleep(RAMP);
        child.say(&window)?;
        match &*child.hear()? {
            &[cost, rate] => Ok((cost, rate)),
            other => Err(format!("not a cost and a rate: {other:?}").into()),
        }
    };
    // The first turn finds everything cold.
    turn(World::Quell, &mut quell)?;
    turn(World::Control, &mut control)?;
    let (mut pairs, mut rates, mut spoilt) = (Pairs::default(), Vec::new(), 0);
    let mut kept = 0;
    while kept < options.pairs() {
        let one = turn(World::Quell, &mut quell)?;
        let other = turn(World::Control, &mut control)?;
        let off = |rate: f64| (rate / f64::from(RATE) - 1.0).abs() > TOLERANCE;
        if (off(one.1) || off(other.1)) && spoilt < 2 * options.pairs() {
            spoilt += 1;
            continue;
        }
        kept += 1;
        pairs.push(one.0, other.0);
        rates.extend([one.1, other.1]);
    }
    let rates: Samples = rates.into_iter().collect();
    let rate = rates.say(|rate| format!("{rate:.1}"));
    let spoilt = match spoilt {
        0 => String::new(),
        spoilt => format!(", {spoilt} pairs measured again as the machine did not keep up"),
    };
    let what = format!("CPU per chunk over HTTP, {runs} runs, chunks/s each: {rate}{spoilt}");
    let cells = [
        pairs.quell().say(time),
        pairs.control().say(time),
        pairs.ratios().say(ratio),
    ];
    let verdict = Verdict::Judged(pairs.ratios().median() <= REACH);
    table.row(what, "<= 1.25 x", cells, verdict);
    Ok(())
}

/// The child: connects its runs, says so, and then, for each line with a number of milliseconds, says what a chunk cost
/// in that time, in seconds of CPU, and how many there were a second for each run.
pub(super) fn child(arguments: &[&str]) -> Result<()> {
    let [world, base, runs] = arguments else {
        return Err(format!("not a world, an address and runs: {arguments:?}").into());
    };
    let (world, runs): (World, usize) = (World::named(world)?, runs.parse()?);
    let tokio = threads()?;
    let mut fleet = tokio.block_on(connect(world, base, runs, |_| "sim".to_owned()))?;
    println!("1");
    for line in stdin().lines() {
        let window = Duration::from_millis(line?.parse()?);
        let (before, read, since) = (clocks::cpu(), fleet.read().0, Instant::now());
        sleep(window);
        let (after, read_after, wall) = (clocks::cpu(), fleet.read().0, since.elapsed());
        let words = (read_after - read) as f64;
        let cost = (after - before).as_secs_f64() / words.max(1.0);
        println!("{cost} {}", words / wall.as_secs_f64() / runs as f64);
    }
    tokio.block_on(fleet.cancel_all())?;
    Ok(())
}

/// Starts `runs` runs of models named so, and waits until each is connected.
pub(super) async fn connect(
    world: World,
    base: &str,
    runs: usize,
    name: impl Fn(usize) -> String,
) -> Result<Fleet> {
    let fleet = match world {
        World::Quell => {
            let model = OpenAiChat::builder().base_url(base).model("sim").build()?;
            let agent = |number| Agent::new("storyteller", model.clone().model(name(number)));
            Fleet::quell(runs, None, agent).await?
        }
        World::Control => {
            let url: std::sync::Arc<str> = format!("{base}/chat/completions").into();
            let client = http_control::client()?;
            Fleet::control(runs, |number, reader| {
                http_control::tell(client.clone(), url.clone(), name(number), reader)
            })
        }
    };
    // The server greets each run with one word.
    fleet.reach(runs as u64).await?;
    Ok(fleet)
}
