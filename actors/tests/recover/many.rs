//! Recovery of many runs.

use quell_actors::{Agent, NewRun, RunStatus, agent::OnCrash, store::RunQuery};

use super::{hanging, on, reopened};
use crate::support::{nothing_kept, opened, settle, shared::SharedStore};
use quell_actors::sim::Storyteller;

#[tokio::test(start_paused = true)]
async fn ten_thousand_unfinished_runs_are_all_settled() {
    let store = SharedStore::new();
    let first = on(&store).await;
    let agent = hanging();
    for _ in 0..10_000 {
        first.start(&agent, "Sing.").await.unwrap();
    }
    settle().await;
    let (second, recovered) = reopened(&store, &[]).await;
    assert_eq!(recovered.interrupted.len(), 10_000);
    assert_eq!(recovered.failed, []);
    let left = second.runs(RunQuery::unfinished()).await.unwrap();
    assert_eq!(left, []);
    nothing_kept(&second);
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_on_in_its_order_over_more_runs_than_are_read_at_a_time() {
    let store = SharedStore::new();
    let config = quell_actors::runtime::RuntimeConfig {
        max_waiting_in_session: 1_000,
        max_live_runs: 0,
        ..Default::default()
    };
    let first = opened(config.clone(), store.clone()).await;
    let agent: Agent = Agent::builder("poet", Storyteller::new("la"))
        .on_crash(OnCrash::Resume)
        .history_runs(0)
        .build()
        .unwrap();
    let mut ids = Vec::new();
    for _ in 0..600 {
        let run = NewRun::new("Sing.").session("s");
        ids.push(first.start(&agent, run).await.unwrap().id());
    }
    let config = quell_actors::runtime::RuntimeConfig {
        max_live_runs: 10,
        ..config
    };
    let recover = quell_actors::Runtime::builder().agent(&agent);
    let (second, recovered) = recover.config(config).open(store.another()).await.unwrap();
    assert_eq!(recovered.requeued, ids);
    tokio::time::sleep(std::time::Duration::from_secs(600)).await;
    let mut ended = Vec::new();
    for id in &ids {
        let events = store.stored(*id).await;
        assert_eq!(
            store.stored_head(*id).await.unwrap().status,
            RunStatus::Completed
        );
        ended.push(events.last().unwrap().at);
    }
    assert!(ended.is_sorted());
    nothing_kept(&second);
}
