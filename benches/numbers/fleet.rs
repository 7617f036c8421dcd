//! Many live runs with one reader each, by Quell or by the control, behind the same few words.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use quell::{
    Agent, CancelOutcome, CancelRequest, EventKind, Run, Runtime,
    runtime::{RuntimeConfig, Scope},
};
use tokio::sync::mpsc::{self, Sender, UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use crate::{
    Result, clocks,
    stories::{INPUT, Stories, World, tell},
};

/// How many words the control may be ahead of a reader.
const AHEAD: usize = 32;

/// How long anything may take before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Live runs.
pub(crate) struct Fleet {
    stops: Vec<Stop>,
    tally: Arc<[Slot]>,
    /// Which run's reader has seen the end, and when.
    ended: UnboundedReceiver<(usize, Instant)>,
    live: usize,
    all: All,
}

/// How one run is stopped.
enum Stop {
    Quell(Run),
    Control(CancellationToken),
}

/// How all are stopped.
enum All {
    Quell(Runtime),
    Control(CancellationToken),
}

/// What one reader has read. Only the reader writes here.
#[derive(Default)]
struct Slot {
    words: AtomicU64,
    bytes: AtomicU64,
}

impl Slot {
    fn add(&self, text: &str) {
        let bytes = self.bytes.load(Relaxed) + text.len() as u64;
        self.bytes.store(bytes, Relaxed);
        self.words.store(self.words.load(Relaxed) + 1, Relaxed);
    }
}

impl Fleet {
    /// Starts `runs` runs that read the simulated model.
    pub(crate) async fn telling(world: World, runs: usize, stories: &Stories) -> Result<Fleet> {
        match (world, stories) {
            (World::Quell, Stories::Same(story)) => {
                let agent = Agent::new("storyteller", story.clone());
                Fleet::quell(runs, None, |_| agent.clone()).await
            }
            (World::Quell, Stories::Own(_)) => {
                let agent = |number| Agent::new("storyteller", stories.number(number));
                Fleet::quell(runs, None, agent).await
            }
            (World::Control, _) => Ok(Fleet::control(runs, |number, reader| {
                tell(stories.number(number), reader)
            })),
        }
    }

    /// Starts `runs` runs of Quell, with the memory store: the runtime's own, or linked under a supervisor.
    pub(crate) async fn quell(
        runs: usize,
        supervisor: Option<quell::ractor::ActorCell>,
        agent: impl Fn(usize) -> Agent,
    ) -> Result<Fleet> {
        let runtime = Runtime::builder().config(room_for(runs)).in_memory();
        Fleet::on(runtime, runs, supervisor, agent).await
    }

    /// Starts `runs` runs on a runtime with room for them.
    pub(crate) async fn on(
        runtime: Runtime,
        runs: usize,
        supervisor: Option<quell::ractor::ActorCell>,
        agent: impl Fn(usize) -> Agent,
    ) -> Result<Fleet> {
        let tally = tally(runs);
        let (ends, ended) = mpsc::unbounded_channel();
        let mut stops = Vec::with_capacity(runs);
        for number in 0..runs {
            let agent = agent(number);
            let run = match supervisor.clone() {
                None => runtime.start(&agent, INPUT).await?,
                Some(cell) => runtime.start_linked(&agent, INPUT, cell).await?,
            };
            tokio::spawn(read(number, run.clone(), tally.clone(), ends.clone()));
            stops.push(Stop::Quell(run));
        }
        Ok(Fleet {
            live: runs,
            stops,
            tally,
            ended,
            all: All::Quell(runtime),
        })
    }

    /// Starts `runs` runs of the control. `work` is the loop of one: it reads the model and sends each word.
    pub(crate) fn control<W>(runs: usize, work: impl Fn(usize, Sender<Arc<str>>) -> W) -> Fleet
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let all = CancellationToken::new();
        let tally = tally(runs);
        let (ends, ended) = mpsc::unbounded_channel();
        let mut stops = Vec::with_capacity(runs);
        for number in 0..runs {
            let token = all.child_token();
            let (sender, mut words) = mpsc::channel(AHEAD);
            let work = work(number, sender);
            let cancelled = token.clone();
            tokio::spawn(async move { cancelled.run_until_cancelled(work).await });
            let (tally, ends) = (tally.clone(), ends.clone());
            tokio::spawn(async move {
                while let Some(word) = words.recv().await {
                    tally[number].add(&word);
                }
                let _ = ends.send((number, Instant::now()));
            });
            stops.push(Stop::Control(token));
        }
        Fleet {
            live: runs,
            stops,
            tally,
            ended,
            all: All::Control(all),
        }
    }

    /// How many words have been read, and how many bytes they have.
    pub(crate) fn read(&self) -> (u64, u64) {
        self.tally.iter().fold((0, 0), |(words, bytes), slot| {
            let slot = (slot.words.load(Relaxed), slot.bytes.load(Relaxed));
            (words + slot.0, bytes + slot.1)
        })
    }

    /// Waits until so many words have been read.
    pub(crate) async fn reach(&self, words: u64) -> Result<()> {
        let since = Instant::now();
        while self.read().0 < words {
            if since.elapsed() > PATIENCE {
                let read = self.read().0;
                return Err(format!("{read} of {words} words were read in {PATIENCE:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Cancels one run, and answers how long it took until its reader saw the end. A chunk after the cancel in its log
    /// is an error.
    pub(crate) async fn cancel(&mut self, number: usize) -> Result<Duration> {
        let asked = Instant::now();
        let accepted = match self.stops.get(number).ok_or("there is no such run")? {
            Stop::Quell(run) => match run.cancel().await {
                CancelOutcome::Accepted { seq, .. } => Some((run.clone(), seq)),
                other => return Err(format!("a live run answered a cancel by {other:?}").into()),
            },
            Stop::Control(token) => {
                token.cancel();
                None
            }
        };
        let (who, seen) = self.next_end().await?;
        if who != number {
            return Err(format!("run {who} ended when run {number} was cancelled").into());
        }
        if let Some((run, seq)) = accepted {
            silent_from(&run, seq).await?;
        }
        Ok(seen.saturating_duration_since(asked))
    }

    /// Cancels these runs in one loop that waits for nothing. Returns how long each took until its reader saw the end, and
    /// how long it was from the first cancel until the last of them had.
    pub(crate) async fn cancel_each(
        &mut self,
        numbers: std::ops::Range<usize>,
    ) -> Result<(Vec<Duration>, Duration)> {
        let begun = Instant::now();
        let mut asked = Vec::with_capacity(numbers.len());
        for number in numbers.clone() {
            asked.push(Instant::now());
            match self.stops.get(number).ok_or("there is no such run")? {
                Stop::Quell(run) => drop(run.cancel()),
                Stop::Control(token) => token.cancel(),
            }
        }
        let (mut took, mut last) = (Vec::with_capacity(asked.len()), begun);
        for _ in numbers.clone() {
            let (who, seen) = self.next_end().await?;
            let asked = who.checked_sub(numbers.start).and_then(|at| asked.get(at));
            let asked = asked.ok_or("a run ended that was not cancelled")?;
            took.push(seen.saturating_duration_since(*asked));
            last = last.max(seen);
        }
        Ok((took, last.saturating_duration_since(begun)))
    }

    /// Cancels every run, and answers how long it took until all readers had seen the end.
    pub(crate) async fn cancel_all(&mut self) -> Result<Duration> {
        let asked = Instant::now();
        match &self.all {
            All::Quell(runtime) => {
                runtime
                    .cancel_all(Scope::all(), CancelRequest::default())
                    .await?;
            }
            All::Control(token) => token.cancel(),
        }
        let mut last = asked;
        while self.live > 0 {
            last = last.max(self.next_end().await?.1);
        }
        Ok(last.saturating_duration_since(asked))
    }

    async fn next_end(&mut self) -> Result<(usize, Instant)> {
        let end = tokio::time::timeout(PATIENCE, self.ended.recv()).await;
        let end = end.map_err(|_| "a run did not end")?;
        self.live -= 1;
        end.ok_or_else(|| "a reader was lost".into())
    }
}

/// The settings of a runtime for so many live runs.
pub(crate) fn room_for(runs: usize) -> RuntimeConfig {
    RuntimeConfig {
        max_live_runs: runs,
        ..RuntimeConfig::default()
    }
}

fn tally(runs: usize) -> Arc<[Slot]> {
    (0..runs).map(|_| Slot::default()).collect()
}

/// Reads a run of Quell to its end. A stream that fails tells nothing, so that whoever waits for the end finds out.
async fn read(
    number: usize,
    run: Run,
    tally: Arc<[Slot]>,
    ends: UnboundedSender<(usize, Instant)>,
) {
    let mut events = run.events();
    drop(run);
    while let Some(Ok(event)) = events.next().await {
        match &event.kind {
            EventKind::Content { text } => tally[number].add(text),
            kind if kind.is_last() => {
                let _ = ends.send((number, Instant::now()));
            }
            _ => {}
        }
    }
}

/// Fails when the log of a run that has ended has a chunk from position `seq` on.
async fn silent_from(run: &Run, seq: u64) -> Result<()> {
    let mut events = run.events_from(seq);
    while let Some(event) = events.next().await {
        let event = event?;
        if let EventKind::Content { .. } = event.kind {
            return Err(format!("a chunk at {} after a cancel at {seq}", event.seq).into());
        }
    }
    Ok(())
}

/// A tokio runtime as a program would have it: a thread for each core.
pub(crate) fn threads() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(clocks::cores())
        .enable_all()
        .build()?)
}
