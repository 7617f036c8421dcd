//! The order of runs: sessions and slots together.

use futures::future::join_all;
use quell_actors::{
    NewRun, Outcome, RunStatus,
    runtime::WhenBusy,
    sim::{Gate, Storyteller},
};

use super::{busy, config, gated, in_s, waits, when};
use crate::support::{all_events, ended, guarded, nothing_kept, poet, settle};

#[tokio::test(start_paused = true)]
async fn runs_of_a_session_go_in_the_order_in_which_they_came() {
    let runtime = config(|config| config.max_live_runs = 2);
    let agent = poet(Storyteller::new("la la"));
    let mut runs = Vec::new();
    for turn in 0..20 {
        for session in ["a", "b", "c"] {
            let run = NewRun::new(format!("{turn}")).session(session);
            runs.push((session, runtime.start(&agent, run).await.unwrap()));
        }
    }
    for session in ["a", "b", "c"] {
        let mut last = None;
        for (_, run) in runs.iter().filter(|(of, _)| *of == session) {
            assert!(matches!(ended(run).await, Outcome::Completed(_)));
            let events = all_events(run).await;
            // It starts after the run before it has ended.
            assert!(last <= Some(events[1].at), "{session}");
            last = events.last().map(|event| event.at);
        }
    }
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_gets_its_session_may_still_wait_for_a_slot() {
    let (runtime, gates) = (
        config(|config| config.max_live_runs = 1),
        [Gate::new(), Gate::new()],
    );
    let first = busy(&runtime, &gates[0]).await;
    let other = waits(
        &runtime,
        &gated(&gates[1]),
        NewRun::new("Sing.").session("t"),
    )
    .await;
    let second = waits(&runtime, &poet(Storyteller::new("lo")), in_s("Sing.")).await;
    gates[0].open();
    ended(&first).await;
    settle().await;
    assert_eq!(other.status(), RunStatus::Running);
    assert_eq!(second.status(), RunStatus::Pending);
    let busy = runtime
        .start(&gated(&gates[1]), when(WhenBusy::Reject))
        .await;
    assert!(busy.is_err(), "it holds its session");
    gates[1].open();
    ended(&other).await;
    assert!(matches!(ended(&second).await, Outcome::Completed(_)));
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_many_threads_a_session_has_one_writer_and_no_slot_is_lost() {
    guarded(async {
        let runtime = config(|config| config.max_live_runs = 3);
        let agent = poet(Storyteller::new("la la la").pace(Default::default()));
        let starts = (0..300usize).map(|n| {
            let (runtime, agent) = (runtime.clone(), agent.clone());
            tokio::spawn(async move {
                let session = format!("s-{}", n % 5);
                let busy = match n % 7 {
                    0 => WhenBusy::Interrupt,
                    1 => WhenBusy::Reject,
                    _ => WhenBusy::Queue,
                };
                let run = NewRun::new("Sing.").session(session).when_busy(busy);
                let run = runtime.start(&agent, run).await.ok()?;
                if n % 11 == 0 {
                    run.cancel().await;
                }
                run.outcome().await.unwrap();
                let events = all_events(&run).await;
                crate::support::check_history(&events);
                Some(run)
            })
        });
        let runs: Vec<_> = join_all(starts)
            .await
            .into_iter()
            .filter_map(Result::unwrap)
            .collect();
        assert!(runs.len() > 200, "{}", runs.len());
        while !format!("{runtime:?}").contains("runs: 0") {
            tokio::task::yield_now().await;
        }
        nothing_kept(&runtime);
    })
    .await;
}
