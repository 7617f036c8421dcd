//! Promise 5: stored before seen. With a store that is slow, of unknown outcome, unavailable or broken, while cancels,
//! endings and panics race it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use quell_actors::{
    CancelOutcome, EventKind, Outcome, RunEvent, RunStatus, Runtime,
    error::{EventsError, StartError},
    runtime::RuntimeConfig,
    sim::{Gate, Storyteller},
};
use support::{Fault, FaultyStore, check_history, ended, nothing_left, once, opened, poet, until};
use tokio::time::Instant;

async fn runtime(store: &FaultyStore) -> Runtime {
    opened(RuntimeConfig::default(), store.clone()).await
}

/// Lets every task run that can.
async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_seen_before_it_is_stored() {
    let store = FaultyStore::held();
    let runtime = runtime(&store).await;
    let model = Storyteller::new("one two three").pace(Duration::ZERO);
    let probe = model.probe();
    let agent = poet(model);
    let starting = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.start(&agent, "Go.").await.unwrap() }
    });
    settle().await;
    assert!(
        !starting.is_finished(),
        "a run is not accepted before its start is stored"
    );
    assert_eq!(probe.requests(), 0, "and the model is not asked");
    store.let_through(1);
    let run = starting.await.unwrap();

    let mut events = run.events();
    let mut seen = Vec::new();
    while !seen.last().is_some_and(RunEvent::is_last) {
        settle().await;
        loop {
            let ready = futures::FutureExt::now_or_never(events.next());
            let Some(Some(event)) = ready else { break };
            seen.push(event.unwrap());
        }
        let stored = store.stored(run.id()).await;
        assert_eq!(seen.len() as u64, stored, "what is seen is what is stored");
        store.let_through(1);
    }
    assert_eq!(check_history(&seen).text(), "one two three");
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_does_not_wait_for_the_store() {
    let store = FaultyStore::open();
    let held = FaultyStore::held();
    // The same run on a store that confirms, and on one that does not.
    for (store, durable) in [(&store, true), (&held, false)] {
        let runtime = runtime(store).await;
        let model = Storyteller::endless();
        let probe = model.probe();
        store.let_through(3);
        let run = runtime.start(&poet(model), "Go.").await.unwrap();
        until(&run, |kind| matches!(kind, EventKind::Content { .. })).await;
        let asked = Instant::now();
        let answer = run.cancel();
        settle().await;
        assert_eq!(probe.open(), 0, "the work is dropped first");
        assert_eq!(run.status(), RunStatus::Cancelled);
        let answer = answer.await;
        let CancelOutcome::Accepted { durable: is, .. } = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(is, durable);
        let waited = asked.elapsed();
        assert!(waited <= Duration::from_millis(102), "{waited:?}");
        store.release();
        ended(&run).await;
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_and_its_ending_are_one_append() {
    let store = FaultyStore::open();
    let runtime = runtime(&store).await;
    let run = runtime
        .start(&poet(Storyteller::endless()), "Go.")
        .await
        .unwrap();
    until(&run, |kind| matches!(kind, EventKind::Content { .. })).await;
    let before = store.appends();
    run.cancel().await;
    ended(&run).await;
    assert_eq!(store.appends(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_an_append_is_under_way_is_merged() {
    let store = FaultyStore::held();
    let runtime = runtime(&store).await;
    store.let_through(1);
    let model = Storyteller::new(&"word ".repeat(50)).pace(Duration::ZERO);
    let run = runtime.start(&poet(model), "Go.").await.unwrap();
    while !run.status().is_ended() {
        settle().await;
    }
    assert_eq!(store.appends(), 2, "one append is under way, and no more");
    store.release();
    ended(&run).await;
    assert_eq!(store.appends(), 3, "and the next one has all the rest");
    assert_eq!(store.largest(), 52);
}

#[tokio::test(start_paused = true)]
async fn the_model_is_not_read_further_than_the_store_can_follow() {
    let store = FaultyStore::held();
    let runtime = runtime(&store).await;
    store.let_through(1);
    let model = Storyteller::endless().pace(Duration::ZERO);
    let probe = model.probe();
    let run = runtime.start(&poet(model), "Go.").await.unwrap();
    let mut chunks = 0;
    loop {
        settle().await;
        if probe.chunks() == chunks {
            break;
        }
        chunks = probe.chunks();
    }
    assert!(
        (1000..1100).contains(&chunks),
        "the backlog is bounded: {chunks}"
    );
    // It continues when the store does.
    store.let_through(2);
    while probe.chunks() <= chunks {
        settle().await;
    }
    // While it waits for the store, a cancel still takes effect.
    loop {
        settle().await;
        if probe.chunks() == chunks {
            break;
        }
        chunks = probe.chunks();
    }
    run.cancel();
    settle().await;
    assert_eq!((run.status(), probe.open()), (RunStatus::Cancelled, 0));
    store.release();
    ended(&run).await;
}

#[tokio::test(start_paused = true)]
async fn cancels_ends_and_panics_race_a_held_append() {
    let models: [fn() -> Storyteller; 4] = [
        || Storyteller::new("one two"),
        || Storyteller::new("one two three").panic_at(2),
        || Storyteller::new("one two three").cut_off_at(2),
        || Storyteller::new("one two three").stall_at(2),
    ];
    for (at, model) in models.iter().enumerate() {
        for cut in 0..8 {
            let store = FaultyStore::held();
            let runtime = runtime(&store).await;
            store.let_through(1);
            let agent = once(model().pace(Duration::ZERO)).build().unwrap();
            let run = runtime.start(&agent, "Go.").await.unwrap();
            for _ in 0..cut {
                tokio::task::yield_now().await;
            }
            let answer = run.cancel();
            settle().await;
            assert!(
                run.status().is_ended(),
                "the ending does not wait for the store"
            );
            store.release();
            let outcome = ended(&run).await;
            let accepted = answer.await.is_accepted();
            assert_eq!(
                accepted,
                outcome.status() == RunStatus::Cancelled,
                "model {at}, cut {cut}"
            );
            nothing_left(&runtime);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn doubt_is_settled_with_the_same_batch() {
    for faults in [
        vec![Fault::UnknownBeforeStoring],
        vec![Fault::UnknownAfterStoring],
        vec![
            Fault::Panic,
            Fault::UnknownAfterStoring,
            Fault::UnknownBeforeStoring,
        ],
        vec![Fault::Unavailable, Fault::UnknownAfterStoring],
    ] {
        let store = FaultyStore::open();
        let gate = Gate::new();
        let runtime = runtime(&store).await;
        let run = runtime
            .start(&poet(Storyteller::new("one two three").gate(&gate)), "Go.")
            .await
            .unwrap();
        store.fail(faults.clone());
        gate.open();
        assert_eq!(ended(&run).await.text(), "one two three", "{faults:?}");
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_is_lost_and_the_model_is_cut() {
    for fault in [
        Fault::UnknownBeforeStoring,
        Fault::Unavailable,
        Fault::Panic,
    ] {
        let store = FaultyStore::open();
        let gate = Gate::new();
        let runtime = runtime(&store).await;
        let model = Storyteller::new("one two three").gate(&gate);
        let probe = model.probe();
        let run = runtime.start(&poet(model), "Go.").await.unwrap();
        gate.let_through(2);
        until(&run, |kind| matches!(kind, EventKind::Content { .. })).await;
        store.fail(std::iter::repeat_n(fault, 1000));
        let chunks = probe.chunks();
        gate.open();

        let mut events = run.events();
        let mut last = None;
        let lost = loop {
            match events.next().await.expect("the stream does not just end") {
                Ok(event) => last = Some(event.seq),
                Err(lost) => break lost,
            }
        };
        assert_eq!(lost, EventsError::StoreLost { last_stored: 3 });
        assert_eq!(last, Some(3));
        assert!(events.next().await.is_none());
        assert_eq!(run.outcome().await, Err(lost));
        settle().await;
        assert_eq!(probe.open(), 0, "the model is cut");
        assert_eq!(
            probe.chunks(),
            chunks + 1,
            "and was not read while the store was in doubt"
        );
        assert_eq!(store.stored(run.id()).await, 3, "nothing stored is harmed");
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_the_store_does_not_take_was_never_there() {
    let store = FaultyStore::open();
    let runtime = runtime(&store).await;
    let model = Storyteller::new("one");
    let probe = model.probe();
    let agent = poet(model);
    store.fail([Fault::Unavailable]);
    assert_eq!(
        runtime.start(&agent, "Go.").await.unwrap_err(),
        StartError::StoreUnavailable("told to".into())
    );
    store.fail(std::iter::repeat_n(Fault::UnknownBeforeStoring, 1000));
    assert_eq!(
        runtime.start(&agent, "Go.").await.unwrap_err(),
        StartError::StoreUnknown("told to".into())
    );
    assert_eq!(probe.requests(), 0, "no model was asked");
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_while_the_store_is_lost_is_answered_and_heard() {
    let store = FaultyStore::open();
    let runtime = runtime(&store).await;
    let model = Storyteller::new("one two three").stall_at(1);
    let probe = model.probe();
    let run = runtime.start(&poet(model), "Go.").await.unwrap();
    until(&run, |kind| matches!(kind, EventKind::Content { .. })).await;
    store.fail(std::iter::repeat_n(Fault::UnknownBeforeStoring, 1000));
    let answer = run.cancel().await;
    assert!(
        matches!(answer, CancelOutcome::Accepted { durable: false, .. }),
        "{answer:?}"
    );
    assert_eq!(probe.open(), 0);
    assert!(matches!(
        run.outcome().await,
        Err(EventsError::StoreLost { .. })
    ));
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_partial_is_kept_by_the_store_like_any_ending() {
    let runtime = Runtime::new();
    let run = runtime
        .start(&poet(Storyteller::endless()), "Go.")
        .await
        .unwrap();
    until(&run, |kind| matches!(kind, EventKind::Content { .. })).await;
    run.cancel().await;
    let Outcome::Cancelled(partial) = ended(&run).await else {
        panic!("not cancelled");
    };
    let kept = runtime.get(run.id()).await.unwrap().unwrap();
    assert_eq!(kept.outcome().await.unwrap(), Outcome::Cancelled(partial));
}
