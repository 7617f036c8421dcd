//! A start that the store refuses leaves nothing behind once it has returned.

use std::time::Duration;

use quell_actors::{NewRun, RunId, error::StartError, runtime::WhenBusy, sim::Storyteller};

use crate::support::{Fault, FaultyStore, ended, guarded, nothing_kept, opened, poet, settle};

#[tokio::test(start_paused = true)]
async fn a_start_that_was_refused_can_be_tried_again_at_once_under_the_same_id() {
    let store = FaultyStore::open();
    let runtime = opened(Default::default(), store.clone()).await;
    let agent = poet(Storyteller::new("la"));
    let new = |id| {
        let new = NewRun::new("Sing.").id(id).session("s");
        new.when_busy(WhenBusy::Reject)
    };
    for _ in 0..10 {
        let id = RunId::new();
        store.fail([Fault::Unavailable]);
        let refused = runtime.start(&agent, new(id)).await.unwrap_err();
        assert!(
            matches!(refused, StartError::StoreUnavailable(_)),
            "{refused:?}"
        );
        let run = runtime.start(&agent, new(id)).await.unwrap();
        ended(&run).await;
        settle().await;
        nothing_kept(&runtime);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_start_that_was_refused_on_another_thread_has_left_its_id_free() {
    let store = FaultyStore::open();
    let runtime = opened(Default::default(), store.clone()).await;
    let agent = poet(Storyteller::new("la").pace(Duration::ZERO));
    for _ in 0..500 {
        let new = NewRun::new("Sing.").id(RunId::new());
        store.fail([Fault::Unavailable]);
        runtime.start(&agent, new.clone()).await.unwrap_err();
        let run = runtime.start(&agent, new).await.unwrap();
        guarded(ended(&run)).await;
    }
}
