//! From the call of a cancel until the server has seen that its connection is closed, one cancel at a time among runs
//! that stream.
//!
//! Quell and the control are a process each, and so is the server; their runs are connected anew for each turn. Who
//! cancels and the server read the same clock. What the server needs to look at its connections is in it, for both.

use std::{io::stdin, thread::sleep, time::Duration};

use crate::{
    Result,
    child::Child,
    clocks,
    fleet::{Fleet, threads},
    options::Options,
    rows::http,
    samples::{Pairs, Samples, ratio, time},
    sse_server::RATE,
    stories::World,
    table::{Table, Verdict},
};

/// Of the 99th percentile, in seconds.
const REACH: f64 = 20e-3;

/// From the moment the server is told whose turn it is until the first cancel.
const RAMP: Duration = Duration::from_millis(300);

/// Between two cancels.
const PAUSE: Duration = Duration::from_millis(5);

pub(super) fn row(options: &Options, table: &mut Table) -> Result<()> {
    // With 1,000 the two cores, which the server shares, fell behind in two turns of nine: those measured queues (p99
    // 34 ms, the control's 5 ms).
    let (live, cancels) = (options.pick(20, 400), options.pick(10, 120));
    // Those that are cancelled come on top, so that never fewer than the number given are live.
    let runs = live + cancels;
    let mut server = Child::start(&["sse-server"])?;
    let port = server.hear()?.first().copied().unwrap_or_default();
    let start = |world: World| {
        let base = format!("http://127.0.0.1:{port}/{}/v1", world.name());
        Child::start(&["close", world.name(), &base])
    };
    let (mut quell, mut control) = (start(World::Quell)?, start(World::Control)?);

    let mut turn = |world: World, child: &mut Child| -> Result<Samples> {
        server.say("nobody")?;
        child.say(&runs.to_string())?;
        // It says so when it is connected.
        child.hear()?;
        server.say(world.name())?;
        sleep(RAMP);
        child.say(&cancels.to_string())?;
        // At the end of its turn it leaves altogether.
        let (asked, seen) = (moments(child, cancels)?, moments(&mut server, runs)?);
        let both = asked.into_iter().zip(seen);
        let latency = both.map(|(asked, seen)| match (asked, seen) {
            ((run, asked), (closed, seen)) if run == closed && seen >= asked => Ok(seen - asked),
            both => Err(format!("asked and seen are not of one run: {both:?}").into()),
        });
        latency.collect()
    };
    // The first turn finds everything cold.
    turn(World::Quell, &mut quell)?;
    turn(World::Control, &mut control)?;
    let (mut p50, mut p99) = (Pairs::default(), Pairs::default());
    let (mut all, mut all_control) = (Vec::new(), Vec::new());
    for _ in 0..options.pairs() {
        let one = turn(World::Quell, &mut quell)?;
        let other = turn(World::Control, &mut control)?;
        p50.push(one.median(), other.median());
        p99.push(one.quantile(0.99), other.quantile(0.99));
        all.extend(one.iter());
        all_control.extend(other.iter());
    }
    let (all, all_control): (Samples, Samples) =
        (all.into_iter().collect(), all_control.into_iter().collect());
    // A chunk after a cancel is an error, as `Fleet::cancel` has it.
    let what = format!(
        "cancel until upstream sees it, {live} runs at {RATE}/s, chunks after it in the log: 0"
    );
    let stated = || ("stated".to_owned(), Verdict::Stated);
    let judged = (
        format!("<= {}", time(REACH)),
        Verdict::Judged(all.quantile(0.99) <= REACH),
    );
    for (name, of, ratio, (reach, verdict)) in [
        ("p50", 0.5, p50.ratios().say(ratio), stated()),
        ("p99", 0.99, p99.ratios().say(ratio), judged),
        ("max", 1.0, "-".to_owned(), stated()),
    ] {
        let cells = [
            time(all.quantile(of)),
            time(all_control.quantile(of)),
            ratio,
        ];
        table.row(format!("{what}, {name}"), reach, cells, verdict);
    }
    Ok(())
}

/// What a child says in so many lines: the number of a run and a moment in each, here by the numbers.
fn moments(child: &mut Child, lines: usize) -> Result<Vec<(f64, f64)>> {
    let line = |_| match &*child.hear()? {
        &[run, moment] => Ok((run, moment)),
        other => Err(format!("not a run and a moment: {other:?}").into()),
    };
    let mut moments = (0..lines).map(line).collect::<Result<Vec<_>>>()?;
    moments.sort_by(|one, other| one.0.total_cmp(&other.0));
    Ok(moments)
}

/// The child. Its lines come in twos: at the first, so many runs, it connects them and says so; at the second it
/// cancels so many of them, and then the rest, and says when it did the former.
pub(super) fn child(arguments: &[&str]) -> Result<()> {
    let [world, base] = arguments else {
        return Err(format!("not a world and an address: {arguments:?}").into());
    };
    let world = World::named(world)?;
    let tokio = threads()?;
    let mut lines = stdin().lines();
    while let Some(runs) = lines.next() {
        let name = |number: usize| number.to_string();
        let fleet = tokio.block_on(http::connect(world, base, runs?.parse()?, name))?;
        println!("1");
        let cancels = lines.next().ok_or("no second line")??.parse()?;
        // In a task, as a server would do it, and not on this thread, which is none of tokio's.
        let (mut fleet, asked) = tokio.block_on(tokio.spawn(cancel(fleet, cancels)))??;
        tokio.block_on(fleet.cancel_all())?;
        for (number, moment) in asked.iter().enumerate() {
            println!("{number} {}", moment.as_secs_f64());
        }
    }
    Ok(())
}

async fn cancel(mut fleet: Fleet, cancels: usize) -> Result<(Fleet, Vec<Duration>)> {
    let mut asked = Vec::new();
    for number in 0..cancels {
        tokio::time::sleep(PAUSE).await;
        asked.push(clocks::moment());
        fleet.cancel(number).await?;
    }
    Ok((fleet, asked))
}
