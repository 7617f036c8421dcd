//! Stores that hang, return nonsense, report unknown outcomes, or are shared.

use std::time::Duration;

use quell_actors::{
    Agent, CancelReason, EventKind, NewRun, Outcome, RunId, RunStatus, Store,
    agent::Limits,
    error::{EventsError, StartError},
    runtime::RuntimeConfig,
    sim::{Gate, Storyteller},
};

use super::{OddStore, hanging, is_idle, settle};
use crate::support::{
    Fault, FaultyStore, all_events, ended, guarded, nothing_left, opened, poet, until,
};

fn patience(store_patience: Duration) -> RuntimeConfig {
    RuntimeConfig {
        store_patience,
        ..RuntimeConfig::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_is_lost() {
    let store = FaultyStore::held();
    store.let_through(1);
    let runtime = opened(patience(Duration::from_secs(10)), store.clone()).await;
    let run = runtime.start(&hanging(), "Sing.").await.unwrap();
    run.cancel();
    let lost = guarded(run.outcome()).await.unwrap_err();
    assert_eq!(lost, EventsError::StoreLost { last_stored: 1 });
    settle().await;
    assert!(is_idle(&runtime));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_a_store_never_answers_is_in_doubt() {
    let store = FaultyStore::held();
    let runtime = opened(patience(Duration::from_secs(10)), store).await;
    let refused = guarded(runtime.start(&hanging(), "Sing.")).await;
    assert!(
        matches!(refused, Err(StartError::StoreUnknown(_))),
        "{refused:?}"
    );
    settle().await;
    assert!(is_idle(&runtime));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_while_the_run_waits_for_the_store() {
    let store = FaultyStore::held();
    store.let_through(1);
    let runtime = opened(patience(Duration::from_secs(3600)), store.clone()).await;
    // Long before the deadline it produces more than may wait for the store.
    let model = Storyteller::endless().pace(Duration::from_millis(1));
    let probe = model.probe();
    let agent = Agent::builder("poet", model)
        .deadline(Duration::from_secs(60))
        .build()
        .unwrap();
    let run = runtime.start(&agent, "Sing.").await.unwrap();
    probe.asked(1).await;
    guarded(probe.closed()).await;
    assert_eq!(run.status(), RunStatus::Cancelled);
    store.release();
    let Outcome::Cancelled(partial) = ended(&run).await else {
        panic!("a deadline cancels");
    };
    assert_eq!(partial.receipt.reason, CancelReason::Deadline);
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_is_not_a_silent_model() {
    let store = FaultyStore::open();
    let runtime = opened(patience(Duration::from_secs(600)), store.clone()).await;
    let limits = Limits {
        silence: Some(Duration::from_secs(10)),
        ..Limits::default()
    };
    let model = Storyteller::new("one two three").pace(Duration::from_secs(1));
    let agent = Agent::builder("poet", model)
        .limits(limits)
        .build()
        .unwrap();
    let run = runtime.start(&agent, "Sing.").await.unwrap();
    until(&run, |kind| matches!(kind, EventKind::Content { .. })).await;
    // The retries take twice as long as the model may be silent.
    store.fail([Fault::UnknownBeforeStoring; 25]);
    let outcome = ended(&run).await;
    assert_eq!(outcome.status(), RunStatus::Completed, "{outcome:?}");
    assert_eq!(outcome.text(), "one two three");
}

#[tokio::test(start_paused = true)]
async fn doubt_about_a_start_stays_when_the_store_goes_away() {
    let store = FaultyStore::open();
    let runtime = opened(RuntimeConfig::default(), store.clone()).await;
    store.fail([Fault::UnknownAfterStoring]);
    store.fail([Fault::Unavailable; 1_000]);
    let id = RunId::new();
    let refused = runtime.start(&hanging(), NewRun::new("Sing.").id(id)).await;
    assert_eq!(store.stored(id).await, 1);
    assert!(
        matches!(refused, Err(StartError::StoreUnknown(_))),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_id_is_one_run_in_a_store_that_two_runtimes_share() {
    let store = FaultyStore::open();
    let first = opened(super::slots(0), store.clone()).await;
    let second = opened(super::slots(1), store.clone()).await;
    let id = RunId::new();
    let run = first
        .start(&poet(Storyteller::new("one")), NewRun::new("Sing.").id(id))
        .await
        .unwrap();
    let refused = second
        .start(&poet(Storyteller::new("two")), NewRun::new("Weep.").id(id))
        .await;
    assert_eq!(refused.unwrap_err(), StartError::DuplicateRun(id));
    run.cancel().await;
    ended(&run).await;
    assert_eq!(all_events(&run).await, store.read(id, 0, 9).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_start_in_doubt_is_not_taken_for_another_one() {
    let store = FaultyStore::open();
    let runtime = opened(patience(Duration::ZERO), store.clone()).await;
    store.fail([Fault::UnknownAfterStoring]);
    let id = RunId::new();
    let doubt = runtime.start(&hanging(), NewRun::new("Sing.").id(id)).await;
    assert!(
        matches!(doubt, Err(StartError::StoreUnknown(_))),
        "{doubt:?}"
    );
    settle().await;
    let again = runtime.start(&hanging(), NewRun::new("Weep.").id(id)).await;
    assert_eq!(again.unwrap_err(), StartError::DuplicateRun(id));
    let kept = store.read(id, 0, 9).await.unwrap();
    assert!(
        matches!(&kept[..], [first] if format!("{first:?}").contains("Sing.")),
        "{kept:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_with_another_position_is_in_doubt() {
    let store = OddStore::new(&Gate::new(), true);
    let runtime = opened(patience(Duration::from_secs(1)), store.clone()).await;
    let run = runtime
        .start(&poet(Storyteller::new("one two")), "Sing.")
        .await
        .unwrap();
    let lost = guarded(run.outcome()).await.unwrap_err();
    assert_eq!(lost, EventsError::StoreLost { last_stored: 1 });
    assert!(store.appends() < 20, "{} appends", store.appends());
}
