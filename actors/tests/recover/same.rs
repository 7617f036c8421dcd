//! A run looks the same after a crash as before it.

use std::time::Duration;

use quell_actors::{Agent, Outcome, Runtime, agent::OnCrash, sim::Storyteller, usage::Usage};

use super::{on, reopened};
use crate::support::{ended, partial, shared::SharedStore};

/// An agent with a long input, whose model says three words and reports no usage.
fn agent() -> Agent {
    Agent::builder("poet", Storyteller::new("one two three four").stall_at(3))
        .instructions("Be kind. ".repeat(500))
        .on_crash(OnCrash::Fail)
        .build()
        .unwrap()
}

async fn cancelled_live() -> Usage {
    let run = Runtime::new().start(&agent(), "Sing.").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    run.cancel().await;
    partial(&ended(&run).await).receipt.usage
}

#[tokio::test(start_paused = true)]
async fn the_estimate_of_a_request_is_the_same_after_a_crash() {
    let store = SharedStore::new();
    let id = on(&store)
        .await
        .start(&agent(), "Sing.")
        .await
        .unwrap()
        .id();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (runtime, _) = reopened(&store, &[&agent()]).await;
    let run = runtime.get(id).await.unwrap().unwrap();
    let outcome = ended(&run).await;
    assert!(matches!(outcome, Outcome::Error(_)), "{outcome:?}");
    assert_eq!(outcome.usage(), cancelled_live().await);
}
