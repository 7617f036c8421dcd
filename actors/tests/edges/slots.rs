//! Slots: wherever a thread is preempted, a slot is given back, and goes to the next waiting run.

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

/// Preempts the thread that closes a log, once: it is held where the run's status is recorded, after the ending is
/// decided and before the runtime is notified.
struct Preempt(Mutex<Option<(oneshot::Sender<()>, mpsc::Receiver<()>)>>);

impl<S: Subscriber> Layer<S> for Preempt {
    fn on_record(&self, _: &Id, _: &Record<'_>, _: Context<'_, S>) {
        let held = self.0.lock().unwrap().take();
        if let Some((reached, go_on)) = held {
            let _ = reached.send(());
            // Other threads do the work that waits for this one, as if this thread were merely slow.
            let _ = tokio::task::block_in_place(|| go_on.recv_timeout(GUARD));
        }
    }
}

/// A subscriber that preempts, a signal that it has done so, and the sender that releases the thread.
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

/// A run that ends at once.
async fn short(runtime: &Runtime) -> Run {
    let agent = poet(Storyteller::new("one").pace(Duration::ZERO));
    runtime.start(&agent, "Sing.").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_is_given_back_when_the_ending_is_stored_first() {
    let store = FaultyStore::held();
    store.let_through(1);
    let runtime = opened(slots(1), store.clone()).await;
    // The first span of a run must not be made while only one thread has a subscriber.
    guarded(ended(&short(&Runtime::new()).await)).await;
    let (subscriber, reached, go_on) = preempting();
    let agent = poet(Storyteller::endless().stall_at(1).pace(Duration::ZERO));
    let run = {
        let _here = tracing::subscriber::set_default(subscriber);
        // The store accepts it at once, so that only this thread needs the subscriber.
        futures::executor::block_on(runtime.start(&agent, "Sing.")).unwrap()
    };
    eventually(|| store.appends() == 2).await;
    run.cancel();
    guarded(reached).await.unwrap();
    // The thread that ended the run has not notified the runtime yet; the store accepts the ending.
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
    // The cancelling thread is held before it notifies the runtime, and everything about the run is stored.
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
