//! Runs with tools under a foreign supervisor, which stops or kills them.

use std::time::Duration;

use quell_actors::{
    Outcome, Run, RunStatus, Runtime, agent::Limits, cancel::ToolEnd, outcome::ErrorReason,
    sim::Gate, tool::OnCancel,
};
use ractor::ActorRef;
use tokio::time::Instant;

use super::{
    Alive, clerk, ended, ends, eventually, results, settle,
    support::{ForeignMsg, foreign, nothing_left, start_under},
    waits,
};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A run with one running call of each kind, and its supervisor.
async fn at_work(
    runtime: &Runtime,
    alive: &Alive,
    gate: &Gate,
    keeps: bool,
) -> (ActorRef<ForeignMsg>, Run) {
    let agent = clerk(super::calls(&["drops", "grace", "finish"]))
        .tool(waits("drops", gate, alive, OnCancel::Drop))
        .tool(waits("grace", gate, alive, OnCancel::Grace(secs(5))))
        .tool(waits("finish", gate, alive, OnCancel::Finish))
        .limits(Limits {
            cancel_limit: secs(9),
            ..Limits::default()
        })
        .build()
        .unwrap();
    let supervisor = foreign(keeps).await;
    let run = start_under(&supervisor, runtime, &agent).await;
    eventually(|| alive.count() == 3).await;
    (supervisor, run)
}

#[tokio::test(start_paused = true)]
async fn a_kill_ends_the_calls_at_once() {
    for keeps in [false, true] {
        let (runtime, alive, gate) = (Runtime::new(), Alive::default(), Gate::new());
        let (supervisor, run) = at_work(&runtime, &alive, &gate, keeps).await;
        let before = Instant::now();
        supervisor.get_cell().get_children()[0].kill();
        let Outcome::Error(error) = ended(&run).await else {
            panic!("a kill is no cancel");
        };
        assert_eq!(error.reason, ErrorReason::Killed);
        settle().await;
        assert_eq!(alive.count(), 0);
        assert_eq!(before.elapsed(), Duration::ZERO);
        let unfinished = "not_finished: The run failed before the call was done. A part of it may have been done.";
        assert!(
            results(&run)
                .await
                .iter()
                .all(|(_, told)| told == unfinished)
        );
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_native_stop_is_a_cancel_to_the_calls_as_well() {
    for finishes in [true, false] {
        let (runtime, alive, gate) = (Runtime::new(), Alive::default(), Gate::new());
        let (supervisor, run) = at_work(&runtime, &alive, &gate, false).await;
        let before = Instant::now();
        supervisor.get_cell().get_children()[0].stop(None);
        eventually(|| run.status() == RunStatus::Cancelling).await;
        settle().await;
        assert_eq!(
            alive.count(),
            2,
            "one is dropped at once, two are given time"
        );
        if finishes {
            gate.open();
        }
        let outcome = ended(&run).await;
        let mut ends = ends(&outcome);
        ends.sort_by_key(|(name, _)| *name);
        let end = if finishes {
            ToolEnd::Finished
        } else {
            ToolEnd::Stopped
        };
        let expected = [("drops", ToolEnd::Stopped), ("finish", end), ("grace", end)];
        assert_eq!(ends, expected);
        let took = before.elapsed();
        assert!(
            if finishes {
                took.is_zero()
            } else {
                took >= secs(9) && took < secs(10)
            },
            "{took:?}"
        );
        assert_eq!(alive.count(), 0);
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_cuts_a_stop_short() {
    let (runtime, alive, gate) = (Runtime::new(), Alive::default(), Gate::new());
    let (supervisor, run) = at_work(&runtime, &alive, &gate, false).await;
    let actor = supervisor.get_cell().get_children()[0].clone();
    actor.stop(None);
    eventually(|| run.status() == RunStatus::Cancelling).await;
    actor.kill();
    let outcome = ended(&run).await;
    settle().await;
    assert_eq!(alive.count(), 0);
    assert!(ends(&outcome).contains(&("finish", ToolEnd::Abandoned)));
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_stops_takes_its_runs_and_their_calls_with_it() {
    for kill in [false, true] {
        let (runtime, alive, gate) = (Runtime::new(), Alive::default(), Gate::new());
        let (supervisor, run) = at_work(&runtime, &alive, &gate, false).await;
        if kill {
            supervisor.kill();
        } else {
            supervisor.stop(None);
        }
        let outcome = ended(&run).await;
        assert_ne!(outcome.status(), RunStatus::Completed);
        settle().await;
        assert_eq!(alive.count(), 0);
        nothing_left(&runtime);
    }
}
