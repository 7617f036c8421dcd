//! What a handle says of a run that its process does not have in memory.

use std::time::Duration;

use futures::future::join_all;
use quell_actors::{
    Agent, CancelOutcome, CancelReason, CancelRequest, EventKind, Outcome, RunStatus, Runtime,
    agent::Limits,
    error::EventsError,
    run::SteerOutcome,
    runtime::{RuntimeConfig, Scope},
    sim::{Gate, Storyteller},
};

use super::{approve, clerk, on, paused, payer, with_pay};
use crate::support::{
    ended, nothing_kept, opened, partial, poet, settle, shared::SharedStore, tools::Ledger, until,
};

/// A run of another process, which has said one word, and its gate.
async fn elsewhere(store: &SharedStore) -> (quell_actors::Run, Gate) {
    let gate = Gate::new();
    gate.let_through(2);
    let agent = poet(Storyteller::new("one two three").gate(&gate));
    let run = on(&store.another()).await.start(&agent, "Sing.").await;
    let run = run.unwrap();
    until(&run, |kind| matches!(kind, EventKind::Content { .. })).await;
    (run, gate)
}

#[tokio::test(start_paused = true)]
async fn a_run_of_another_process_is_shown_as_far_as_it_is_stored_and_not_cancelled() {
    let store = SharedStore::new();
    let runtime = on(&store).await;
    let (run, gate) = elsewhere(&store).await;
    let found = runtime.get(run.id()).await.unwrap().unwrap();
    assert_eq!(found.status(), RunStatus::Running);
    let status = RunStatus::Running;
    let not_here = CancelOutcome::NotHere { status };
    assert_eq!(found.cancel().await, not_here);
    assert_eq!(runtime.cancel(run.id()).await, not_here);
    let remember = CancelRequest::default().remember();
    assert_eq!(runtime.cancel_with(run.id(), remember).await, not_here);
    assert_eq!(found.steer("Wait.").await, SteerOutcome::TooLate { status });

    let stored = store.stored(run.id()).await;
    let last_stored = stored.last().unwrap().seq;
    let not_here = EventsError::NotHere { last_stored };
    let mut events = found.events();
    for event in &stored {
        assert_eq!(events.next().await.unwrap().unwrap(), *event);
    }
    assert_eq!(events.next().await.unwrap().unwrap_err(), not_here);
    assert!(events.next().await.is_none());
    assert_eq!(found.outcome().await.unwrap_err(), not_here);

    // It ends there, and the same handle is shown that too.
    gate.open();
    let outcome = ended(&run).await;
    assert_eq!(found.outcome().await.unwrap(), outcome);
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_handle_of_a_paused_run_follows_it_when_it_goes_on() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let runtime = on(&store).await;
    let id = paused(&runtime, &clerk(&ledger), "Pay.").await.id();
    let found = runtime.get(id).await.unwrap().unwrap();
    let other = runtime.get(id).await.unwrap().unwrap();
    assert_eq!(found.status(), RunStatus::Paused);
    let run = runtime.continue_run(id, approve()).await.unwrap();
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    drop(run);
    for handle in [found, other] {
        assert_eq!(handle.status(), RunStatus::Completed);
        let status = RunStatus::Completed;
        let answer = handle.cancel().await;
        assert_eq!(answer, CancelOutcome::AlreadyEnded { status });
        ended(&handle).await;
    }
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn where_a_paused_run_stands_is_known_without_its_log() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let runtime = on(&store).await;
    let model = payer().saying_first(&"word ".repeat(1_000));
    let agent = with_pay(model, &ledger).build().unwrap();
    let id = paused(&runtime, &agent, "Pay.").await.id();
    let reads = store.reads();
    let found = runtime.get(id).await.unwrap().unwrap();
    assert_eq!(found.status(), RunStatus::Paused);
    assert_eq!(store.reads() - reads, 1, "its last event");
    let reads = store.reads();
    found.events().next().await.unwrap().unwrap();
    assert!(store.reads() - reads >= 4, "all of its pages");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_that_look_for_one_paused_run_read_it_once() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let runtime = on(&store).await;
    let id = paused(&runtime, &clerk(&ledger), "Pay.").await.id();
    store.slow_reads();
    let reads = store.reads();
    let found = join_all((0..1_000).map(|_| runtime.get(id))).await;
    // Those that came while the first was reading share a second reading: nobody is given what was read before it asked.
    assert!(store.reads() - reads <= 2, "{}", store.reads() - reads);
    let runs: Vec<_> = found.into_iter().map(|run| run.unwrap().unwrap()).collect();
    let reads = store.reads();
    let follow = runs.iter().map(|run| async move {
        let mut events = run.events();
        events.next().await.unwrap().unwrap();
        events
    });
    let streams = join_all(follow).await;
    assert_eq!(store.reads() - reads, 1);
    drop((streams, runs));
    runtime.cancel(id).await;
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn those_that_expire_together_are_not_all_in_memory_at_once() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let runtime = on(&store).await;
    let day = Duration::from_secs(24 * 60 * 60);
    let limits = Limits {
        pause_expiry: Some(day),
        ..Limits::default()
    };
    let model = payer().pace(Duration::ZERO);
    let agent = with_pay(model, &ledger).limits(limits).build().unwrap();
    let mut ids = Vec::new();
    for _ in 0..300 {
        ids.push(paused(&runtime, &agent, "Pay.").await.id());
    }
    store.slow_reads();
    tokio::time::sleep(2 * day).await;
    settle().await;
    for id in ids {
        let head = store.stored_head(id).await.unwrap();
        assert_eq!(head.status, RunStatus::Cancelled);
    }
    assert!(store.most_at_once() <= 64, "{}", store.most_at_once());
    nothing_kept(&runtime);
}

