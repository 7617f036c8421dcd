//! Runs with tools on real threads, cancelled and steered from other threads at arbitrary times.

use quell_actors::{
    Run, RunStatus, Runtime, ToolContext,
    sim::Storyteller,
    tool,
    tool::{OnCancel, ToolError},
};
use serde_json::{Value, json};
use tokio::task::yield_now;

use super::{Alive, BOTH, clerk, ended, really, start, support::guarded};

const RUNS: u64 = 150;

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

fn agent(alive: &Alive) -> quell_actors::Agent {
    let blocks = tool::blocking_fn("blocks", "", |_: Value, context: ToolContext| {
        context.progress("on a thread");
        Ok(context.is_cancelled())
    });
    let model = Storyteller::new("all done")
        .pace(std::time::Duration::ZERO)
        .calling("drops", json!({}))
        .calling("grace", json!({}))
        .next_turn()
        .calling("finish", json!({}))
        .calling("blocks", json!({}));
    clerk(model)
        .tool(takes("drops", 5, alive, OnCancel::Drop))
        .tool(takes(
            "grace",
            3,
            alive,
            OnCancel::Grace(super::support::GUARD),
        ))
        .tool(takes("finish", 9, alive, OnCancel::Finish))
        .tool(blocks)
        .build()
        .unwrap()
}

async fn disturb(run: Run, turns: u64) {
    for _ in 0..turns {
        yield_now().await;
    }
    drop(run.steer("And?"));
    for _ in 0..turns {
        yield_now().await;
    }
    run.cancel().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn whatever_meets_on_many_threads_histories_stay_valid() {
    let (runtime, alive) = (Runtime::new(), Alive::default());
    let agent = agent(&alive);
    for at in 0..RUNS {
        for how in BOTH {
            let run = guarded(start(how, &runtime, &agent)).await;
            let other = tokio::spawn(disturb(run.clone(), at));
            let outcome = guarded(ended(&run)).await;
            guarded(other).await.unwrap();
            assert_ne!(outcome.status(), RunStatus::Error, "{outcome:?}");
        }
    }
    really(|| alive.count() == 0).await;
    really(|| runtime.list().is_empty()).await;
}
