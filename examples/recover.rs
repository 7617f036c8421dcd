//! Starts runs in a process that is killed; a second process then settles what the first one left.
//!
//!     cargo run --example recover

#![allow(clippy::print_stdout, reason = "printing is its purpose")]

use std::{
    env,
    error::Error,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use quell::{Agent, RunId, Runtime, agent::OnCrash, sim::Storyteller, stores::SqliteStore};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // The program starts itself: the process that gets a file as its argument is the one to be killed.
    if let Some(file) = env::args().nth(1) {
        return first(Path::new(&file)).await;
    }
    let folder = env::temp_dir().join(format!("quell-{}", RunId::new()));
    fs::create_dir(&folder)?;
    let done = second(&folder.join("runs.db")).await;
    fs::remove_dir_all(&folder)?;
    done
}

fn poet() -> Agent {
    Agent::new("poet", Storyteller::endless())
}

/// An agent whose runs continue after a crash: the model is asked again.
fn steady() -> Result<Agent, Failure> {
    let words = Storyteller::new("and the sea and the sea").pace(Duration::from_millis(100));
    let agent = Agent::builder("steady", words).on_crash(OnCrash::Resume);
    Ok(agent.build()?)
}

/// Keeps two runs active until this process is killed.
async fn first(file: &Path) -> Result<(), Failure> {
    let store = SqliteStore::open(file)?;
    let (runtime, _) = Runtime::builder().open(store).await?;
    for agent in [steady()?, poet()] {
        let run = runtime.start(&agent, "Sing of the sea.").await?;
        let mut events = run.events();
        for _ in 0..4 {
            events.next().await.transpose()?;
        }
        // A reader sees only stored events, so this line is true even if the process dies now.
        println!("{} has begun to speak", run.agent_name());
    }
    std::future::pending().await
}

async fn second(file: &Path) -> Result<(), Failure> {
    let mut first = Command::new(env::current_exe()?)
        .arg(file)
        .stdout(Stdio::piped())
        .spawn()?;
    let said = first.stdout.take().ok_or("the first process is silent")?;
    for line in BufReader::new(said).lines().take(2) {
        println!("first process: {}", line?);
    }
    first.kill()?;
    first.wait()?;
    println!("the first process was killed");

    let store = SqliteStore::open(file)?;
    let (runtime, recovered) = Runtime::builder()
        .agents(&[poet(), steady()?])
        .open(store.clone())
        .await?;
    for id in recovered.interrupted.iter().chain(&recovered.resumed) {
        let run = runtime.get(*id).await?.ok_or("a run is gone")?;
        let outcome = run.outcome().await?;
        println!("{}: {}", run.agent_name(), outcome.status());
        println!("    kept: {:?}", outcome.text());
    }
    store.close().await;
    Ok(())
}
