//! The supervisor ends, alone or with its tokio runtime, at the worst time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use quell_actors::{
    Agent, CancelOutcome, Outcome, Run, RunStatus, Runtime,
    model::{ModelChunk, ModelUsage},
    outcome::ErrorReason,
    sim::Gate,
};

use super::{
    OddStore, Scripted, eventually, hanging, is_idle, no_threads, settle, slots, two_threads,
};
use crate::support::{ended, foreign, guarded, nothing_left, opened, start_under};

/// How many runs wait when the supervisor ends: enough to overflow the stack if each ended inside the ending of
/// another.
const QUEUE: usize = 10_000;

/// Starts a run, then one whose launch waits in the supervisor's mailbox, and fills the queue behind it. Returns the
/// last run. It needs two slots, and a thread that is shared with the supervisor.
async fn fill(runtime: &Runtime) -> Run {
    let agent = hanging();
    runtime.start(&agent, "Sing.").await.unwrap();
    settle().await;
    for _ in 0..QUEUE {
        runtime.start(&agent, "Sing.").await.unwrap();
    }
    runtime.start(&agent, "Sing.").await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_killed_supervisor_takes_a_full_queue_with_it() {
    let parent = foreign(false).await;
    let runtime = Runtime::builder()
        .config(slots(2))
        .under(parent.get_cell())
        .in_memory();
    let last = fill(&runtime).await;
    parent.get_cell().get_children().remove(0).kill();
    assert_eq!(ended(&last).await.status(), RunStatus::Error);
    settle().await;
    nothing_left(&runtime);
}

#[test]
fn a_dropped_tokio_runtime_takes_a_full_queue_with_it() {
    let tokio = no_threads();
    let (runtime, last) = tokio.block_on(async {
        let runtime = Runtime::builder().config(slots(2)).in_memory();
        let last = fill(&runtime).await;
        (runtime, last)
    });
    drop(tokio);
    assert_eq!(last.status(), RunStatus::Error);
    nothing_left(&runtime);
}

/// Panics when it is dropped.
struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_ends_though_its_model_panics_when_dropped() {
    let runtime = Runtime::builder().config(slots(0)).in_memory();
    let panics = PanicsWhenDropped;
    let model = Scripted(move || {
        let _ = &panics;
        futures::stream::pending()
    });
    let agent = Agent::new("poet", model);
    let run = runtime.start(&agent, "Sing.").await.unwrap();
    // From here on only the run holds the model.
    drop(agent);
    assert!(run.cancel().await.is_accepted());
    assert_eq!(ended(&run).await.status(), RunStatus::Cancelled);
    assert!(is_idle(&runtime));
}

/// An agent whose streams set `asked` when they are polled, and panic when they are dropped.
fn panicking(asked: &Arc<AtomicBool>) -> Agent {
    let asked = asked.clone();
    let model = Scripted(move || {
        let (asked, panics) = (asked.clone(), PanicsWhenDropped);
        futures::stream::poll_fn(move |_| {
            let _ = &panics;
            asked.store(true, Ordering::SeqCst);
            Poll::Pending
        })
    });
    Agent::new("poet", model)
}

#[tokio::test(start_paused = true)]
async fn a_kill_ends_a_run_whose_stream_panics_when_dropped() {
    let [parent, other] = [foreign(false).await, foreign(false).await];
    let runtime = Runtime::builder().under(parent.get_cell()).in_memory();
    let agent = panicking(&Arc::default());
    let run = runtime.start(&agent, "Sing.").await.unwrap();
    let linked = start_under(&other, &runtime, &agent).await;
    settle().await;
    parent.kill();
    let Outcome::Error(error) = ended(&run).await else {
        panic!("a killed run has failed");
    };
    assert!(
        matches!(error.reason, ErrorReason::Killed | ErrorReason::Panicked),
        "{error:?}"
    );
    // The other run is a child of a supervisor that lives on.
    assert!(linked.cancel().await.is_accepted());
    assert_eq!(ended(&linked).await.status(), RunStatus::Cancelled);
    assert!(is_idle(&runtime));
}

#[test]
fn a_dropped_tokio_runtime_ends_a_run_whose_stream_panics_when_dropped() {
    let tokio = two_threads();
    let run = tokio.block_on(async {
        let asked = Arc::default();
        let agent = panicking(&asked);
        let run = Runtime::new().start(&agent, "Sing.").await.unwrap();
        eventually(|| asked.load(Ordering::SeqCst)).await;
        run
    });
    drop(tokio);
    assert_eq!(run.status(), RunStatus::Error);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_runtime_goes_with_its_last_run() {
    let heads = Gate::new();
    let store = OddStore::new(&heads, false);
    let watch = store.watch();
    let runtime = opened(slots(1), store).await;
    let parent = foreign(true).await;
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(runtime.start(&hanging(), "Sing.").await.unwrap());
        runs.push(start_under(&parent, &runtime, &hanging()).await);
    }
    drop(runtime);
    for run in &runs {
        settle().await;
        let answer = run.cancel().await;
        assert!(
            matches!(answer, CancelOutcome::Accepted { durable: true, .. }),
            "{answer:?}"
        );
    }
    assert!(watch.strong_count() > 0);
    drop(runs);
    settle().await;
    assert_eq!(watch.strong_count(), 0, "something holds the runtime");
}

#[tokio::test(start_paused = true)]
async fn a_linked_run_has_one_drive_in_its_mailbox() {
    const BURSTS: u32 = 1_000;
    let rests = Arc::new(AtomicU64::new(0));
    let counted = rests.clone();
    // The stream wakes its reader for every chunk, and once more before the end of each burst.
    let model = Scripted(move || {
        let (mut left, rests) = (64 * BURSTS, counted.clone());
        futures::stream::poll_fn(move |cx: &mut Context<'_>| {
            if left == 0 {
                rests.fetch_add(1, Ordering::SeqCst);
                return Poll::Pending;
            }
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Ready(Some(Ok(ModelChunk::Usage(ModelUsage::default()))))
        })
    });
    let runtime = Runtime::new();
    let parent = foreign(false).await;
    let run = start_under(&parent, &runtime, &Agent::new("poet", model)).await;
    for _ in 0..100 {
        settle().await;
    }
    let rests = rests.load(Ordering::SeqCst);
    assert!((1..5).contains(&rests), "{rests} drives were left over");
    run.cancel().await;
    guarded(ended(&run)).await;
    nothing_left(&runtime);
}
