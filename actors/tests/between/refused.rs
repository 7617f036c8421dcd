//! A start that the store refuses leaves nothing behind once it has returned.

use std::time::Duration;

use futures::FutureExt;
use quell_actors::{
    CancelReason, NewRun, Outcome, Run, RunId, RunStatus, Runtime, error::StartError,
    runtime::WhenBusy, sim::Storyteller,
};

use crate::support::{
    Fault, FaultyStore, ended, guarded, nothing_kept, opened, partial, poet, settle,
    shared::SharedStore,
};

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

/// A run of the session that is at work until it is cancelled.
async fn at_work(runtime: &Runtime) -> Run {
    let hangs = poet(Storyteller::endless().stall_at(0));
    let run = NewRun::new("Sing.").session("s");
    let run = runtime.start(&hangs, run).await.unwrap();
    settle().await;
    assert_eq!(run.status(), RunStatus::Running);
    run
}

fn interrupts(id: RunId) -> NewRun {
    let new = NewRun::new("Sing.").id(id).session("s");
    new.when_busy(WhenBusy::Interrupt)
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_refused_has_interrupted_nobody() {
    let store = FaultyStore::open();
    let runtime = opened(Default::default(), store.clone()).await;
    let agent = poet(Storyteller::new("la"));
    let used = RunId::new();
    let before = runtime.start(&agent, NewRun::new("Sing.").id(used));
    ended(&before.await.unwrap()).await;
    let run = at_work(&runtime).await;
    let twice = runtime.start(&agent, interrupts(used)).await.unwrap_err();
    assert_eq!(twice, StartError::DuplicateRun(used));
    settle().await;
    assert_eq!(run.status(), RunStatus::Running);

    store.fail([Fault::Unavailable]);
    let refused = runtime.start(&agent, interrupts(RunId::new())).await;
    assert!(refused.is_err(), "{refused:?}");
    settle().await;
    assert_eq!(run.status(), RunStatus::Running);
    run.cancel().await;
    ended(&run).await;
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_nobody_waits_for_interrupts_when_it_is_stored() {
    let store = SharedStore::new();
    let runtime = opened(Default::default(), store.clone()).await;
    let run = at_work(&runtime).await;
    store.freeze_after(0);
    let (agent, id) = (poet(Storyteller::new("la")), RunId::new());
    let start = async { runtime.start(&agent, interrupts(id)).await };
    assert!(Box::pin(start).as_mut().now_or_never().is_none());
    settle().await;
    assert_eq!(run.status(), RunStatus::Running, "there may be no such run");
    store.thaw();
    let outcome = ended(&run).await;
    assert_eq!(partial(&outcome).receipt.reason, CancelReason::Superseded);
    let next = runtime.get(id).await.unwrap().unwrap();
    assert!(matches!(ended(&next).await, Outcome::Completed(_)));
    settle().await;
    nothing_kept(&runtime);
}
