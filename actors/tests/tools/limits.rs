//! Limits on turns, calls and tokens. Zero means zero, and `None` means no limit.

use std::time::Duration;

use quell_actors::{
    CancelReason, Outcome, Run, Runtime,
    agent::Limits,
    cancel::ToolEnd,
    error::AgentError,
    sim::Storyteller,
    usage::{Money, UsageSource},
};
use serde_json::json;

use super::{
    Alive, BOTH, How, clerk, echo, ended, ends,
    scripted::{Scripted, call, stop, text, usage, wants_tools},
    start,
    support::{all_events, names, nothing_left, partial},
};

/// Runs `model` under `limits`, with the tool `echo`.
async fn run(how: How, model: impl quell_actors::Model, limits: Limits) -> (Run, Outcome) {
    let runtime = Runtime::new();
    let agent = clerk(model).tool(echo()).limits(limits).build().unwrap();
    let run = start(how, &runtime, &agent).await;
    let outcome = ended(&run).await;
    nothing_left(&runtime);
    (run, outcome)
}

/// Expects that the limit of this name has cancelled the run.
fn cut_by(outcome: &Outcome, limit: &str) {
    let receipt = &partial(outcome).receipt;
    assert_eq!(receipt.reason, CancelReason::Budget);
    assert_eq!(receipt.by.as_deref(), Some(limit));
}

