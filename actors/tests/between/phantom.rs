//! A start whose id belongs to an ended run is not that run, although it is there for a moment.

use quell_actors::{
    CancelOutcome, CancelRequest, NewRun, RunId, RunStatus, Runtime, error::StartError,
    runtime::Scope, sim::Storyteller,
};
use tokio::task::JoinHandle;

use crate::support::{FaultyStore, ended, nothing_kept, opened, poet, settle};

type Starting = JoinHandle<Result<quell_actors::Run, StartError>>;

/// An id whose run has completed, and a start of the same id that the store has not refused yet.
async fn phantom(store: &FaultyStore, runtime: &Runtime) -> (RunId, Starting) {
    let agent = poet(Storyteller::new("la"));
    let new = NewRun::new("Sing.").id(RunId::new());
    store.let_through(100);
    let run = runtime.start(&agent, new).await.unwrap();
    ended(&run).await;
    settle().await;
    let id = run.id();
    drop(run);
    store.hold();
    let runtime = runtime.clone();
    let starting = tokio::spawn(async move {
        let again = NewRun::new("Sing.").id(id);
        runtime.start(&agent, again).await
    });
    settle().await;
    (id, starting)
}

#[tokio::test(start_paused = true)]
async fn a_cancel_and_a_lookup_are_of_the_run_that_has_ended_and_not_of_a_start_of_its_id() {
    let store = FaultyStore::held();
    let runtime = opened(Default::default(), store.clone()).await;
    let (id, starting) = phantom(&store, &runtime).await;
    let cancel = runtime.cancel(id);
    assert_eq!(cancel.decided(), None);
    let many = runtime.cancel_all(Scope::all(), CancelRequest::default());
    let found = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.get(id).await }
    });
    settle().await;
    assert!(!found.is_finished(), "the store has not decided");
    store.release();
    let status = RunStatus::Completed;
    assert_eq!(cancel.await, CancelOutcome::AlreadyEnded { status });
    assert_eq!(many.await.unwrap(), [], "it had ended");
    let found = found.await.unwrap().unwrap().unwrap();
    assert_eq!(found.status(), RunStatus::Completed);
    assert_eq!(ended(&found).await.text(), "la");
    let refused = starting.await.unwrap().unwrap_err();
    assert_eq!(refused, StartError::DuplicateRun(id));
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_of_a_start_that_is_not_stored_yet_holds_when_it_is() {
    let store = FaultyStore::held();
    let runtime = opened(Default::default(), store.clone()).await;
    let model = Storyteller::endless();
    let (id, probe) = (RunId::new(), model.probe());
    let starting = tokio::spawn({
        let (runtime, agent) = (runtime.clone(), poet(model));
        async move { runtime.start(&agent, NewRun::new("Sing.").id(id)).await }
    });
    settle().await;
    let cancel = runtime.cancel(id);
    store.release();
    assert!(cancel.await.is_accepted());
    let run = starting.await.unwrap().unwrap();
    assert_eq!(ended(&run).await.status(), RunStatus::Cancelled);
    assert_eq!(probe.requests(), 0);
}
