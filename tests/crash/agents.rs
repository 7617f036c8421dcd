//! The agents of the killed program: they talk, call tools of all kinds, wait for a person, fail and panic.

use std::{sync::OnceLock, time::Duration};

use quell::{
    Agent, NewRun, Runtime, ToolContext,
    agent::{AgentBuilder, OnCrash, RetryPolicy},
    model::{ModelError, ModelErrorKind},
    runtime::RuntimeBuilder,
    sim::Storyteller,
    tool,
    tool::AnyTool,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::{
    lines::{Line, say},
    program::follow,
};

/// The runtime in which tools start child runs.
pub(crate) static RUNTIME: OnceLock<Runtime> = OnceLock::new();

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

/// Prints that a tool did something that cannot be undone.
fn begun(context: &ToolContext) {
    say(&Line::Begun {
        run: context.run_id(),
        call: context.call_id().to_owned(),
    });
}

fn look() -> AnyTool {
    tool::from_fn(
        "look",
        "Looks.",
        |_: Nothing, context: ToolContext| async move {
            begun(&context);
            for step in ["left", "right"] {
                context.progress(step);
                tokio::task::yield_now().await;
            }
            Ok("It is there.")
        },
    )
}

fn dig() -> AnyTool {
    tool::blocking_fn("dig", "Digs.", |_: Nothing, context: ToolContext| {
        begun(&context);
        for _ in 0..50 {
            std::thread::yield_now();
        }
        Ok("A hole.")
    })
}

fn pay() -> AnyTool {
    let pay = tool::from_fn(
        "pay",
        "Pays.",
        |_: Nothing, context: ToolContext| async move {
            begun(&context);
            Ok("Paid.")
        },
    );
    pay.confirm()
}

fn ask() -> AnyTool {
    tool::from_fn(
        "ask",
        "Asks a poet.",
        |_: Nothing, context: ToolContext| async move {
            begun(&context);
            let runtime = RUNTIME
                .get()
                .ok_or_else(|| tool_error("there is no runtime"))?;
            let run = NewRun::new("Sing.").child_of(&context);
            let run = runtime.start(&poet(), run).await?;
            follow(&run).await;
            Ok(run.outcome().await?.text().len())
        },
    )
}

fn tool_error(words: &str) -> quell::tool::ToolError {
    quell::tool::ToolError::new(words)
}

fn agent(name: &str, model: Storyteller) -> AgentBuilder {
    Agent::builder(name, model.pace(Duration::ZERO))
        .retry(RetryPolicy::none())
        .history_runs(2)
}

fn built(agent: AgentBuilder) -> Agent {
    agent.build().unwrap()
}

fn words(count: usize) -> String {
    "and the sea ".repeat(count)
}

pub(crate) fn poet() -> Agent {
    let model = Storyteller::new(&words(15)).thinking("What of, what of?");
    built(agent("poet", model))
}

pub(crate) fn singer() -> Agent {
    built(agent("singer", Storyteller::endless()))
}

/// Calls tools in parallel and in sequence.
fn at_work(name: &str) -> AgentBuilder {
    let model = Storyteller::new(&words(5))
        .saying_first("Let me see.")
        .calling("look", json!({}))
        .calling("dig", json!({}))
        .calling("look", json!({}))
        .next_turn()
        .calling("look", json!({}))
        .calling("no_such_tool", json!({}));
    agent(name, model).tool(dig())
}

pub(crate) fn clerk() -> Agent {
    built(at_work("clerk").tool(look()))
}

/// Is resumed after a crash.
pub(crate) fn steady() -> Agent {
    let agent = at_work("steady").tool(look().repeatable());
    built(agent.on_crash(OnCrash::Resume))
}

/// Waits for a person.
pub(crate) fn buyer() -> Agent {
    let model = Storyteller::new(&words(3))
        .calling("pay", json!({}))
        .calling("look", json!({}));
    built(agent("buyer", model).tool(pay()).tool(look()))
}

/// Asks another agent through a tool.
pub(crate) fn boss() -> Agent {
    let model = Storyteller::new(&words(2)).calling("ask", json!({}));
    built(agent("boss", model).tool(ask()))
}

pub(crate) fn broken() -> Agent {
    let error = ModelError::new(ModelErrorKind::Connection, "the line is dead");
    built(agent("broken", Storyteller::endless().fail_at(9, error)))
}

pub(crate) fn panicky() -> Agent {
    built(agent("panicky", Storyteller::endless().panic_at(7)))
}

/// A builder that knows all of them, for recovery.
pub(crate) fn known() -> RuntimeBuilder {
    let all = [
        poet(),
        singer(),
        clerk(),
        steady(),
        buyer(),
        boss(),
        broken(),
        panicky(),
    ];
    all.iter()
        .fold(Runtime::builder(), |builder, agent| builder.agent(agent))
}
