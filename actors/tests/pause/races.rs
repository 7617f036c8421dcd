//! A run is continued once, whatever other calls race with it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Context,
};

use futures::{
    FutureExt, StreamExt,
    future::join_all,
    task::{ArcWake, waker},
};
use quell_actors::{
    CancelOutcome, EventKind, NewRun, Outcome, Run, RunStatus, Runtime,
    error::{ContinueError, DeleteRunError, StartError},
};
use tokio::{sync::Barrier, task::yield_now};

use super::{CALL, approve, clerk, on, paused, with_pay};
use crate::support::{
    all_events, check_history, ended, guarded, nothing_kept, settle, shared::SharedStore,
    tools::Ledger, until,
};

#[tokio::test(start_paused = true)]
async fn of_many_who_continue_one_wins() {
    let (runtime, ledger) = (Runtime::new(), Ledger::default());
    let run = paused(&runtime, &clerk(&ledger), "Pay.").await;
    let continues = (0..10).map(|_| runtime.continue_run(run.id(), approve()));
    let answers = join_all(continues).await;
    let won = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(won, 1, "{answers:?}");
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    assert_eq!(ledger.times(CALL), 1);
    nothing_kept(&runtime);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_many_threads_one_continue_wins_and_no_slot_is_lost() {
    guarded(async {
        let (store, ledger) = (SharedStore::new(), Ledger::default());
        let runtime = on(&store).await;
        let agent = with_pay(super::payer().pace(Default::default()), &ledger);
        // Without a history the call has the same id in each run.
        let agent = agent.history_runs(0).build().unwrap();
        runtime.add_agent(&agent);
        for round in 0..200 {
            let run = runtime
                .start(&agent, NewRun::new("Pay.").session("s"))
                .await
                .unwrap();
            // Some racers call as soon as the pause is decided, others when it is stored.
            let barrier = Arc::new(Barrier::new(4));
            let racers = (0..4).map(|racer| {
                let (runtime, run, barrier) = (runtime.clone(), run.clone(), barrier.clone());
                tokio::spawn(async move {
                    if racer % 2 == 0 {
                        while run.status() != RunStatus::Paused && !run.status().is_ended() {
                            if round % 2 == 0 {
                                std::hint::spin_loop();
                            }
                            yield_now().await;
                        }
                    } else {
                        until(&run, |kind| matches!(kind, EventKind::Paused(_))).await;
                    }
                    let answer = if racer == 3 && round % 3 == 0 {
                        run.cancel().await.is_accepted()
                    } else {
                        runtime.continue_run(run.id(), approve()).await.is_ok()
                    };
                    barrier.wait().await;
                    answer
                })
            });
            let answers = join_all(racers).await;
            let won = answers
                .into_iter()
                .filter(|won| *won.as_ref().unwrap())
                .count();
            let outcome = ended(&run).await;
            let continued = all_events(&run)
                .await
                .iter()
                .filter(|event| matches!(event.kind, EventKind::Continued(_)))
                .count();
            match outcome {
                Outcome::Completed(_) => assert_eq!((won, continued), (1, 1)),
                Outcome::Cancelled(_) => assert!(won <= 2 && continued <= 1, "{won} {continued}"),
                Outcome::Error(error) => panic!("{error:?}"),
            }
        }
        while !format!("{runtime:?}").contains("runs: 0") {
            yield_now().await;
        }
        nothing_kept(&runtime);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_continue_that_comes_after_a_cancel_is_answered_and_not_run() {
    let (runtime, ledger) = (Runtime::new(), Ledger::default());
    for cancel_first in [true, false] {
        let run = paused(&runtime, &clerk(&ledger), "Pay.").await;
        if cancel_first {
            run.cancel();
            let late = runtime.continue_run(run.id(), approve()).await;
            let status = RunStatus::Cancelled;
            assert_eq!(late.unwrap_err(), ContinueError::NotPaused { status });
        } else {
            let going = runtime.continue_run(run.id(), approve());
            let (going, cancel) = futures::join!(going, async { run.cancel().await });
            assert!(going.is_ok(), "{going:?}");
            assert!(cancel.is_accepted(), "{cancel:?}");
        }
        assert!(matches!(ended(&run).await, Outcome::Cancelled(_)));
        assert!(ledger.made().is_empty());
        settle().await;
        nothing_kept(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_processes_that_continue_one_is_fenced_before_it_does_anything() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let reject = || quell_actors::runtime::Decisions::new().reject(CALL, "no");
    let id = paused(&on(&store).await, &clerk(&ledger), "Pay.")
        .await
        .id();
    let views = [store.another(), store.another()];
    let model = super::payer();
    let agent = with_pay(model.clone(), &ledger).build().unwrap();
    let runtimes = [on(&views[0]).await, on(&views[1]).await];
    for runtime in &runtimes {
        runtime.add_agent(&agent);
        runtime.get(id).await.unwrap().unwrap();
    }
    // The second process reads the run before the first one continues it, and appends afterwards.
    views[1].freeze_after(0);
    let held = runtimes[1].get(id).await.unwrap().unwrap();
    let second = tokio::spawn({
        let runtime = runtimes[1].clone();
        async move { runtime.continue_run(id, reject()).await }
    });
    views[1].frozen().await;
    let asked = model.probe().requests();
    let first = runtimes[0].continue_run(id, reject()).await.unwrap();
    assert!(matches!(ended(&first).await, Outcome::Completed(_)));
    settle().await;
    assert_eq!(
        model.probe().requests(),
        asked + 1,
        "the second has asked nothing"
    );
    views[1].thaw();
    let fenced = second.await.unwrap().unwrap_err();
    assert!(matches!(fenced, ContinueError::Store { .. }), "{fenced:?}");
    assert!(held.outcome().await.is_err());
    settle().await;
    assert_eq!(model.probe().requests(), asked + 1);
    check_history(&store.stored(id).await);
    for runtime in &runtimes {
        nothing_kept(runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_continue_that_meets_the_deletion_of_its_session_is_refused_or_cancelled() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let runtime = on(&store).await;
    let session = || NewRun::new("Pay.").session("s");
    for in_memory in [true, false] {
        for delete_first in [true, false] {
            let run = paused(&runtime, &clerk(&ledger), session()).await;
            let (id, handle) = (run.id(), in_memory.then(|| run.clone()));
            drop(run);
            let (deletes, goes_on) = (
                runtime.delete_session("s"),
                runtime.continue_run(id, approve()),
            );
            let (deleted, going) = if delete_first {
                futures::join!(deletes, goes_on)
            } else {
                let (going, deleted) = futures::join!(goes_on, deletes);
                (deleted, going)
            };
            assert_eq!(deleted, Ok(true));
            match going {
                Ok(run) => assert_eq!(run.status(), RunStatus::Cancelled),
                Err(
                    ContinueError::NoPlace(StartError::SessionDeleted(_))
                    | ContinueError::NotFound
                    | ContinueError::NotPaused { .. }
                    | ContinueError::Store { .. },
                ) => {}
                Err(other) => panic!("{other:?}"),
            }
            settle().await;
            assert_eq!(store.stored(id).await, []);
            assert!(ledger.made().is_empty());
            drop(handle);
            nothing_kept(&runtime);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_goes_on_cannot_be_deleted_under_the_feet_of_its_actor() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let runtime = on(&store).await;
    let run = paused(&runtime, &clerk(&ledger), "Pay.").await;
    runtime.continue_run(run.id(), approve()).await.unwrap();
    let refused = runtime.delete_run(run.id()).await.unwrap_err();
    assert!(
        matches!(refused, DeleteRunError::NotEnded { .. }),
        "{refused:?}"
    );
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    assert_eq!(runtime.delete_run(run.id()).await, Ok(true));
    let status = CancelOutcome::NotFound;
    assert_eq!(runtime.cancel(run.id()).await, status);
}

/// A waker that continues a paused run inside the call that wakes it.
struct Hasty {
    runtime: Runtime,
    run: Run,
    done: AtomicBool,
}

impl ArcWake for Hasty {
    fn wake_by_ref(hasty: &Arc<Hasty>) {
        if hasty.run.status() == RunStatus::Paused && !hasty.done.swap(true, Ordering::SeqCst) {
            let going = hasty.runtime.continue_run(hasty.run.id(), approve());
            assert!(going.now_or_never().is_some_and(|going| going.is_ok()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_on_that_is_continued_in_the_moment_in_which_its_pause_is_stored() {
    let (runtime, ledger) = (Runtime::new(), Ledger::default());
    let agent = clerk(&ledger);
    let run = runtime
        .start(&agent, NewRun::new("Pay.").session("s"))
        .await
        .unwrap();
    let hasty = Arc::new(Hasty {
        runtime: runtime.clone(),
        run: run.clone(),
        done: AtomicBool::new(false),
    });
    let woken = waker(hasty.clone());
    // Started, asked, three words, answered: the pause is the seventh event.
    let mut stream = run.events_from(7);
    let waits = stream.poll_next_unpin(&mut Context::from_waker(&woken));
    assert!(waits.is_pending());
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(hasty.done.load(Ordering::SeqCst));
    assert!(matches!(ended(&run).await, Outcome::Completed(_)));
    assert_eq!(ledger.times(CALL), 1);
    settle().await;
    nothing_kept(&runtime);
}
