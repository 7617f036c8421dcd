//! From opening a file that a crash has left until the first request could be served.
//!
//! A child process leaves the runs unfinished, by ending without a word; another opens the file, settles them, and counts.

use std::{path::PathBuf, sync::Arc, time::Instant};

use quell::{
    EventKind, RunEvent, RunId, Runtime, Store,
    event::Started,
    id::Timestamp,
    message::Message,
    store::{BatchId, Events, Expected},
    stores::SqliteStore,
};

use crate::{
    Result,
    child::Child,
    clocks,
    fleet::threads,
    options::Options,
    samples::{Samples, time},
    scratch::Scratch,
    table::{Table, Verdict},
};

/// How many words each had said.
const WORDS: u64 = 30;

pub(super) fn row(options: &Options, table: &mut Table) -> Result<()> {
    let runs = options.pick(500, 10_000);
    for (left, reach, limit) in [(0, "<= 100 ms", 0.1), (runs, "<= 2 s", 2.0)] {
        let (mut wall, mut cpu) = (Vec::new(), Vec::new());
        for _ in 0..options.pick(1, 5) {
            let scratch = Scratch::new("recover")?;
            let path = scratch.path().to_string_lossy().into_owned();
            let left = left.to_string();
            ask(&["recover", "leave", &path, &left])?;
            let took = ask(&["recover", "settle", &path, &left])?;
            let [took, cpu_time] = took[..] else {
                return Err(format!("a child answered {took:?}").into());
            };
            wall.push(took);
            cpu.push(cpu_time);
        }
        let (wall, cpu): (Samples, Samples) =
            (wall.into_iter().collect(), cpu.into_iter().collect());
        let what = format!("open a file with {left} unfinished runs of {WORDS} words, all settled");
        let verdict = Verdict::Judged(wall.median() <= limit);
        let cells = [
            wall.say(time),
            format!("CPU {}", cpu.say(time)),
            "-".to_owned(),
        ];
        table.row(what, reach, cells, verdict);
    }
    Ok(())
}

fn ask(arguments: &[&str]) -> Result<Vec<f64>> {
    Child::start(arguments)?.hear()
}

pub(super) fn child(arguments: &[&str]) -> Result<()> {
    let &[what, folder, runs] = arguments else {
        return Err("recover takes what, where and how many".into());
    };
    let (file, runs) = (PathBuf::from(folder).join("runs.db"), runs.parse()?);
    match what {
        "leave" => threads()?.block_on(leave(file, runs)),
        "settle" => threads()?.block_on(settle(file, runs)),
        _ => Err(format!("recover cannot {what}").into()),
    }
}

/// Leaves runs unfinished, and nothing closed.
async fn leave(file: PathBuf, runs: usize) -> Result<()> {
    let store = SqliteStore::open(file)?;
    let appends = (0..runs).map(|_| append(&store));
    for answer in futures::future::join_all(appends).await {
        answer?;
    }
    println!("0");
    // As a crash does: nothing is dropped.
    std::process::exit(0);
}

async fn append(store: &SqliteStore) -> Result<()> {
    let run_id = RunId::new();
    let event = |seq, kind| RunEvent {
        run_id,
        seq,
        at: Timestamp::from_millis(1_700_000_000_000 + seq),
        kind,
    };
    let started = Started::new("storyteller", vec![Message::user("Tell me a story.")]);
    let asked = EventKind::ModelRequestStarted {
        turn: 1,
        attempt: 1,
        input_bytes: None,
    };
    let mut events = vec![
        event(1, EventKind::Started(Arc::new(started))),
        event(2, asked),
    ];
    events.extend((3..3 + WORDS).map(|seq| {
        let text = format!("word {seq} ").into();
        event(seq, EventKind::Content { text })
    }));
    let expected = Expected {
        epoch: 1,
        last: 0,
        acquire: false,
    };
    let events = Events::from_list(events).ok_or("the events are contiguous")?;
    store.append(run_id, expected, BatchId(1), events).await?;
    Ok(())
}

/// Opens the file as a program that starts does, and tells how long that took.
async fn settle(file: PathBuf, runs: usize) -> Result<()> {
    let (since, cpu) = (Instant::now(), clocks::cpu());
    let store = SqliteStore::open(file)?;
    let (_runtime, recovered) = Runtime::builder().open(store).await?;
    let (took, cpu) = (since.elapsed(), clocks::cpu() - cpu);
    if recovered.interrupted.len() != runs {
        return Err(format!("{runs} runs were left, and this was done: {recovered:?}").into());
    }
    println!("{} {}", took.as_secs_f64(), cpu.as_secs_f64());
    Ok(())
}