async fn impatient(store: &SharedStore) -> Runtime {
    let config = RuntimeConfig {
        store_patience: Duration::from_secs(1),
        ..RuntimeConfig::default()
    };
    opened(config, store.clone()).await
}

/// A run that is paused in the store only.
async fn paused_there(store: &SharedStore, runtime: &Runtime) -> quell_actors::RunId {
    let agent: Agent = clerk(&Ledger::default());
    let id = paused(runtime, &agent, "Pay.").await.id();
    assert_eq!(
        store.stored_head(id).await.unwrap().status,
        RunStatus::Paused
    );
    id
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_for_a_moment_loses_no_cancel() {
    let store = SharedStore::new();
    let runtime = impatient(&store).await;
    let id = paused_there(&store, &runtime).await;
    store.unreadable(true);
    let cancel = runtime.cancel(id);
    assert_eq!(cancel.decided(), None);
    settle().await;
    store.unreadable(false);
    assert!(cancel.await.is_accepted());
    let run = runtime.get(id).await.unwrap().unwrap();
    let outcome = ended(&run).await;
    assert_eq!(partial(&outcome).receipt.reason, CancelReason::Requested);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_says_when_the_store_could_not_be_read() {
    let store = SharedStore::new();
    let runtime = impatient(&store).await;
    let id = paused_there(&store, &runtime).await;
    store.unreadable(true);
    assert_eq!(runtime.cancel(id).await, CancelOutcome::Unreadable);
    let remember = CancelRequest::default().remember();
    let answer = runtime.cancel_with(id, remember).await;
    assert_eq!(answer, CancelOutcome::Unreadable);
    let request = CancelRequest::default;
    let answers = runtime.cancel_all(Scope::all(), request()).await.unwrap();
    assert_eq!(answers, [(id, CancelOutcome::Unreadable)]);

    // One that runs here is cancelled all the same.
    store.unlisted(true);
    let hanging = poet(Storyteller::endless().stall_at(0));
    let here = runtime.start(&hanging, "Sing.").await.unwrap();
    let failed = runtime.cancel_all(Scope::all(), request()).await;
    let failed = failed.unwrap_err();
    assert!(matches!(failed.source, EventsError::Read(_)), "{failed:?}");
    assert_eq!(failed.answers.len(), 1);
    assert_eq!(failed.answers[0].0, here.id());
    assert!(failed.answers[0].1.is_accepted());

    store.unlisted(false);
    store.unreadable(false);
    assert!(runtime.cancel(id).await.is_accepted());
}

#[tokio::test(start_paused = true)]
async fn a_cancel_whose_future_is_dropped_holds_for_paused_runs_too() {
    let store = SharedStore::new();
    let runtime = on(&store).await;
    let one = paused_there(&store, &runtime).await;
    store.slow_reads();
    drop(runtime.cancel(one));
    settle().await;
    let status = async |id| store.stored_head(id).await.unwrap().status;
    assert_eq!(status(one).await, RunStatus::Cancelled);
    let ids = [
        paused_there(&store, &runtime).await,
        paused_there(&store, &runtime).await,
    ];
    drop(runtime.cancel_all(Scope::all(), CancelRequest::default()));
    settle().await;
    for id in ids {
        assert_eq!(status(id).await, RunStatus::Cancelled);
    }
    nothing_kept(&runtime);
}