fn turns(turns: Option<u32>) -> Limits {
    Limits {
        max_turns: turns,
        ..Limits::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_is_asked_as_often_as_it_may_be() {
    for how in BOTH {
        for most in [0, 1, 3] {
            let model = Storyteller::new("never")
                .calling("echo", json!({}))
                .calls_tools_for_ever();
            let probe = model.probe();
            let (_, outcome) = run(how, model, turns(Some(most))).await;
            cut_by(&outcome, "max_turns");
            assert_eq!(probe.requests(), u64::from(most));
            assert_eq!(ends(&outcome), [], "all that it asked for was done");
        }
    }
    // Exactly as many as it needs are enough.
    let (_, outcome) = run(How::Own, super::calls(&["echo"]), turns(Some(2))).await;
    assert_eq!(outcome.text(), "all done");
    // The default is a limit, and `None` is not.
    let for_ever = || {
        let model = Storyteller::new("never")
            .calling("echo", json!({}))
            .calls_tools_for_ever();
        model.pace(Duration::ZERO)
    };
    let model = for_ever();
    let probe = model.probe();
    run(How::Own, model, Limits::default()).await;
    assert_eq!(probe.requests(), 50);
    let model = for_ever();
    let probe = model.probe();
    let limits = Limits {
        max_tool_calls: Some(60),
        ..turns(None)
    };
    let (_, outcome) = run(How::Own, model, limits).await;
    cut_by(&outcome, "max_tool_calls");
    assert_eq!(probe.requests(), 61);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_asks_for_too_many_calls_gets_none() {
    for how in BOTH {
        for (most, begun) in [(0, 0), (1, 0), (2, 2), (3, 2), (4, 4)] {
            let model = super::calls(&["echo", "echo"])
                .next_turn()
                .calling("echo", json!({}))
                .calling("echo", json!({}));
            let limits = Limits {
                max_tool_calls: Some(most),
                ..Limits::default()
            };
            let (run, outcome) = run(how, model, limits).await;
            let events = all_events(&run).await;
            let started = names_all(&events)
                .filter(|name| name == "tool_call_started")
                .count();
            assert_eq!(started, begun, "of {most}");
            if most == 4 {
                assert_eq!(outcome.text(), "all done");
            } else {
                cut_by(&outcome, "max_tool_calls");
                let not = ("echo", ToolEnd::NotStarted);
                assert_eq!(ends(&outcome), [not, not]);
            }
        }
    }
}

fn names_all(events: &[quell_actors::RunEvent]) -> impl Iterator<Item = String> {
    events
        .iter()
        .flat_map(|event| names(std::slice::from_ref(event)))
}

fn tokens(tokens: u64) -> Limits {
    Limits {
        max_tokens: Some(tokens),
        ..Limits::default()
    }
}

/// A model without tools is asked with "Sing.", which is 2 tokens by estimate.
async fn plain(model: impl quell_actors::Model, limits: Limits) -> Outcome {
    let agent = clerk(model).limits(limits).build().unwrap();
    let run = start(How::Own, &Runtime::new(), &agent).await;
    ended(&run).await
}

#[tokio::test(start_paused = true)]
async fn tokens_are_counted_as_they_come() {
    // Each word is one token by estimate, as four bytes.
    let words = || Storyteller::new("aaa bbb ccc ddd ");
    for (most, said) in [
        (0, None),
        (1, None),
        (2, Some("aaa ")),
        (3, Some("aaa bbb ")),
        (5, Some("aaa bbb ccc ddd ")),
    ] {
        let model = words();
        let probe = model.probe();
        let outcome = plain(model, tokens(most)).await;
        cut_by(&outcome, "max_tokens");
        assert_eq!(outcome.text(), said.unwrap_or_default());
        assert_eq!(
            probe.requests(),
            u64::from(said.is_some()),
            "with {most} it is not asked"
        );
        // At most one chunk beyond the limit.
        assert!(outcome.usage().tokens() <= most + 1);
        let source = if said.is_some() {
            UsageSource::Estimate
        } else {
            UsageSource::None
        };
        assert_eq!(outcome.usage().source, source);
    }
    assert_eq!(plain(words(), tokens(6)).await.text(), "aaa bbb ccc ddd ");
}

#[tokio::test(start_paused = true)]
async fn the_providers_number_counts_where_it_gives_one() {
    let model = || {
        Scripted::new().answer([
            text("aaaaaaaa"),
            usage(10, 1),
            text("bbbb"),
            usage(10, 5),
            text("c"),
            stop(),
        ])
    };
    // 2 and 2 by estimate, then 11, then 12, then 15 and 16.
    for (most, said) in [
        (3, "aaaaaaaa"),
        (4, "aaaaaaaa"),
        (10, "aaaaaaaa"),
        (11, "aaaaaaaabbbb"),
        (12, "aaaaaaaabbbb"),
        (15, "aaaaaaaabbbbc"),
    ] {
        let outcome = plain(model(), tokens(most)).await;
        cut_by(&outcome, "max_tokens");
        assert_eq!(outcome.text(), said, "{most}");
    }
    let outcome = plain(model(), tokens(16)).await;
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_and_their_results_count_too() {
    // Calls count as output of the model.
    let long = json!({ "text": "x".repeat(4_000) }).to_string();
    let model = Scripted::new().answer([call(0, "a", "echo", &long), wants_tools()]);
    let (run, outcome) = run(How::Own, model, tokens(500)).await;
    cut_by(&outcome, "max_tokens");
    assert!(!names(&all_events(&run).await).contains(&"tool_call_started".to_owned()));
    assert!(outcome.usage().output_tokens >= 1_000);

    // A tool's result counts as input of the model, so it is not asked again.
    let model = Scripted::new().answer([call(0, "a", "long", "{}"), usage(10, 10), wants_tools()]);
    let tool = quell_actors::tool::from_fn("long", "", |(): (), _| async { Ok("x".repeat(4_000)) });
    let agent = clerk(model.clone())
        .tool(tool)
        .limits(tokens(1_000))
        .build()
        .unwrap();
    let run = start(How::Own, &Runtime::new(), &agent).await;
    let outcome = ended(&run).await;
    cut_by(&outcome, "max_tokens");
    assert_eq!(model.requests().len(), 1);
    assert_eq!(
        outcome.usage().tokens(),
        20,
        "what was not asked is not counted"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_model_is_told_of_its_tools_counts() {
    let about = "x".repeat(4_000);
    let tool = quell_actors::tool::from_fn("long", &about, |(): (), _| async { Ok(()) });
    let model = Storyteller::new("never");
    let probe = model.probe();
    let agent = clerk(model)
        .tool(tool)
        .limits(tokens(1_000))
        .build()
        .unwrap();
    let run = start(How::Own, &Runtime::new(), &agent).await;
    cut_by(&ended(&run).await, "max_tokens");
    assert_eq!(probe.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_while_tools_are_at_work() {
    for how in BOTH {
        let (runtime, alive) = (Runtime::new(), Alive::default());
        let gate = quell_actors::sim::Gate::new();
        let tool = super::waits("waits", &gate, &alive, quell_actors::tool::OnCancel::Drop);
        let limits = Limits {
            deadline: Some(Duration::from_secs(5)),
            ..Limits::default()
        };
        let agent = clerk(super::calls(&["waits"]))
            .tool(tool)
            .limits(limits)
            .build()
            .unwrap();
        let before = tokio::time::Instant::now();
        let run = start(how, &runtime, &agent).await;
        let outcome = ended(&run).await;
        assert_eq!(partial(&outcome).receipt.reason, CancelReason::Deadline);
        assert!(before.elapsed() < Duration::from_millis(5_010));
        assert_eq!(ends(&outcome), [("waits", ToolEnd::Stopped)]);
        nothing_left(&runtime);
    }
}

#[test]
fn a_limit_on_cost_needs_prices() {
    let limits = Limits {
        max_cost: Some(Money::from_cents(1)),
        ..Limits::default()
    };
    let agent = clerk(Storyteller::endless()).limits(limits).build();
    assert_eq!(agent.err(), Some(AgentError::NoPrices));
}
