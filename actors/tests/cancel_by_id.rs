//! Promise 3 by id: the outcome is true for a run that is not known yet, for one that has ended, and for many at once.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use quell_actors::{
    Agent, CancelOutcome, CancelReason, CancelRequest, NewRun, Outcome, RunId, RunStatus, Runtime,
    runtime::{RuntimeConfig, Scope},
    sim::Storyteller,
};
use support::{all_events, check_history, ended, names, nothing_left, partial, poet};

#[tokio::test(start_paused = true)]
async fn an_ended_run_says_how_it_ended() {
    let runtime = Runtime::new();
    let run = runtime
        .start(&poet(Storyteller::new("short")), "Sing.")
        .await
        .unwrap();
    ended(&run).await;
    let expected = CancelOutcome::AlreadyEnded {
        status: RunStatus::Completed,
    };
    assert_eq!(run.cancel().await, expected);
    assert_eq!(runtime.cancel(run.id()).await, expected);
    check_history(&all_events(&run).await);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_id_is_not_found() {
    let runtime = Runtime::new();
    assert_eq!(runtime.cancel(RunId::new()).await, CancelOutcome::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_remembered_cancel_ends_the_run_as_it_starts() {
    let runtime = Runtime::new();
    let model = Storyteller::endless();
    let probe = model.probe();
    let id = RunId::new();
    let request = CancelRequest::new(CancelReason::Because("too late".into()))
        .by("ann")
        .remember();
    assert_eq!(
        runtime.cancel_with(id, request).await,
        CancelOutcome::Remembered
    );

    let run = runtime
        .start(&poet(model), NewRun::new("Sing.").id(id))
        .await
        .unwrap();
    let outcome = ended(&run).await;
    let receipt = &partial(&outcome).receipt;
    assert_eq!(receipt.by.as_deref(), Some("ann"));
    assert_eq!(receipt.reason, CancelReason::Because("too late".into()));
    assert_eq!(
        names(&all_events(&run).await),
        ["started", "cancel_requested", "cancelled"]
    );
    assert_eq!(probe.requests(), 0, "the model is never asked");

    // The intent was for one id: a run with another id is not affected.
    let next = runtime
        .start(&poet(Storyteller::new("one")), "Sing.")
        .await
        .unwrap();
    assert_eq!(ended(&next).await.status(), RunStatus::Completed);
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn remembered_cancels_are_bounded_in_number_and_in_age() {
    let runtime = Runtime::builder()
        .config(RuntimeConfig {
            max_remembered_cancels: 2,
            remember_cancels_for: Duration::from_secs(60),
            ..RuntimeConfig::default()
        })
        .in_memory();
    let ids = [RunId::new(), RunId::new(), RunId::new()];
    for id in ids {
        let request = CancelRequest::default().remember();
        runtime.cancel_with(id, request).await;
    }
    let agent = poet(Storyteller::new("one"));
    for (id, expected) in [
        (ids[0], RunStatus::Completed), // the oldest was forgotten
        (ids[1], RunStatus::Cancelled),
    ] {
        let run = runtime
            .start(&agent, NewRun::new("Sing.").id(id))
            .await
            .unwrap();
        assert_eq!(ended(&run).await.status(), expected);
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    let run = runtime
        .start(&agent, NewRun::new("Sing.").id(ids[2]))
        .await
        .unwrap();
    assert_eq!(
        ended(&run).await.status(),
        RunStatus::Completed,
        "it was too old"
    );

    let none = Runtime::builder()
        .config(RuntimeConfig {
            max_remembered_cancels: 0,
            ..RuntimeConfig::default()
        })
        .in_memory();
    let request = CancelRequest::default().remember();
    assert_eq!(
        none.cancel_with(RunId::new(), request).await,
        CancelOutcome::NotFound
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancel_of_many_answers_for_each() {
    let runtime = Runtime::new();
    let model = Storyteller::endless();
    let probe = model.probe();
    let agent = |name: &str| Agent::new(name, model.clone());
    let mut runs = Vec::new();
    for (name, session) in [("poet", "a"), ("poet", "b"), ("clerk", "a"), ("clerk", "c")] {
        let new = NewRun::new("Go.").session(session);
        runs.push(runtime.start(&agent(name), new).await.unwrap());
    }
    let cancel = async |which| {
        let answers = runtime.cancel_all(which, CancelRequest::default()).await;
        let answers = answers.unwrap();
        assert!(
            answers.iter().all(|(_, answer)| answer.is_accepted()),
            "{answers:?}"
        );
        let mut ids: Vec<RunId> = answers.into_iter().map(|(id, _)| id).collect();
        ids.sort();
        ids
    };
    assert_eq!(
        cancel(Scope::all().agent("clerk")).await,
        [runs[2].id(), runs[3].id()]
    );
    assert_eq!(cancel(Scope::all().session("a")).await, [runs[0].id()]);
    assert_eq!(cancel(Scope::all().session("nobody")).await, []);
    assert_eq!(cancel(Scope::all()).await, [runs[1].id()]);
    for run in &runs {
        assert_eq!(ended(run).await.status(), RunStatus::Cancelled);
    }
    assert_eq!(probe.open(), 0);
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_was_remembered_in_one_scope_is_of_no_other() {
    let runtime = Runtime::new();
    let agent = poet(Storyteller::new("la"));
    let id = RunId::new();
    let request = CancelRequest::default().remember_in("bob");
    assert_eq!(
        runtime.cancel_with(id, request).await,
        CancelOutcome::Remembered
    );
    let anns = NewRun::new("Sing.").id(id).scope("ann");
    let run = runtime.start(&agent, anns).await.unwrap();
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));

    let id = RunId::new();
    let request = CancelRequest::default().remember_in("ann");
    assert_eq!(
        runtime.cancel_with(id, request).await,
        CancelOutcome::Remembered
    );
    let anns = NewRun::new("Sing.").id(id).scope("ann");
    let run = runtime.start(&agent, anns).await.unwrap();
    assert!(matches!(ended(&run).await, Outcome::Cancelled(_)));
}
