//! A runtime that is over ends nobody's pause: that is for the next owner of the store.

use std::time::Duration;

use quell_actors::{Agent, EventKind, RunStatus, agent::Limits, runtime::Shutdown};
use tokio::time::sleep;

use super::{on, paused, payer, with_pay};
use crate::support::{settle, shared::SharedStore, tools::Ledger, until};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn expiring() -> Agent {
    let limits = Limits {
        pause_expiry: Some(HOUR),
        ..Limits::default()
    };
    with_pay(payer(), &Ledger::default())
        .limits(limits)
        .build()
        .unwrap()
}

async fn is_paused_later(store: &SharedStore, id: quell_actors::RunId) -> bool {
    sleep(2 * HOUR).await;
    settle().await;
    store.stored_head(id).await.unwrap().status == RunStatus::Paused
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_runtime_was_dropped_does_not_expire_while_somebody_holds_it() {
    let store = SharedStore::new();
    let runtime = on(&store).await;
    let run = paused(&runtime, &expiring(), "Pay.").await;
    drop(runtime);
    assert!(is_paused_later(&store, run.id()).await);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_is_stored_after_a_shutdown_does_not_expire() {
    let store = SharedStore::new();
    let runtime = on(&store).await;
    let run = runtime.start(&expiring(), "Pay.").await.unwrap();
    until(&run, |kind| matches!(kind, EventKind::Content { .. })).await;
    // Two more words and the answer; the pause is not taken.
    store.freeze_after(3);
    let at_once = Shutdown {
        finish_within: Duration::from_secs(5),
        cancel_within: Duration::ZERO,
    };
    runtime.shutdown(at_once).await;
    assert_eq!(run.status(), RunStatus::Paused);
    let stored = store.stored_head(run.id()).await.unwrap().status;
    assert_eq!(
        stored,
        RunStatus::Running,
        "that it is paused is not stored"
    );
    store.thaw();
    assert!(is_paused_later(&store, run.id()).await);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_looked_at_after_a_shutdown_does_not_expire() {
    let store = SharedStore::new();
    // Opened before there is such a run, so that it sees it for the first time now.
    let runtime = on(&store.another()).await;
    let id = paused(&on(&store).await, &expiring(), "Pay.").await.id();
    runtime.shutdown(Shutdown::default()).await;
    let run = runtime.get(id).await.unwrap().unwrap();
    assert!(is_paused_later(&store, run.id()).await);
}
