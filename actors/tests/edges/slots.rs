//! Slots: whoever is preempted where, a slot is given back, and goes to who waits.

use std::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use quell_actors::{NewRun, Run, RunId, RunStatus, Runtime, sim::Storyteller};
use tokio::sync::oneshot;
use tracing::{
    Subscriber,
    span::{Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

use super::{begun, eventually, hanging, is_idle, slots};
use crate::support::{FaultyStore, GUARD, ended, guarded, nothing_left, opened, poet};

/// Preempts the thread that closes a log, once: it is held where the run's status is recorded, between the moment in
/// which the ending is decided and the one in which the runtime is told of it.
struct Preempt(Mutex<Option<(oneshot::Sender<()>, mpsc::Receiver<()>)>>);

impl<S: Subscriber> Layer<S> for Preempt {
    fn on_record(&self, _: &Id, _: &Record<'_>, _: Context<'_, S>) {
        let held = self.0.lock().unwrap().take();
        if let Some((reached, go_on)) = held {
            let _ = reached.send(());
            // Another thread takes over what waits for this one, as if this one had merely been slow.
            let _ = tokio::task::block_in_place(|| go_on.recv_timeout(GUARD));
        }
    }
}

/// A subscriber that preempts, a signal that it has, and what lets the thread go on.
fn preempting() -> (
    impl Subscriber + Send + Sync,
    oneshot::Receiver<()>,
    mpsc::Sender<()>,
) {
    let (reached, is_reached) = oneshot::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let layer = Preempt(Mutex::new(Some((reached, may_go_on))));
    let subscriber = tracing_subscriber::registry().with(layer);
    (subscriber, is_reached, go_on)
}

/// A run that is over at once.
async fn short(runtime: &Runtime) -> Run {
    let agent = poet(Storyteller::new("one").pace(Duration::ZERO));
    runtime.start(&agent, "Sing.").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_is_given_back_when_the_ending_is_stored_first() {
    let store = FaultyStore::held();
    store.let_through(1);
    let runtime = opened(slots(1), store.clone()).await;
    // No span of a run is made for the first time while there is a subscriber on one thread only.
    guarded(ended(&short(&Runtime::new()).await)).await;
    let (subscriber, reached, go_on) = preempting();
    let agent = poet(Storyteller::endless().stall_at(1).pace(Duration::ZERO));
    let run = {
        let _here = tracing::subscriber::set_default(subscriber);
        // The store takes it at once, so that the subscriber is needed on this thread only.
        futures::executor::block_on(runtime.start(&agent, "Sing.")).unwrap()
    };
    eventually(|| store.appends() == 2).await;
    run.cancel();
    guarded(reached).await.unwrap();
    // Whoever ended the run has not told the runtime yet; the store takes the ending.
    store.release();
    let outcome = guarded(run.outcome()).await.unwrap();
    assert_eq!(outcome.status(), RunStatus::Cancelled);
    eventually(|| is_idle(&runtime)).await;
    go_on.send(()).unwrap();

    let next = short(&runtime).await;
    assert_eq!(guarded(ended(&next)).await.text(), "one");
    nothing_left(&runtime);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_free_slot_goes_to_who_waits_after_one_who_gave_up() {
    let store = FaultyStore::held();
    store.let_through(1);
    let runtime = opened(slots(1), store.clone()).await;
    let live = runtime.start(&hanging(), "Sing.").await.unwrap();

    let id = RunId::new();
    let (subscriber, reached, go_on) = preempting();
    let starting = {
        let runtime = runtime.clone();
        let _here = tracing::subscriber::set_default(subscriber);
        let starting = async move { runtime.start(&hanging(), NewRun::new("Sing.").id(id)).await };
        futures::executor::block_on(begun(starting))
    };
    let cancelling = std::thread::spawn({
        let runtime = runtime.clone();
        move || futures::executor::block_on(runtime.cancel(id))
    });
    guarded(reached).await.unwrap();
    // Whoever gave up stands before the runtime, and everything about the run is stored.
    store.release();
    let gave_up = guarded(starting).await.unwrap();
    guarded(gave_up.outcome()).await.unwrap();
    eventually(|| format!("{runtime:?}").contains("runs: 1")).await;
    go_on.send(()).unwrap();
    assert!(cancelling.join().unwrap().is_accepted());

    let waits = short(&runtime).await;
    live.cancel().await;
    assert_eq!(guarded(ended(&waits)).await.text(), "one");
    nothing_left(&runtime);
}
