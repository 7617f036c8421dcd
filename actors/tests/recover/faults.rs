//! A store that fails during recovery: runs that could not be settled are reported, the others are settled.

use quell_actors::{
    Agent, RunStatus, Runtime, agent::OnCrash, error::EventsError, runtime::RuntimeConfig,
    sim::Storyteller,
};
use std::time::Duration;

use super::{hanging, on, reopened};
use crate::support::{nothing_kept, settle, shared::SharedStore};

#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_be_read_is_named_and_left_as_it_is() {
    let store = SharedStore::new();
    let id = on(&store)
        .await
        .start(&hanging(), "Sing.")
        .await
        .unwrap()
        .id();
    settle().await;
    let view = store.another();
    view.unreadable(true);
    let (runtime, recovered) = Runtime::builder().open(view).await.unwrap();
    let [(failed, error)] = &recovered.failed[..] else {
        panic!("{recovered:?}");
    };
    assert_eq!(*failed, id);
    assert!(matches!(error, EventsError::Read { .. }), "{error:?}");
    assert_eq!(
        store.stored_head(id).await.unwrap().status,
        RunStatus::Running
    );
    nothing_kept(&runtime);
    let (_, recovered) = reopened(&store, &[]).await;
    assert_eq!(recovered.interrupted, [id], "the next one may");
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_settling_stays_in_doubt_is_named() {
    for on_crash in [OnCrash::Fail, OnCrash::Resume] {
        let store = SharedStore::new();
        let agent = Agent::builder("poet", Storyteller::endless().stall_at(0));
        let agent = agent.on_crash(on_crash).build().unwrap();
        let id = on(&store).await.start(&agent, "Sing.").await.unwrap().id();
        settle().await;
        let view = store.another();
        view.doubt(true);
        let config = RuntimeConfig {
            store_patience: Duration::from_secs(3),
            ..RuntimeConfig::default()
        };
        let recover = Runtime::builder().agent(&agent);
        let (runtime, recovered) = recover.config(config).open(view).await.unwrap();
        assert_eq!(recovered.failed.len(), 1, "{recovered:?}");
        assert_eq!(recovered.failed[0].0, id);
        settle().await;
        nothing_kept(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_that_is_settled_in_time_is_no_failure() {
    let store = SharedStore::new();
    let id = on(&store)
        .await
        .start(&hanging(), "Sing.")
        .await
        .unwrap()
        .id();
    settle().await;
    let view = store.another();
    view.doubt(true);
    let settles = view.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        settles.doubt(false);
    });
    let (runtime, recovered) = Runtime::builder().open(view).await.unwrap();
    assert_eq!(recovered.interrupted, [id]);
    assert_eq!(recovered.failed, []);
    nothing_kept(&runtime);
}
