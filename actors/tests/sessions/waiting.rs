//! Waiting for a session: bounded, visible, and ended at once by a cancel.

use std::time::Duration;

use quell_actors::{
    CancelOutcome, CancelReason, CancelRequest, Outcome, RunId, RunStatus, Runtime,
    cancel::Activity,
    error::StartError,
    runtime::Scope,
    sim::{Gate, Storyteller},
};
use tokio::time::sleep;

use super::{busy, config, in_s, waits};
use crate::support::{
    all_events, ended, names, nothing_kept, partial, poet, settle, tools::Recorder,
};

#[tokio::test(start_paused = true)]
async fn only_so_many_wait_for_a_session_and_only_so_many_in_all() {
    let (runtime, gate) = (
        config(|config| config.max_waiting_in_session = 2),
        Gate::new(),
    );
    let agent = poet(Storyteller::new("la"));
    let first = busy(&runtime, &gate).await;
    let waiting = [
        waits(&runtime, &agent, in_s("Sing.")).await,
        waits(&runtime, &agent, in_s("Sing.")).await,
    ];
    let full = runtime.start(&agent, in_s("Sing.")).await.unwrap_err();
    assert_eq!(full, StartError::SessionQueueFull("s".into()));
    gate.open();
    ended(&first).await;
    for run in &waiting {
        ended(run).await;
    }
    settle().await;
    nothing_kept(&runtime);

    let (runtime, gate) = (config(|config| config.max_queued_runs = 1), Gate::new());
    let first = busy(&runtime, &gate).await;
    let second = waits(&runtime, &agent, in_s("Sing.")).await;
    let full = runtime.start(&agent, in_s("Sing.")).await.unwrap_err();
    assert_eq!(full, StartError::QueueFull { live: 1, queued: 1 });
    gate.open();
    ended(&first).await;
    ended(&second).await;
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_when_it_has_taken_too_long_and_not_while_a_slot_is_waited_for() {
    let minute = Duration::from_secs(60);
    let (runtime, gate) = (
        config(|config| {
            config.session_wait = Some(minute);
            config.max_live_runs = 1;
        }),
        Gate::new(),
    );
    let first = busy(&runtime, &gate).await;
    let agent = poet(Storyteller::new("la"));
    let second = waits(&runtime, &agent, in_s("Sing.")).await;
    sleep(minute / 2).await;
    let third = waits(&runtime, &agent, in_s("Sing.")).await;
    sleep(minute * 3 / 4).await;
    let outcome = ended(&second).await;
    let receipt = &partial(&outcome).receipt;
    assert_eq!(
        (&receipt.reason, receipt.cut),
        (&CancelReason::SessionBusy, Activity::Pending)
    );
    assert_eq!(third.status(), RunStatus::Pending);

    // From here on it has its session, and waits for a slot only.
    let other = waits(
        &runtime,
        &poet(Storyteller::endless().stall_at(0)),
        "Sing.".into(),
    )
    .await;
    gate.open();
    ended(&first).await;
    sleep(2 * minute).await;
    assert_eq!(third.status(), RunStatus::Pending);
    other.cancel().await;
    assert!(matches!(ended(&third).await, Outcome::Completed(_)));
    settle().await;
    nothing_kept(&runtime);

    let (runtime, gate) = (config(|config| config.session_wait = None), Gate::new());
    let first = busy(&runtime, &gate).await;
    let second = waits(&runtime, &agent, in_s("Sing.")).await;
    first.cancel().await;
    ended(&second).await;
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_run_is_cancelled_on_the_spot_and_the_next_never_hears_of_it() {
    let (runtime, gate) = (Runtime::new(), Gate::new());
    let first = busy(&runtime, &gate).await;
    let model = Recorder::new(Storyteller::new("la"));
    let agent = quell_actors::Agent::new("poet", model.clone());
    let before = waits(&runtime, &agent, in_s("before")).await;
    let withdrawn = waits(&runtime, &agent, in_s("withdrawn")).await;
    let after = waits(&runtime, &agent, in_s("after")).await;
    let answer = withdrawn.cancel().await;
    assert_eq!(
        answer,
        CancelOutcome::Accepted {
            seq: 2,
            durable: true
        }
    );
    let events = all_events(&withdrawn).await;
    assert_eq!(names(&events), ["started", "cancel_requested", "cancelled"]);
    assert_eq!(events.len(), 3);
    assert!(format!("{runtime:?}").contains("runs: 3, live: 1, queued: 0, waiting: 2"));
    gate.open();
    for run in [&first, &before, &after] {
        assert!(matches!(ended(run).await, Outcome::Completed(_)));
    }
    let shown = model.last();
    let expected = ["Sing.", "before", "after"].map(|words| format!("user: {words}"));
    let users: Vec<_> = shown
        .iter()
        .filter(|words| words.starts_with("user"))
        .collect();
    assert_eq!(users, expected.each_ref());
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_remembered_cancel_takes_no_place_in_a_session() {
    let (runtime, gate) = (Runtime::new(), Gate::new());
    let first = busy(&runtime, &gate).await;
    let id = RunId::new();
    let request = CancelRequest::default().remember();
    assert_eq!(
        runtime.cancel_with(id, request).await,
        CancelOutcome::Remembered
    );
    let agent = poet(Storyteller::new("la"));
    let run = runtime.start(&agent, in_s("Sing.").id(id)).await.unwrap();
    assert_eq!(run.status(), RunStatus::Cancelled);
    assert_eq!(all_events(&run).await.len(), 3);
    gate.open();
    ended(&first).await;
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_of_a_whole_session_asks_no_model_on_the_way() {
    let runtime = config(|config| config.max_live_runs = 1);
    let elsewhere = poet(Storyteller::endless().stall_at(0));
    let elsewhere = runtime.start(&elsewhere, "Sing.").await.unwrap();
    let model = Storyteller::new("la");
    let probe = model.probe();
    let agent = poet(model);
    for _ in 0..20 {
        waits(&runtime, &agent, in_s("Sing.")).await;
    }
    let which = Scope::all().session("s");
    let answers = runtime.cancel_all(which, CancelRequest::default()).await;
    let answers = answers.unwrap();
    assert_eq!(answers.len(), 20);
    assert!(answers.iter().all(|(_, answer)| answer.is_accepted()));
    elsewhere.cancel().await;
    settle().await;
    assert_eq!(probe.requests(), 0);
    nothing_kept(&runtime);
}
