//! A model that always has a chunk ready still yields to the other tasks of its thread.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

use futures::stream;
use quell_actors::{Agent, Run, Runtime};

use super::{Scripted, settle, text};
use crate::support::{ended, foreign, nothing_left, start_under};

/// How many chunks a run may take before it yields.
const BURST: u64 = 64;

/// An agent whose model never ends. After every `stretch` chunks its stream is pending once, and wakes its reader at
/// once. It counts the chunks.
fn tireless(stretch: u64, chunks: &Arc<AtomicU64>) -> Agent {
    let chunks = chunks.clone();
    let model = Scripted(move || {
        let (chunks, mut said) = (chunks.clone(), 0);
        stream::poll_fn(move |cx| {
            if said == stretch {
                said = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            said += 1;
            chunks.fetch_add(1, Ordering::SeqCst);
            // Empty text is not stored, so no limit ends the run.
            Poll::Ready(Some(text("")))
        })
    });
    Agent::new("tireless", model)
}

/// The most chunks that all models together produced between two polls of a task that is always ready.
async fn most_between_turns(chunks: &Arc<AtomicU64>) -> u64 {
    let chunks = chunks.clone();
    let counting = tokio::spawn(async move {
        let before = chunks.load(Ordering::SeqCst);
        let mut most = 0;
        for _ in 0..200 {
            let before = chunks.load(Ordering::SeqCst);
            next_turn().await;
            most = most.max(chunks.load(Ordering::SeqCst) - before);
        }
        assert!(chunks.load(Ordering::SeqCst) > before, "the runs go on");
        most
    });
    counting.await.unwrap()
}

/// Goes to the end of the scheduler's queue, as a woken task does.
async fn next_turn() {
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn stop(runs: [Run; 3], runtime: &Runtime) {
    for run in runs {
        assert!(run.cancel().await.is_accepted());
        ended(&run).await;
    }
    nothing_left(runtime);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_always_ready_gives_others_their_turn_after_64_chunks() {
    for stretch in [u64::MAX, BURST - 1] {
        let chunks = Arc::default();
        let agent = tireless(stretch, &chunks);
        let (runtime, parent) = (Runtime::new(), foreign(false).await);
        let runs = [
            runtime.start(&agent, "Sing.").await.unwrap(),
            runtime.start(&agent, "Sing.").await.unwrap(),
            start_under(&parent, &runtime, &agent).await,
        ];
        settle().await;
        let most = most_between_turns(&chunks).await;
        assert!(most <= 3 * BURST, "{most} chunks of three runs in one turn");
        stop(runs, &runtime).await;
    }
}
