//! Readers whose wakers panic, call back, or cancel.

use std::{
    sync::Arc,
    task::{Context, Wake, Waker},
    time::Duration,
};

use futures::StreamExt;
use quell_actors::{
    NewRun, Run, RunId, RunStatus, Runtime,
    run::EventStream,
    runtime::Shutdown,
    sim::{Gate, Storyteller},
};

use super::{begun, hanging, is_idle, no_threads, on_a_thread, settle, slots};
use crate::support::{FaultyStore, ended, guarded, nothing_left, opened, poet, watcher::watcher};

/// Registers `waker` for the next event of `events`.
fn wait_with(events: &mut EventStream, waker: &Waker) {
    let mut cx = Context::from_waker(waker);
    assert!(events.poll_next_unpin(&mut cx).is_pending());
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("woken");
    }
}

/// Starts a run of three words, which waits at `gate`.
async fn at_the_gate(runtime: &Runtime, gate: &Gate) -> Run {
    let agent = poet(Storyteller::new("one two three").gate(gate));
    let run = runtime.start(&agent, "Sing.").await.unwrap();
    settle().await;
    run
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_is_no_fault_of_the_model() {
    let (runtime, gate) = (Runtime::new(), Gate::new());
    let run = at_the_gate(&runtime, &gate).await;
    // This reader waits for the first word.
    let mut events = run.events_from(3);
    wait_with(&mut events, &Waker::from(Arc::new(Panics)));
    gate.open();
    let outcome = guarded(ended(&run)).await;
    assert_eq!(outcome.status(), RunStatus::Completed, "{outcome:?}");
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_keeps_no_other_reader_waiting() {
    let (runtime, gate) = (Runtime::new(), Gate::new());
    let run = at_the_gate(&runtime, &gate).await;
    // Only the ending wakes these readers.
    let mut events = run.events_from(1_000);
    wait_with(&mut events, &Waker::from(Arc::new(Panics)));
    let mut others = run.events_from(1_000);
    let other = begun(async move { others.next().await }).await;
    let outcome = begun({
        let run = run.clone();
        async move { run.outcome().await }
    })
    .await;
    gate.open();
    assert!(guarded(other).await.is_none());
    let outcome = guarded(outcome).await.unwrap();
    assert_eq!(outcome.status(), RunStatus::Completed, "{outcome:?}");
    settle().await;
    assert!(is_idle(&runtime));
}

/// A waker that calls the run when it is dropped.
struct AsksWhenDropped(Run);

impl Wake for AsksWhenDropped {
    fn wake(self: Arc<Self>) {}
}

impl Drop for AsksWhenDropped {
    fn drop(&mut self) {
        self.0.status();
    }
}

#[test]
fn a_waker_may_ask_the_run_when_it_is_dropped() {
    on_a_thread(|| {
        no_threads().block_on(async {
            let run = Runtime::new().start(&hanging(), "Sing.").await.unwrap();
            let mut events = run.events_from(50);
            wait_with(
                &mut events,
                &Waker::from(Arc::new(AsksWhenDropped(run.clone()))),
            );
            // Another task continues to read, so the first waker is dropped.
            wait_with(&mut events, Waker::noop());
        });
    });
}

/// A waker that calls the runtime when it is woken.
struct AsksWhenWoken(Runtime);

impl Wake for AsksWhenWoken {
    fn wake(self: Arc<Self>) {
        nothing_left(&self.0);
    }
}

#[test]
fn a_waker_may_ask_the_runtime() {
    on_a_thread(|| {
        no_threads().block_on(async {
            let runtime = Runtime::new();
            let run = runtime.start(&hanging(), "Sing.").await.unwrap();
            let limits = Shutdown {
                finish_within: Duration::from_secs(60),
                ..Shutdown::default()
            };
            let mut shutdown = std::pin::pin!(runtime.shutdown(limits));
            let waker = Waker::from(Arc::new(AsksWhenWoken(runtime.clone())));
            let mut cx = Context::from_waker(&waker);
            assert!(shutdown.as_mut().poll(&mut cx).is_pending());
            run.cancel().await;
            assert_eq!(shutdown.await.finished, 1);
        });
    });
}

/// A waker that cancels the run when it is woken.
struct CancelsWhenWoken(Runtime, RunId);

impl Wake for CancelsWhenWoken {
    fn wake(self: Arc<Self>) {
        drop(self.0.cancel(self.1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_hears_changes_in_order_though_a_reader_makes_more_of_them() {
    let store = FaultyStore::held();
    let runtime = opened(slots(0), store.clone()).await;
    let gate = Gate::new();
    gate.open();
    let mut ears = watcher(&runtime, &gate).await;
    let id = RunId::new();
    let starting = begun({
        let runtime = runtime.clone();
        async move { runtime.start(&hanging(), NewRun::new("Sing.").id(id)).await }
    })
    .await;
    // The run is found when its start is stored.
    let mut reader = std::pin::pin!(runtime.get(id));
    let waker = Waker::from(Arc::new(CancelsWhenWoken(runtime.clone(), id)));
    let mut cx = Context::from_waker(&waker);
    assert!(reader.as_mut().poll(&mut cx).is_pending());
    store.release();
    starting.await.unwrap();
    let mut changes = Vec::new();
    while changes.last() != Some(&RunStatus::Cancelled) {
        let change = guarded(ears.recv()).await.unwrap().unwrap();
        assert_eq!(change.run_id, id);
        changes.push(change.status);
    }
    let in_order = [
        RunStatus::Pending,
        RunStatus::Cancelling,
        RunStatus::Cancelled,
    ];
    assert_eq!(changes, in_order);
}
