//! Messages that come too early or too late: to a run without an actor, or with one that is about to leave.

use quell_actors::{
    CancelRequest, EventKind, RunStatus, Runtime,
    run::RunMessage,
    runtime::{Decisions, RuntimeConfig, RuntimeMessage},
    sim::{Gate, Storyteller},
};
use ractor::{ActorStatus, call};

use super::{
    BOTH, actor, asks, cancel, clerk, hanging_agent, start,
    support::{all_events, check_history, ended, guarded, nothing_left, poet, settle, until},
};

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_a_slot_has_no_actor_and_is_reached_by_its_runtimes() {
    let config = RuntimeConfig {
        max_live_runs: 0,
        ..RuntimeConfig::default()
    };
    let runtime = Runtime::builder().config(config).in_memory();
    let (agent, probe) = hanging_agent();
    let run = runtime.start(&agent, "Go.").await.unwrap();
    settle().await;
    assert!(run.actor().is_none());
    let request = CancelRequest::default();
    let outcome = call!(runtime.actor(), RuntimeMessage::Cancel, run.id(), request).unwrap();
    assert!(outcome.is_accepted(), "{outcome:?}");
    assert_eq!(ended(&run).await.status(), RunStatus::Cancelled);
    assert_eq!(probe.requests(), 0);
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_has_no_actor_and_has_another_when_it_goes_on() {
    for under in BOTH {
        let runtime = Runtime::new();
        let work = Gate::new();
        let run = start(under, &runtime, &clerk(&work, true)).await;
        let before = actor(&run).await;
        until(&run, |kind| matches!(kind, EventKind::Paused(_))).await;
        settle().await;
        assert!(run.actor().is_none());
        assert_eq!(before.get_status(), ActorStatus::Stopped);
        let refused = before.cast(RunMessage::Cancel(CancelRequest::default()));
        assert!(refused.is_err(), "a message to an actor that is gone fails");
        assert_eq!(run.status(), RunStatus::Paused);

        let decisions = Decisions::new().approve("call-1-0");
        let run = runtime.continue_run(run.id(), decisions).await.unwrap();
        until(&run, |kind| {
            matches!(kind, EventKind::ToolCallStarted { .. })
        })
        .await;
        cancel(&run.actor().unwrap());
        assert_eq!(ended(&run).await.status(), RunStatus::Cancelled);
        check_history(&all_events(&run).await);
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cast_that_meets_a_pause_is_not_lost() {
    let runtime = Runtime::new();
    let gate = Gate::new();
    let run = start(super::Under::Foreign, &runtime, &asks(&gate)).await;
    settle().await;
    let actor = actor(&run).await;
    settle().await;
    // The first message in its mailbox is that the model goes on, to a pause; the second is the cancel.
    gate.open();
    cancel(&actor);
    let outcome = guarded(ended(&run)).await;
    assert_eq!(outcome.status(), RunStatus::Cancelled);
    let events = all_events(&run).await;
    check_history(&events);
    assert!(
        events
            .iter()
            .any(|event| matches!(event.kind, EventKind::Paused(_))),
        "the pause came first: {events:?}"
    );
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_message_to_a_run_that_has_ended_changes_nothing() {
    for under in BOTH {
        let runtime = Runtime::new();
        let gate = Gate::new();
        let run = start(under, &runtime, &poet(Storyteller::new("one").gate(&gate))).await;
        let actor = actor(&run).await;
        gate.open();
        until(&run, EventKind::is_last).await;
        assert!(run.actor().is_none());
        // Whether it is still taken or not, the run has its ending.
        let _ = actor.cast(RunMessage::Cancel(CancelRequest::default()));
        settle().await;
        let refused = actor.cast(RunMessage::Cancel(CancelRequest::default()));
        assert!(refused.is_err(), "a message to an actor that is gone fails");
        assert_eq!(ended(&run).await.status(), RunStatus::Completed);
        assert_eq!(
            check_history(&all_events(&run).await).status(),
            RunStatus::Completed
        );
        nothing_left(&runtime);
    }
}
