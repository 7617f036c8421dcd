//! A run looks the same after a crash as before it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use quell_actors::{
    Agent, EventKind, Outcome, RunEvent, RunId, Runtime, Store,
    agent::OnCrash,
    event::Started,
    id::Timestamp,
    message::Message,
    sim::Storyteller,
    store::{BatchId, Events, Expected},
    usage::Usage,
};

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

/// A run that another process began when its clock was a day ahead.
async fn begun_tomorrow(store: &SharedStore, agent: &Agent) -> RunId {
    let id = RunId::new();
    let tomorrow = SystemTime::now() + Duration::from_secs(24 * 60 * 60);
    let started = Started::new(agent.name(), vec![Message::user("Sing.")]);
    let events = Events::from_list(vec![RunEvent {
        run_id: id,
        seq: 1,
        at: Timestamp::from(tomorrow),
        kind: EventKind::Started(Arc::new(started)),
    }]);
    let expected = Expected {
        epoch: 1,
        last: 0,
        acquire: false,
    };
    let append = store.append(id, expected, BatchId(1), events.unwrap());
    append.await.unwrap();
    id
}

#[tokio::test(start_paused = true)]
async fn the_times_of_a_run_never_go_back() {
    let store = SharedStore::new();
    let agent = Agent::new("poet", Storyteller::new("one two"));
    let id = begun_tomorrow(&store, &agent).await;
    let (runtime, recovered) = reopened(&store, &[&agent]).await;
    assert_eq!(recovered.requeued, [id]);
    let run = runtime.get(id).await.unwrap().unwrap();
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    let times: Vec<_> = store.stored(id).await.iter().map(|e| e.at).collect();
    assert!(times.is_sorted(), "{times:?}");
}
