//! A thousand subscribers of one run: what one that is stuck costs the others.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{Stream, stream};
use quell::{
    Agent, EventKind, Model, Runtime,
    model::{ModelChunk, ModelError, ModelRequest},
    outcome::FinishReason,
    run::Delivery,
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::{sync::Semaphore, time::MissedTickBehavior};

use crate::{
    Result,
    fleet::threads,
    options::Options,
    samples::{Pairs, Samples, ratio, time},
    stories::INPUT,
    table::{Table, Verdict},
};

const REACH: f64 = 1.2;

/// Between two events.
const PACE: Duration = Duration::from_millis(25);

/// Events that come before it is measured.
const WARM: u32 = 4;

pub(super) fn row(options: &Options, table: &mut Table) -> Result<()> {
    let tokio = threads()?;
    let others = options.pick(100, 999);
    let events = options.pick(10, 40) as u32;
    let sample = |stuck| tokio.block_on(p99(others, events, stuck));
    sample(true)?;
    let mut pairs = Pairs::default();
    for _ in 0..options.pairs() {
        pairs.push(sample(true)?, sample(false)?);
    }
    let reached = pairs.ratios().median() <= REACH;
    let what = format!(
        "{others} subscribers and one that is stuck: p99 of an event (control: without it)"
    );
    let cells = [
        pairs.quell().say(time),
        pairs.control().say(time),
        pairs.ratios().say(ratio),
    ];
    table.row(what, "<= 1.2 x", cells, Verdict::Judged(reached));
    Ok(())
}

/// From the model's word to the subscribers' handlers, in seconds.
async fn p99(others: usize, events: u32, stuck: bool) -> Result<f64> {
    let clock = Clock {
        since: Instant::now(),
        ticks: WARM + events,
    };
    let runtime = Runtime::new();
    let run = runtime
        .start(&Agent::new("clock", clock.clone()), INPUT)
        .await?;
    let ended = Arc::new(Semaphore::new(0));
    let mut readers = Vec::new();
    let mut latencies = Vec::new();
    for _ in 0..others {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let reader = Reader {
            clock: clock.clone(),
            heard: heard.clone(),
            ended: ended.clone(),
        };
        let (actor, task) = Actor::spawn(None, reader, ()).await?;
        run.subscribe(&actor);
        readers.push((actor, task));
        latencies.push(heard);
    }
    let stuck = if stuck {
        let (actor, task) = Actor::spawn(None, Hoarder, Vec::new()).await?;
        run.subscribe(&actor);
        // And a stream that nobody reads.
        Some((actor, task, run.events()))
    } else {
        None
    };

    run.outcome().await?;
    let all_ended = ended.acquire_many(u32::try_from(others)?);
    let all_ended = tokio::time::timeout(Duration::from_secs(30), all_ended).await;
    drop(all_ended.map_err(|_| "a subscriber did not hear the end")??);
    if let Some((actor, task, _unread)) = stuck {
        readers.push((actor.get_cell().into(), task));
    }
    for (actor, task) in readers {
        actor.stop(None);
        task.await?;
    }
    let heard = latencies.iter().flat_map(|heard| {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *heard)
    });
    let heard: Samples = heard.collect();
    Ok(heard.quantile(0.99))
}

/// A model that says what time it is.
#[derive(Clone)]
struct Clock {
    since: Instant,
    ticks: u32,
}

impl Clock {
    fn now(&self) -> u128 {
        self.since.elapsed().as_nanos()
    }
}

impl Model for Clock {
    fn stream(
        &self,
        _: ModelRequest,
    ) -> impl Stream<Item = Result<ModelChunk, ModelError>> + Send + 'static {
        // The first word comes when everybody has subscribed.
        let start = tokio::time::Instant::now() + Duration::from_millis(200);
        let mut ticks = tokio::time::interval_at(start, PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let state = (self.clone(), ticks, 0);
        stream::unfold(state, |(clock, mut ticks, said)| async move {
            ticks.tick().await;
            let chunk = if said < clock.ticks {
                ModelChunk::Text(clock.now().to_string().into())
            } else {
                ModelChunk::Finished(FinishReason::Stop)
            };
            Some((Ok(chunk), (clock, ticks, said + 1)))
        })
    }
}

/// A message with an event.
struct Heard(Delivery);

impl From<Delivery> for Heard {
    fn from(delivery: Delivery) -> Heard {
        Heard(delivery)
    }
}

/// Notes how late each word is.
struct Reader {
    clock: Clock,
    heard: Arc<Mutex<Vec<f64>>>,
    ended: Arc<Semaphore>,
}

impl Actor for Reader {
    type Msg = Heard;
    type State = u32;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Heard>, (): ()) -> Result<u32, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<Heard>,
        Heard(delivery): Heard,
        words: &mut u32,
    ) -> Result<(), ActorProcessingErr> {
        let event = delivery.event()?;
        if let EventKind::Content { text } = &event.kind {
            *words += 1;
            let late = self.clock.now().saturating_sub(text.parse()?);
            if *words > WARM {
                let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.push(late as f64 / 1e9);
            }
        } else if event.is_last() {
            self.ended.add_permits(1);
        }
        Ok(())
    }
}

/// Keeps every delivery, and so never makes room for the next ones.
struct Hoarder;

impl Actor for Hoarder {
    type Msg = Heard;
    type State = Vec<Heard>;
    type Arguments = Vec<Heard>;

    async fn pre_start(
        &self,
        _: ActorRef<Heard>,
        hoard: Vec<Heard>,
    ) -> Result<Vec<Heard>, ActorProcessingErr> {
        Ok(hoard)
    }

    async fn handle(
        &self,
        _: ActorRef<Heard>,
        delivery: Heard,
        hoard: &mut Vec<Heard>,
    ) -> Result<(), ActorProcessingErr> {
        hoard.push(delivery);
        Ok(())
    }
}
