//! A pause can expire, and does not count as time of the run.

use std::time::Duration;

use quell_actors::{
    CancelReason, Outcome, RunStatus, Runtime, agent::Limits, cancel::Activity, runtime::Shutdown,
};
use tokio::time::sleep;

use super::{CALL, approve, on, paused, payer, with_pay};
use crate::support::{ended, nothing_kept, partial, settle, shared::SharedStore, tools::Ledger};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn expiring(ledger: &Ledger, after: Duration) -> quell_actors::Agent {
    let limits = Limits {
        pause_expiry: Some(after),
        ..Limits::default()
    };
    with_pay(payer(), ledger).limits(limits).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_pause_expires_when_nobody_decides_in_time() {
    let (runtime, ledger) = (Runtime::new(), Ledger::default());
    let run = paused(&runtime, &expiring(&ledger, DAY), "Pay.").await;
    sleep(DAY - Duration::from_secs(1)).await;
    assert_eq!(run.status(), RunStatus::Paused);
    sleep(Duration::from_secs(2)).await;
    let outcome = ended(&run).await;
    let receipt = &partial(&outcome).receipt;
    assert_eq!(receipt.reason, CancelReason::PauseExpired);
    assert_eq!(receipt.cut, Activity::Paused);
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_pause_expires_in_the_store_when_nobody_has_the_run_in_memory() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let runtime = on(&store).await;
    let id = paused(&runtime, &expiring(&ledger, DAY), "Pay.").await.id();
    let reads = store.reads();
    // A caller looks the run up and drops it again: there is still only one timer.
    drop(runtime.get(id).await.unwrap());
    assert!(store.reads() > reads, "a timer keeps no log");
    sleep(DAY).await;
    settle().await;
    let head = store.stored_head(id).await.unwrap();
    assert_eq!(head.status, RunStatus::Cancelled);
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_when_a_pause_expires_is_asked_again() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let runtime = on(&store).await;
    let id = paused(&runtime, &expiring(&ledger, DAY), "Pay.").await.id();
    store.unreadable(true);
    sleep(DAY + Duration::from_secs(25)).await;
    assert_eq!(
        store.stored_head(id).await.unwrap().status,
        RunStatus::Paused
    );
    store.unreadable(false);
    sleep(Duration::from_secs(10)).await;
    settle().await;
    assert_eq!(
        store.stored_head(id).await.unwrap().status,
        RunStatus::Cancelled
    );
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_decision_in_time_ends_the_expiry_with_the_pause() {
    let (runtime, ledger) = (Runtime::new(), Ledger::default());
    let agent = with_pay(payer().pace(DAY), &ledger)
        .limits(Limits {
            pause_expiry: Some(DAY),
            first_token: None,
            silence: None,
            ..Limits::default()
        })
        .build()
        .unwrap();
    let run = paused(&runtime, &agent, "Pay.").await;
    runtime.continue_run(run.id(), approve()).await.unwrap();
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn the_time_goes_on_through_a_restart() {
    for read in [false, true] {
        let (store, ledger) = (SharedStore::new(), Ledger::default());
        let first = on(&store).await;
        let agent = expiring(&ledger, DAY);
        let id = paused(&first, &agent, "Pay.").await.id();
        first.shutdown(Shutdown::default()).await;
        sleep(2 * DAY).await;
        let head = store.stored_head(id).await.unwrap();
        assert_eq!(
            head.status,
            RunStatus::Paused,
            "a runtime that is shut down ends nothing"
        );

        // The second process reads the real clock, which did not advance with the paused one.
        let recover = Runtime::builder().agent(&agent);
        let (second, recovered) = recover.open(store.another()).await.unwrap();
        assert_eq!(recovered.paused, 1);
        let handle = match read {
            true => second.get(id).await.unwrap(),
            false => None,
        };
        settle().await;
        assert_eq!(
            store.stored_head(id).await.unwrap().status,
            RunStatus::Paused
        );
        sleep(DAY + Duration::from_secs(60)).await;
        settle().await;
        let head = store.stored_head(id).await.unwrap();
        assert_eq!(head.status, RunStatus::Cancelled);
        if let Some(run) = handle {
            let outcome = ended(&run).await;
            let reason = &partial(&outcome).receipt.reason;
            assert_eq!(*reason, CancelReason::PauseExpired);
        }
        nothing_kept(&second);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_does_not_count_for_the_deadline_and_what_was_before_it_does() {
    let (runtime, ledger) = (Runtime::new(), Ledger::default());
    let second = Duration::from_secs(1);
    // Three words and four pieces of a call: seven seconds and a bit before the pause, three after it.
    let agent = |deadline| {
        with_pay(payer().pace(second), &ledger)
            .deadline(deadline)
            .build()
            .unwrap()
    };
    let run = paused(&runtime, &agent(30 * second), "Pay.").await;
    sleep(DAY).await;
    runtime.continue_run(run.id(), approve()).await.unwrap();
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));

    let run = paused(&runtime, &agent(8 * second), "Pay.").await;
    sleep(DAY).await;
    runtime.continue_run(run.id(), approve()).await.unwrap();
    let outcome = ended(&run).await;
    assert_eq!(partial(&outcome).receipt.reason, CancelReason::Deadline);
    assert_eq!(ledger.times(CALL), 2);
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn the_time_before_a_pause_counts_after_a_restart_too() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let second = Duration::from_secs(1);
    let agent = with_pay(payer().pace(second), &ledger)
        .deadline(8 * second)
        .build()
        .unwrap();
    let id = paused(&on(&store).await, &agent, "Pay.").await.id();
    let runtime = on(&store.another()).await;
    runtime.add_agent(&agent);
    let run = runtime.continue_run(id, approve()).await.unwrap();
    let outcome = ended(&run).await;
    assert_eq!(partial(&outcome).receipt.reason, CancelReason::Deadline);
}
