//! Starting a run while the session has another run, in each state of that one.

use futures::FutureExt;
use quell_actors::{
    Agent, EventKind, NewRun, Outcome, Run, RunStatus, Runtime,
    runtime::WhenBusy,
    sim::{Gate, Storyteller},
    tool::OnCancel,
};
use serde_json::json;

use super::{asked, busy, gated, in_s, is_busy, waits, when};
use crate::support::{
    ended, nothing_kept, opened, poet, settle,
    shared::SharedStore,
    tools::{Ledger, open},
    until,
};

fn quick() -> Agent {
    poet(Storyteller::new("la"))
}

#[tokio::test(start_paused = true)]
async fn a_second_run_waits_for_the_first_and_holds_no_slot() {
    let (runtime, gate) = (Runtime::new(), Gate::new());
    let first = busy(&runtime, &gate).await;
    let second = waits(&runtime, &quick(), in_s("Sing.")).await;
    assert!(format!("{runtime:?}").contains("live: 1, queued: 0, waiting: 1"));
    gate.open();
    ended(&first).await;
    assert!(matches!(ended(&second).await, Outcome::Completed(_)));
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_second_run_may_be_refused_and_leaves_nothing() {
    let (runtime, gate) = (Runtime::new(), Gate::new());
    let first = busy(&runtime, &gate).await;
    let id = quell_actors::RunId::new();
    let refused = runtime.start(&quick(), when(WhenBusy::Reject).id(id)).await;
    assert!(is_busy(&refused), "{refused:?}");
    assert!(runtime.get(id).await.unwrap().is_none());
    // Other sessions, and runs without one, are not affected.
    for run in [NewRun::new("Sing.").session("t"), NewRun::new("Sing.")] {
        let other = runtime
            .start(&quick(), run.when_busy(WhenBusy::Reject))
            .await;
        ended(&other.unwrap()).await;
    }
    gate.open();
    ended(&first).await;
    settle().await;
    let free = runtime.start(&quick(), when(WhenBusy::Reject)).await;
    ended(&free.unwrap()).await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_run_may_begin_beside_another_and_the_next_waits_for_both() {
    let (runtime, gates) = (Runtime::new(), [Gate::new(), Gate::new()]);
    let first = busy(&runtime, &gates[0]).await;
    let beside = runtime
        .start(&gated(&gates[1]), when(WhenBusy::Parallel))
        .await
        .unwrap();
    settle().await;
    assert_eq!(beside.status(), RunStatus::Running);
    let next = waits(&runtime, &quick(), in_s("Sing.")).await;
    gates[0].open();
    ended(&first).await;
    settle().await;
    assert_eq!(next.status(), RunStatus::Pending);
    assert!(is_busy(
        &runtime.start(&quick(), when(WhenBusy::Reject)).await
    ));
    gates[1].open();
    ended(&beside).await;
    ended(&next).await;
    settle().await;
    nothing_kept(&runtime);
}

/// A run of the session that is cancelling, and cannot end before `never` opens.
async fn cancelling(runtime: &Runtime, never: &Gate) -> Run {
    let model = Storyteller::new("done").calling("move", json!({}));
    let tool = Ledger::default()
        .tool("move", never)
        .on_cancel(OnCancel::Finish);
    let agent = Agent::builder("clerk", model).tool(tool).build().unwrap();
    let run = runtime.start(&agent, in_s("Move.")).await.unwrap();
    until(&run, |kind| matches!(kind, EventKind::ToolCallStarted(_))).await;
    settle().await;
    run.cancel();
    settle().await;
    assert_eq!(run.status(), RunStatus::Cancelling);
    run
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_being_cancelled_holds_its_session_until_it_has_ended() {
    for policy in [WhenBusy::Queue, WhenBusy::Interrupt] {
        let (runtime, finish) = (Runtime::new(), Gate::new());
        let first = cancelling(&runtime, &finish).await;
        assert!(is_busy(
            &runtime.start(&quick(), when(WhenBusy::Reject)).await
        ));
        let second = waits(&runtime, &quick(), when(policy)).await;
        finish.open();
        assert!(matches!(ended(&first).await, Outcome::Cancelled(_)));
        assert!(matches!(ended(&second).await, Outcome::Completed(_)));
        settle().await;
        nothing_kept(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_ending_is_not_stored_yet_holds_its_session() {
    for policy in [WhenBusy::Queue, WhenBusy::Interrupt] {
        let store = SharedStore::new();
        let runtime = opened(Default::default(), store.clone()).await;
        // Started, asked, two words: the ending is the fifth append.
        store.freeze_after(4);
        let first = runtime
            .start(&poet(Storyteller::new("la la")), in_s("Sing."))
            .await
            .unwrap();
        store.frozen().await;
        settle().await;
        assert_eq!(first.status(), RunStatus::Completed);
        assert!(is_busy(
            &runtime.start(&quick(), when(WhenBusy::Reject)).await
        ));
        let mut starts = Box::pin(async { runtime.start(&quick(), when(policy)).await });
        assert!(starts.as_mut().now_or_never().is_none());
        assert!(format!("{runtime:?}").contains("live: 0, queued: 0, waiting: 1"));
        store.thaw();
        let second = starts.await.unwrap();
        assert!(
            matches!(ended(&first).await, Outcome::Completed(_)),
            "nobody cancels it"
        );
        assert!(matches!(ended(&second).await, Outcome::Completed(_)));
        settle().await;
        nothing_kept(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_lost_its_store_is_free_again() {
    let store = SharedStore::new();
    let config = quell_actors::runtime::RuntimeConfig {
        store_patience: std::time::Duration::from_secs(1),
        ..Default::default()
    };
    let (runtime, gate) = (opened(config, store.clone()).await, Gate::new());
    let first = busy(&runtime, &gate).await;
    let second = waits(&runtime, &quick(), in_s("Sing.")).await;
    store.doubt(true);
    gate.let_through(2);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    store.doubt(false);
    assert!(first.outcome().await.is_err());
    assert!(matches!(ended(&second).await, Outcome::Completed(_)));
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_does_not_hold_its_session() {
    for policy in [
        WhenBusy::Reject,
        WhenBusy::Queue,
        WhenBusy::Interrupt,
        WhenBusy::Parallel,
    ] {
        let runtime = Runtime::new();
        let model = Storyteller::new("done").calling("pay", json!({}));
        let tool = Ledger::default().tool("pay", &open()).confirm();
        let agent = Agent::builder("clerk", model).tool(tool).build().unwrap();
        let paused = runtime.start(&agent, in_s("Pay.")).await.unwrap();
        until(&paused, |kind| matches!(kind, EventKind::Paused(_))).await;
        let other = runtime.start(&quick(), when(policy)).await.unwrap();
        assert!(matches!(ended(&other).await, Outcome::Completed(_)));
        assert_eq!(paused.status(), RunStatus::Paused, "{policy:?}");
        assert!(asked(&other).await);
        paused.cancel().await;
        settle().await;
        nothing_kept(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_is_not_stored_yet_is_waited_for_and_not_interrupted() {
    for policy in [WhenBusy::Queue, WhenBusy::Interrupt] {
        let store = SharedStore::new();
        let runtime = opened(Default::default(), store.clone()).await;
        let model = Storyteller::new("done").calling("pay", json!({}));
        let tool = Ledger::default().tool("pay", &open()).confirm();
        let agent = Agent::builder("clerk", model).tool(tool).build().unwrap();
        store.freeze_after(3);
        let paused = runtime.start(&agent, in_s("Pay.")).await.unwrap();
        store.frozen().await;
        settle().await;
        assert_eq!(paused.status(), RunStatus::Paused);
        let mut starts = Box::pin(async { runtime.start(&quick(), when(policy)).await });
        assert!(starts.as_mut().now_or_never().is_none());
        store.thaw();
        let other = starts.await.unwrap();
        assert!(matches!(ended(&other).await, Outcome::Completed(_)));
        assert_eq!(paused.status(), RunStatus::Paused, "{policy:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_has_seen_the_ending_finds_the_session_free() {
    crate::support::guarded(async {
        let runtime = Runtime::new();
        let agent = poet(Storyteller::new("la").pace(Default::default()));
        for _ in 0..500 {
            let run = runtime.start(&agent, when(WhenBusy::Reject)).await.unwrap();
            run.outcome().await.unwrap();
        }
    })
    .await;
}
