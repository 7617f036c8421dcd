//! A long history is read in slices.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use quell_actors::{EventKind, Runtime, sim::Storyteller};

use super::in_s;
use crate::support::{ended, poet, settle, until};

/// How many words the run before has said.
const WORDS: usize = 10_000;

#[tokio::test(start_paused = true)]
async fn others_have_their_turn_while_a_long_history_is_read() {
    let runtime = Runtime::new();
    let long = Storyteller::new(&"la ".repeat(WORDS)).pace(Duration::ZERO);
    let before = runtime.start(&poet(long), in_s("Sing.")).await.unwrap();
    ended(&before).await;
    settle().await;

    let turns = Arc::new(AtomicUsize::new(0));
    let counted = turns.clone();
    let other = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    });
    let agent = poet(Storyteller::new("lo"));
    let run = runtime.start(&agent, in_s("Again.")).await.unwrap();
    let at_first = turns.load(Ordering::SeqCst);
    until(&run, |kind| {
        matches!(kind, EventKind::ModelRequestStarted { .. })
    })
    .await;
    let had = turns.load(Ordering::SeqCst) - at_first;
    other.abort();
    // The history is read 256 events at a time.
    assert!(had >= WORDS / 256, "only {had} turns");
}
