//! A cancel in each state of a tool. No time passes except a tool's grace.

use std::time::Duration;

use quell_actors::{
    CancelOutcome, CancelReason, CancelRequest, EventKind, Outcome, Run, RunStatus, Runtime,
    ToolContext,
    agent::Limits,
    cancel::{Activity, ToolEnd},
    runtime::Shutdown,
    sim::Gate,
    tool,
    tool::{AnyTool, OnCancel, ToolError},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Alive, BOTH, How, clerk, ended, ends, eventually, results, settle, start,
    support::{nothing_left, partial, status, until},
    waits,
};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Starts a run that calls these tools, and waits until all of them are running.
async fn at_work(
    how: How,
    runtime: &Runtime,
    tools: &[AnyTool],
    alive: &Alive,
    limits: Limits,
) -> Run {
    let names: Vec<_> = tools.iter().map(AnyTool::name).collect();
    let agent = clerk(super::calls(&names)).limits(limits);
    let agent = tools
        .iter()
        .fold(agent, |agent, tool| agent.tool(tool.clone()));
    let run = start(how, runtime, &agent.build().unwrap()).await;
    eventually(|| alive.count() == tools.len() as u64).await;
    run
}

/// A tool that takes half a minute.
fn sleeps(alive: &Alive) -> AnyTool {
    let alive = alive.clone();
    tool::from_schema("sleeps", "", json!({}), move |_: Value, _| {
        let alive = alive.clone();
        async move {
            let _inside = alive.enter();
            tokio::time::sleep(secs(30)).await;
            Ok("awake")
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_call_is_dropped_before_the_ending_is_seen() {
    for how in BOTH {
        let (runtime, alive) = (Runtime::new(), Alive::default());
        let run = at_work(how, &runtime, &[sleeps(&alive)], &alive, Limits::default()).await;
        let before = Instant::now();
        assert!(run.cancel().await.is_accepted());
        until(&run, |kind| matches!(kind, EventKind::Cancelled { .. })).await;
        assert_eq!(alive.count(), 0, "the future is dropped");
        assert_eq!(before.elapsed(), Duration::ZERO, "no time passes");
        let outcome = ended(&run).await;
        assert_eq!(partial(&outcome).receipt.cut, Activity::Tool);
        assert_eq!(ends(&outcome), [("sleeps", ToolEnd::Stopped)]);
        let told = "cancelled: The call was cancelled before it was done. A part of it may have been done.";
        assert_eq!(results(&run).await[0].1, told);
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_with_grace_may_come_to_its_end() {
    for (given, on_cancel) in [(3, OnCancel::Grace(secs(5))), (20, OnCancel::Finish)] {
        for how in BOTH {
            let (runtime, alive, gate) = (Runtime::new(), Alive::default(), Gate::new());
            let tools = [waits("waits", &gate, &alive, on_cancel)];
            let run = at_work(how, &runtime, &tools, &alive, Limits::default()).await;
            let CancelOutcome::Accepted { durable, .. } = run.cancel().await else {
                panic!("it is accepted");
            };
            assert!(
                durable,
                "the cancel is stored, though the ending is not yet there"
            );
            tokio::time::advance(secs(given)).await;
            settle().await;
            assert_eq!(run.status(), RunStatus::Cancelling);
            assert_eq!(alive.count(), 1, "it is still at work");
            assert_eq!(run.cancel().await, CancelOutcome::AlreadyCancelling);
            gate.open();
            let outcome = ended(&run).await;
            assert_eq!(ends(&outcome), [("waits", ToolEnd::Finished)]);
            assert_eq!(results(&run).await[0].1, "done");
            let took = partial(&outcome).receipt.took;
            assert!(took >= secs(given) && took < secs(given + 1), "{took:?}");
            nothing_left(&runtime);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_does_not_use_its_time_is_dropped() {
    let limits = Limits {
        cancel_limit: secs(7),
        ..Limits::default()
    };
    for (given, on_cancel) in [(5, OnCancel::Grace(secs(5))), (7, OnCancel::Finish)] {
        for how in BOTH {
            let (runtime, alive) = (Runtime::new(), Alive::default());
            let tools = [waits("waits", &Gate::new(), &alive, on_cancel)];
            let run = at_work(how, &runtime, &tools, &alive, limits.clone()).await;
            let before = Instant::now();
            run.cancel();
            until(&run, |kind| matches!(kind, EventKind::Cancelled { .. })).await;
            assert_eq!(alive.count(), 0);
            let took = before.elapsed();
            assert!(
                took >= secs(given) && took < secs(given) + Duration::from_millis(10),
                "{took:?}"
            );
            assert_eq!(ends(&ended(&run).await), [("waits", ToolEnd::Stopped)]);
            nothing_left(&runtime);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_grace_or_a_limit_of_zero_gives_no_time() {
    let limits = Limits {
        cancel_limit: Duration::ZERO,
        ..Limits::default()
    };
    for on_cancel in [OnCancel::Grace(Duration::ZERO), OnCancel::Finish] {
        let (runtime, alive) = (Runtime::new(), Alive::default());
        let tools = [waits("waits", &Gate::new(), &alive, on_cancel)];
        let run = at_work(How::Own, &runtime, &tools, &alive, limits.clone()).await;
        let before = Instant::now();
        run.cancel().await;
        assert_eq!(ends(&ended(&run).await), [("waits", ToolEnd::Stopped)]);
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn each_call_is_ended_in_its_own_way() {
    for how in BOTH {
        let (runtime, alive, gate) = (Runtime::new(), Alive::default(), Gate::new());
        let tools = [
            waits("drops", &Gate::new(), &alive, OnCancel::Drop),
            waits("spared", &gate, &alive, OnCancel::Grace(secs(5))),
            waits("slow", &Gate::new(), &alive, OnCancel::Grace(secs(5))),
            waits("finishes", &gate, &alive, OnCancel::Finish),
        ];
        let run = at_work(how, &runtime, &tools, &alive, Limits::default()).await;
        run.cancel();
        settle().await;
        assert_eq!(alive.count(), 3, "one is dropped at once");
        gate.open();
        let outcome = ended(&run).await;
        let mut ends = ends(&outcome);
        ends.sort_by_key(|(name, _)| *name);
        let expected = [
            ("drops", ToolEnd::Stopped),
            ("finishes", ToolEnd::Finished),
            ("slow", ToolEnd::Stopped),
            ("spared", ToolEnd::Finished),
        ];
        assert_eq!(ends, expected);
        assert_eq!(alive.count(), 0);
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_told_why_it_is_to_end() {
    let limits = Limits {
        deadline: Some(secs(9)),
        ..Limits::default()
    };
    for by_limit in [false, true] {
        let (runtime, alive) = (Runtime::new(), Alive::default());
        let inside = alive.clone();
        let tool = tool::from_schema(
            "told",
            "",
            json!({}),
            move |_: Value, context: ToolContext| {
                let alive = inside.clone();
                async move {
                    let _inside = alive.enter();
                    assert!(!context.is_cancelled());
                    let reason = context.cancelled().await;
                    assert!(context.is_cancelled());
                    Ok(reason.to_string())
                }
            },
        );
        let tool = tool.on_cancel(OnCancel::Grace(secs(1)));
        let run = at_work(How::Own, &runtime, &[tool], &alive, limits.clone()).await;
        let reason = if by_limit {
            CancelReason::Deadline
        } else {
            CancelReason::Disconnected
        };
        if !by_limit {
            run.cancel_with(CancelRequest::new(reason.clone())).await;
        }
        let outcome = ended(&run).await;
        assert_eq!(partial(&outcome).receipt.reason, reason);
        assert_eq!(results(&run).await[0].1, reason.to_string());
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_sees_the_cancel_while_tools_are_awaited() {
    for how in BOTH {
        let (runtime, alive, gate) = (Runtime::new(), Alive::default(), Gate::new());
        let tools = [waits("waits", &gate, &alive, OnCancel::Finish)];
        let limits = Limits {
            deadline: Some(secs(9)),
            ..Limits::default()
        };
        let run = at_work(how, &runtime, &tools, &alive, limits).await;
        // A limit has no caller that waits for it.
        let before = Instant::now();
        until(&run, |kind| {
            matches!(kind, EventKind::CancelRequested { .. })
        })
        .await;
        assert!(
            before.elapsed() < secs(10),
            "it is seen before the tool has ended"
        );
        assert_eq!(alive.count(), 1);
        gate.open();
        assert_eq!(ends(&ended(&run).await), [("waits", ToolEnd::Finished)]);
        nothing_left(&runtime);
    }
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("it does not want to go")
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_panics_when_it_is_dropped_is_stopped_all_the_same() {
    for how in BOTH {
        let (runtime, alive) = (Runtime::new(), Alive::default());
        let inside = alive.clone();
        let tool = tool::from_schema("bomb", "", json!({}), move |_: Value, _| {
            let alive = inside.clone();
            async move {
                let _bomb = Bomb;
                let _inside = alive.enter();
                std::future::pending::<Result<(), ToolError>>().await
            }
        });
        let run = at_work(how, &runtime, &[tool], &alive, Limits::default()).await;
        run.cancel().await;
        let outcome = ended(&run).await;
        assert_eq!(status(&outcome), RunStatus::Cancelled);
        assert_eq!(ends(&outcome), [("bomb", ToolEnd::Stopped)]);
        assert_eq!(alive.count(), 0);
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_panics_on_its_way_out_has_failed() {
    let (runtime, alive) = (Runtime::new(), Alive::default());
    let inside = alive.clone();
    let tool = tool::from_schema(
        "told",
        "",
        json!({}),
        move |_: Value, context: ToolContext| {
            let alive = inside.clone();
            async move {
                let _inside = alive.enter();
                panic!("{}", context.cancelled().await);
                #[allow(unreachable_code, reason = "it has a type")]
                Ok(())
            }
        },
    );
    let tool = tool.on_cancel(OnCancel::Finish);
    let run = at_work(How::Own, &runtime, &[tool], &alive, Limits::default()).await;
    run.cancel().await;
    assert_eq!(ends(&ended(&run).await), [("told", ToolEnd::Finished)]);
    assert_eq!(
        results(&run).await[0].1,
        "panicked: the tool panicked: requested"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_no_longer_than_it_may_for_a_call_that_must_finish() {
    for how in BOTH {
        let (runtime, alive) = (Runtime::new(), Alive::default());
        let tools = [waits("waits", &Gate::new(), &alive, OnCancel::Finish)];
        let run = at_work(how, &runtime, &tools, &alive, Limits::default()).await;
        let before = Instant::now();
        let limits = Shutdown {
            finish_within: secs(1),
            cancel_within: secs(2),
        };
        let report = runtime.shutdown(limits).await;
        assert!(before.elapsed() < secs(4), "{:?}", before.elapsed());
        assert_eq!(
            (report.finished, report.cancelled, report.abandoned),
            (0, 0, 1)
        );
        let outcome = ended(&run).await;
        assert_eq!(partial(&outcome).receipt.reason, CancelReason::Shutdown);
        assert_eq!(ends(&outcome), [("waits", ToolEnd::Abandoned)]);
        settle().await;
        assert_eq!(alive.count(), 0);
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_fails_has_no_calls_to_end() {
    // The pieces of its calls arrived, but its answer did not finish.
    let model = super::calls(&["echo"]).cut_off_at(2);
    let agent = clerk(model).tool(super::echo()).build().unwrap();
    let run = start(How::Own, &Runtime::new(), &agent).await;
    let Outcome::Error(_) = ended(&run).await else {
        panic!("it fails");
    };
    assert_eq!(results(&run).await, []);
}
