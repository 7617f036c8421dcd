//! Values as large and as small as they can be.

use std::time::Duration;

use futures::stream;
use quell_actors::{
    Agent, EventKind, Outcome, RunEvent, RunId, RunStatus, Runtime, Store,
    agent::RetryPolicy,
    cancel::Activity,
    id::Timestamp,
    model::{ModelError, ModelErrorKind, Retry},
    runtime::RuntimeConfig,
    sim::Storyteller,
    store::Events,
};

use super::{Scripted, settle};
use crate::support::{FaultyStore, ended, opened, poet};

#[tokio::test(start_paused = true)]
async fn nothing_is_read_far_beyond_the_end() {
    let store = FaultyStore::open();
    let runtime = opened(RuntimeConfig::default(), store.clone()).await;
    let run = runtime
        .start(&poet(Storyteller::new("one")), "Sing.")
        .await
        .unwrap();
    ended(&run).await;
    assert!(run.events_from(u64::MAX).next().await.is_none());
    assert_eq!(store.read(run.id(), u64::MAX, 10).await, Ok(Vec::new()));
    let all = store.read(run.id(), 0, usize::MAX).await.unwrap();
    assert!(all.last().unwrap().is_last());
}

#[tokio::test(start_paused = true)]
async fn a_pause_may_have_no_end() {
    let asked_for = RetryPolicy {
        longest_wait: Duration::MAX,
        ..RetryPolicy::default()
    };
    let own = RetryPolicy {
        base: Duration::MAX,
        cap: Duration::MAX,
        ..RetryPolicy::default()
    };
    for (retry, policy) in [
        (Retry::After(Duration::MAX), asked_for),
        (Retry::Backoff, own),
    ] {
        let model = Scripted(move || {
            let error = ModelError::new(ModelErrorKind::Connect, "busy");
            stream::iter([Err(error.with_retry(retry))])
        });
        let agent = Agent::builder("poet", model).retry(policy).build().unwrap();
        let run = Runtime::new().start(&agent, "Sing.").await.unwrap();
        settle().await;
        assert_eq!(run.status(), RunStatus::Running);
        run.cancel().await;
        let Outcome::Cancelled(partial) = ended(&run).await else {
            panic!("the run was asleep");
        };
        assert_eq!(partial.receipt.cut, Activity::Retrying);
    }
}

#[test]
fn a_list_of_events_may_have_any_position() {
    let run_id = RunId::new();
    let event = |seq| RunEvent {
        run_id,
        seq,
        at: Timestamp::from_millis(0),
        kind: EventKind::Content { text: "".into() },
    };
    assert!(Events::from_list(vec![event(0)]).is_none());
    assert!(Events::from_list(vec![event(0), event(1)]).is_none());
    assert!(Events::from_list(vec![event(u64::MAX), event(0)]).is_none());
    // It may be refused, but if it is accepted, it is complete.
    if let Some(events) = Events::from_list(vec![event(u64::MAX)]) {
        let all: Vec<_> = events.iter().collect();
        assert_eq!(all, [event(u64::MAX)]);
    }
}
