//! Calls that exceed their timeout.

use std::time::Duration;

use quell_actors::{
    CancelReason, EventKind, Runtime, ToolContext,
    agent::Limits,
    cancel::ToolEnd,
    sim::Gate,
    tool,
    tool::{AnyTool, OnCancel},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Alive, BOTH, How, clerk, ended, ends, eventually, results, settle, start,
    support::{nothing_left, partial, until},
    waits,
};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const TOOK_LONGER: &str = "timed_out: the call took longer than 2s, and was ended";

/// Runs a tool with a timeout of 2 s. Returns what the model gets, and after which time.
async fn told(how: How, tool: AnyTool, limits: Limits) -> (String, Duration) {
    let runtime = Runtime::new();
    let name = tool.name().to_owned();
    let agent = clerk(super::calls(&[&name]));
    let agent = agent
        .tool(tool.timeout(secs(2)))
        .limits(limits)
        .build()
        .unwrap();
    let before = Instant::now();
    let run = start(how, &runtime, &agent).await;
    assert_eq!(ended(&run).await.text(), "all done", "the run goes on");
    let took = before.elapsed();
    nothing_left(&runtime);
    (results(&run).await.swap_remove(0).1, took)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_ended_as_a_cancel_would_end_it() {
    let limits = || Limits {
        cancel_limit: secs(7),
        ..Limits::default()
    };
    for how in BOTH {
        for (on_cancel, seconds) in [
            (OnCancel::Drop, 2),
            (OnCancel::Grace(secs(3)), 5),
            (OnCancel::Finish, 9),
        ] {
            let alive = Alive::default();
            let tool = waits("waits", &Gate::new(), &alive, on_cancel);
            let (told, took) = told(how, tool, limits()).await;
            assert_eq!(told, TOOK_LONGER);
            assert!(
                took >= secs(seconds) && took < secs(seconds) + Duration::from_millis(10),
                "{took:?}"
            );
            assert_eq!(alive.count(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_call_says_when_its_time_is_over_is_told() {
    let tool = |fails: bool| {
        tool::from_schema(
            "told",
            "",
            json!({}),
            move |_: Value, context: ToolContext| async move {
                let reason = context.cancelled().await;
                assert_eq!(reason, CancelReason::Deadline);
                if fails {
                    Err(std::io::Error::other("half of it"))?
                }
                Ok("a third of it")
            },
        )
        .on_cancel(OnCancel::Grace(secs(1)))
    };
    let (first, took) = told(How::Own, tool(false), Limits::default()).await;
    assert_eq!(first, format!("{TOOK_LONGER}: a third of it"));
    assert!(took < secs(3));
    let (second, _) = told(How::Own, tool(true), Limits::default()).await;
    assert_eq!(second, format!("{TOOK_LONGER}: half of it"));
}

#[tokio::test(start_paused = true)]
async fn each_call_has_its_own_time() {
    let (alive, gate) = (Alive::default(), Gate::new());
    let never = Gate::new();
    let agent = clerk(super::calls(&["quick", "slow", "free"]))
        .tool(waits("quick", &never, &alive, OnCancel::Drop).timeout(secs(1)))
        .tool(waits("slow", &never, &alive, OnCancel::Drop).timeout(secs(4)))
        .tool(waits("free", &gate, &alive, OnCancel::Drop))
        .build()
        .unwrap();
    let runtime = Runtime::new();
    let run = start(How::Own, &runtime, &agent).await;
    eventually(|| alive.count() == 3).await;
    for left in [2, 1] {
        tokio::time::sleep(secs(left)).await;
        let _ = left;
    }
    assert_eq!(alive.count(), 2, "the first one's time is over");
    tokio::time::sleep(secs(2)).await;
    assert_eq!(alive.count(), 1);
    gate.open();
    assert_eq!(ended(&run).await.text(), "all done");
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_zero_ends_a_call_at_once_and_the_largest_never_does() {
    let (told, took) = {
        let alive = Alive::default();
        let tool = waits("waits", &Gate::new(), &alive, OnCancel::Drop);
        let agent = clerk(super::calls(&["waits"]));
        let agent = agent.tool(tool.timeout(Duration::ZERO)).build().unwrap();
        let before = Instant::now();
        let run = start(How::Own, &Runtime::new(), &agent).await;
        ended(&run).await;
        (results(&run).await.swap_remove(0).1, before.elapsed())
    };
    assert!(told.starts_with("timed_out: "), "{told}");
    assert!(took < secs(1));

    let (alive, gate) = (Alive::default(), Gate::new());
    let tool = waits("waits", &gate, &alive, OnCancel::Grace(Duration::MAX));
    let agent = clerk(super::calls(&["waits"]))
        .tool(tool.timeout(Duration::MAX))
        .build()
        .unwrap();
    let run = start(How::Own, &Runtime::new(), &agent).await;
    eventually(|| alive.count() == 1).await;
    tokio::time::sleep(secs(100_000)).await;
    run.cancel();
    tokio::time::sleep(secs(100_000)).await;
    assert_eq!(alive.count(), 1);
    gate.open();
    assert_eq!(ends(&ended(&run).await), [("waits", ToolEnd::Finished)]);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_of_a_call_whose_time_is_over_says_what_became_of_it() {
    for finishes in [true, false] {
        let (runtime, alive, gate) = (Runtime::new(), Alive::default(), Gate::new());
        let tool = waits("waits", &gate, &alive, OnCancel::Grace(secs(5))).timeout(secs(2));
        let agent = clerk(super::calls(&["waits"])).tool(tool).build().unwrap();
        let run = start(How::Own, &runtime, &agent).await;
        until(&run, |kind| matches!(kind, EventKind::ToolCallStarted(_))).await;
        tokio::time::sleep(secs(3)).await;
        let before = Instant::now();
        run.cancel();
        settle().await;
        if finishes {
            gate.open();
        }
        let outcome = ended(&run).await;
        assert_eq!(partial(&outcome).receipt.reason, CancelReason::Requested);
        let end = if finishes {
            ToolEnd::Finished
        } else {
            ToolEnd::Stopped
        };
        assert_eq!(ends(&outcome), [("waits", end)]);
        assert!(
            before.elapsed() < secs(5),
            "its grace began when its time was over"
        );
        nothing_left(&runtime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_timed_out_says_nothing_more() {
    let (runtime, alive, gate) = (Runtime::new(), Alive::default(), Gate::new());
    let (kept, keep) = tokio::sync::mpsc::unbounded_channel::<ToolContext>();
    let mut keep = keep;
    let leaks = tool::from_schema(
        "leaks",
        "",
        json!({}),
        move |_: Value, context: ToolContext| {
            let kept = kept.clone();
            async move {
                kept.send(context)?;
                std::future::pending::<()>().await;
                Ok(())
            }
        },
    );
    let agent = clerk(super::calls(&["leaks", "waits"]))
        .tool(leaks.timeout(secs(1)))
        .tool(waits("waits", &gate, &alive, OnCancel::Drop))
        .build()
        .unwrap();
    let run = start(How::Own, &runtime, &agent).await;
    until(&run, |kind| matches!(kind, EventKind::ToolCallError(_))).await;
    let context = keep.recv().await.unwrap();
    context.progress("too late");
    let process = quell_actors::tool::Process {
        group: 1,
        started: 1,
        boot: "b".into(),
        mark: None,
    };
    assert!(context.process(process).await.is_err());
    gate.open();
    assert_eq!(ended(&run).await.text(), "all done");
    nothing_left(&runtime);
}
