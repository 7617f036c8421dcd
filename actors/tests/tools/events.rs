//! A cancel at every possible time of a run with tools. On one thread with a paused clock, each poll of the scheduler
//! is one such time, and there are no others.

use std::time::Duration;

use quell_actors::{
    Agent, NewRun, Outcome, Run, RunStatus, Runtime, ToolContext,
    runtime::RuntimeConfig,
    sim::Storyteller,
    tool,
    tool::{OnCancel, ToolError},
};
use serde_json::{Value, json};
use tokio::{task::yield_now, time::Instant};

use super::{
    Alive, clerk, ended, history,
    support::{FaultyStore, nothing_left, opened},
};

/// A tool that yields a few times.
fn takes(
    name: &str,
    turns: u32,
    alive: &Alive,
    on_cancel: OnCancel,
) -> quell_actors::tool::AnyTool {
    let alive = alive.clone();
    let call = move |_: Value, context: ToolContext| {
        let alive = alive.clone();
        async move {
            let _inside = alive.enter();
            for turn in 0..turns {
                context.progress(turn.to_string());
                yield_now().await;
            }
            Ok::<_, ToolError>(turns)
        }
    };
    tool::from_schema(name, "", json!({}), call).on_cancel(on_cancel)
}

fn agent(alive: &Alive) -> Agent {
    let model = Storyteller::new("all done")
        .pace(Duration::ZERO)
        .saying_first("Let me see.")
        .calling("drops", json!({ "a": 1 }))
        .calling("unknown", json!({}))
        .calling("grace", json!({}))
        .calling("finish", json!({}))
        .next_turn()
        .calling("drops", json!({}));
    let second = Duration::from_secs(1);
    clerk(model)
        .tool(takes("drops", 3, alive, OnCancel::Drop))
        .tool(takes("grace", 4, alive, OnCancel::Grace(second)))
        .tool(takes("finish", 6, alive, OnCancel::Finish))
        .build()
        .unwrap()
}

/// Cancels a run after `turns` yields. Returns whether it had ended before.
async fn cut_after(
    turns: u32,
    runtime: &Runtime,
    store: Option<&FaultyStore>,
    dropped: bool,
) -> bool {
    let alive = Alive::default();
    let before = Instant::now();
    let run: Run = {
        let new = NewRun::new("Go.").session("s");
        let agent = agent(&alive);
        let starting = tokio::spawn({
            let runtime = runtime.clone();
            async move { runtime.start(&agent, new).await.unwrap() }
        });
        if let Some(store) = store {
            store.let_through(1);
        }
        starting.await.unwrap()
    };
    for _ in 0..turns {
        if let Some(store) = store {
            // A slow store: one append for each yield.
            store.let_through(1);
        }
        yield_now().await;
    }
    let was = run.status();
    let cancel = run.cancel();
    if let Some(store) = store {
        store.let_through(1_000);
    }
    if dropped {
        drop(cancel);
    } else {
        let answer = cancel.await;
        assert_eq!(
            answer.is_accepted(),
            !was.is_ended(),
            "after {turns}: {answer:?}"
        );
    }
    let outcome = ended(&run).await;
    assert_eq!(
        before.elapsed(),
        Duration::ZERO,
        "after {turns}: no time passes"
    );
    assert_eq!(alive.count(), 0, "after {turns}");
    let expected = if was.is_ended() {
        RunStatus::Completed
    } else {
        RunStatus::Cancelled
    };
    assert_eq!(outcome.status(), expected);
    if let Outcome::Completed(reply) = outcome {
        assert_eq!(reply.text, "Let me see.all done");
    }
    history::goes_on(runtime, "s").await;
    nothing_left(runtime);
    was.is_ended()
}

#[tokio::test(start_paused = true)]
async fn a_cancel_at_every_moment_leaves_a_history_that_a_model_takes() {
    for dropped in [false, true] {
        let mut turns = 0;
        while !cut_after(turns, &Runtime::new(), None, dropped).await {
            turns += 1;
        }
        assert!(turns > 20, "there are many moments, not {turns}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_at_every_moment_with_a_slow_store_does_so_too() {
    let mut turns = 0;
    loop {
        let store = FaultyStore::held();
        let runtime = opened(RuntimeConfig::default(), store.clone()).await;
        if cut_after(turns, &runtime, Some(&store), true).await {
            break;
        }
        turns += 1;
    }
    assert!(turns > 20, "there are many moments, not {turns}");
}
