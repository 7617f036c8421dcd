//! The agents of the storm: models and tools that work or fail.

use std::{sync::Arc, time::Duration};

use quell::{
    Agent, ToolContext,
    agent::RetryPolicy,
    model::{ModelError, ModelErrorKind},
    sim::{Probe, Storyteller},
    tool,
    tool::{AnyTool, ToolError},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::support::Dice;

/// An agent, and a probe for its open streams.
pub(crate) struct Player {
    pub(crate) agent: Agent,
    pub(crate) probe: Probe,
    /// It falls silent and must be cancelled.
    pub(crate) stalls: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

impl Player {
    /// A random agent. All its parts hold `alive`.
    pub(crate) fn any(dice: &mut Dice, alive: &Arc<()>) -> Player {
        let word = dice.roll(30);
        let words = "word ".repeat(usize::try_from(word).unwrap());
        let error = ModelError::new(ModelErrorKind::Connection, "told to fail");
        let story = Storyteller::new(&words);
        let kind = dice.roll(12);
        let model = match kind {
            0 => Storyteller::endless().panic_at(word),
            1 => Storyteller::endless().fail_at(word, error),
            2 => Storyteller::endless().cut_off_at(word),
            3 => Storyteller::endless().stall_at(word),
            4 | 5 => story
                .calling("look", json!({}))
                .calling("dig", json!({}))
                .calling("fail", json!({}))
                .next_turn()
                .calling("panic", json!({})),
            6 => story.calling("wait", json!({})).calling("look", json!({})),
            7 | 8 => story.calling("pay", json!({})).calling("look", json!({})),
            _ => story,
        };
        let model = model.pace(Duration::ZERO);
        let probe = model.probe();
        let builder = Agent::builder("player", model)
            .retry(RetryPolicy::none())
            .history_runs(2);
        let builder = tools(alive)
            .into_iter()
            .fold(builder, |builder, tool| builder.tool(tool));
        Player {
            agent: builder.build().unwrap(),
            probe,
            stalls: kind == 3 || kind == 6,
        }
    }
}

fn tools(alive: &Arc<()>) -> [AnyTool; 6] {
    let of = |name: &'static str, alive: Arc<()>| {
        tool::from_fn(name, "Does it.", move |_: Nothing, context: ToolContext| {
            let alive = alive.clone();
            async move {
                context.progress("at it");
                tokio::task::yield_now().await;
                drop(alive);
                match name {
                    "fail" => Err(ToolError::new("told to fail")),
                    "panic" => panic!("the tool was told to panic"),
                    "wait" => std::future::pending().await,
                    _ => Ok("done"),
                }
            }
        })
    };
    let digs = alive.clone();
    let dig = tool::blocking_fn("dig", "Digs.", move |_: Nothing, _: ToolContext| {
        let _digs = &digs;
        std::thread::yield_now();
        Ok("a hole")
    });
    [
        of("look", alive.clone()),
        of("fail", alive.clone()),
        of("panic", alive.clone()),
        of("wait", alive.clone()),
        of("pay", alive.clone()).confirm(),
        dig,
    ]
}
