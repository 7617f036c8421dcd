//! Parts of an answer that a provider wants back: they are stored, returned to that provider only, and never shown.

use std::sync::Arc;

use quell_actors::{
    Agent, EventKind, NewRun, Outcome, Run, RunStatus, Runtime,
    agent::{Limits, RetryPolicy},
    message::{Message, ProviderParts},
    model::ModelChunk,
    outcome::ErrorReason,
    runtime::Decisions,
};
use serde_json::{Value, json};

use super::{
    clerk, echo, ended,
    scripted::{Scripted, call, stop, text},
    support::{all_events, opened, partial, settle, shared::SharedStore, until},
};

fn part(value: Value) -> ModelChunk {
    ModelChunk::Opaque(value)
}

fn thinks(words: &str) -> ModelChunk {
    ModelChunk::Reasoning(words.into())
}

/// An answer with reasoning, a signature for it, and a call of `echo`.
fn signed() -> [ModelChunk; 6] {
    [
        thinks("Let me "),
        thinks("think."),
        part(json!({"signature": "s-1"})),
        call(0, "a", "echo", r#"{"text":"hi"}"#),
        part(json!("s-2")),
        stop(),
    ]
}

fn parts() -> ProviderParts {
    ProviderParts::new("p", vec![json!({"signature": "s-1"}), json!("s-2")])
}

/// The parts that are returned with each assistant message.
fn given(asked: &[Message]) -> Vec<Option<&ProviderParts>> {
    let model = |message: &&Message| matches!(message, Message::Assistant { .. });
    asked.iter().filter(model).map(Message::provider).collect()
}

fn agent(model: &Scripted) -> Agent {
    clerk(model.clone()).tool(echo()).build().unwrap()
}

async fn run_in(runtime: &Runtime, agent: &Agent, session: &str) -> Run {
    let new = NewRun::new("Go.").session(session);
    let run = runtime.start(agent, new).await.unwrap();
    ended(&run).await;
    run
}

#[tokio::test(start_paused = true)]
async fn the_next_turn_and_later_runs_give_back_what_the_provider_gave() {
    let (store, model) = (SharedStore::new(), Scripted::new().of("p").answer(signed()));
    let runtime = opened(Default::default(), store.clone()).await;
    let run = run_in(&runtime, &agent(&model), "s").await;
    let back = parts().reasoning("Let me think.");
    assert_eq!(given(&model.requests()[1]), [Some(&back)]);

    // A later run, after a restart; the last answer came without parts.
    let later = opened(Default::default(), store.another()).await;
    run_in(&later, &agent(&model), "s").await;
    assert_eq!(given(&model.requests()[2]), [Some(&back), None]);

    // It is stored once, and shown nowhere.
    let events = all_events(&run).await;
    let stored: Vec<_> = events
        .iter()
        .filter(|event| serde_json::to_string(event).unwrap().contains("s-1"))
        .collect();
    let [stored] = &stored[..] else {
        panic!("it is stored once: {stored:#?}");
    };
    let EventKind::ModelRequestCompleted(completed) = &stored.kind else {
        panic!("{stored:?}");
    };
    assert_eq!(completed.provider.as_deref(), Some(&parts()));
    let Some(Outcome::Completed(reply)) = events.last().unwrap().kind.outcome() else {
        panic!("{events:#?}");
    };
    assert_eq!((&*reply.text, &*reply.reasoning), ("end", "Let me think."));
}

#[tokio::test(start_paused = true)]
async fn another_provider_is_given_nothing_of_it() {
    let (store, model) = (SharedStore::new(), Scripted::new().of("p").answer(signed()));
    let runtime = opened(Default::default(), store.clone()).await;
    run_in(&runtime, &agent(&model), "s").await;
    for other in [Scripted::new().of("q"), Scripted::new()] {
        run_in(&runtime, &agent(&other), "s").await;
        let asked = other.requests();
        assert!(given(&asked[0]).iter().all(Option::is_none), "{asked:#?}");
        let texts = format!("{:?}", asked[0]);
        assert!(!texts.contains("think"), "{texts}");
    }
    // The provider that gave it still gets it back.
    run_in(&runtime, &agent(&model), "s").await;
    let asked = model.requests();
    assert!(given(asked.last().unwrap()).iter().any(Option::is_some));
}

#[tokio::test(start_paused = true)]
async fn a_model_without_a_name_is_given_nothing_back() {
    let (runtime, model) = (Runtime::new(), Scripted::new().answer(signed()));
    run_in(&runtime, &agent(&model), "s").await;
    assert_eq!(given(&model.requests()[1]), [None]);
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_gave_is_given_back_after_a_pause_in_another_process() {
    let (store, model) = (SharedStore::new(), Scripted::new().of("p").answer(signed()));
    let agent = clerk(model.clone()).tool(echo().confirm()).build().unwrap();
    let runtime = opened(Default::default(), store.clone()).await;
    let run = runtime.start(&agent, "Go.").await.unwrap();
    until(&run, |kind| matches!(kind, EventKind::Paused(_))).await;
    settle().await;

    let later = opened(Default::default(), store.another()).await;
    later.add_agent(&agent);
    let approved = Decisions::new().approve("a");
    let run = later.continue_run(run.id(), approved).await.unwrap();
    ended(&run).await;
    let back = parts().reasoning("Let me think.");
    assert_eq!(given(&model.requests()[1]), [Some(&back)]);
}

#[tokio::test(start_paused = true)]
async fn a_last_answer_keeps_its_parts_and_an_interrupted_one_has_none() {
    let last = [text("Here."), part(json!(1)), stop()];
    let cut = [text("I was"), part(json!(2)), text(" saying"), text("!")];
    let (runtime, model) = (Runtime::new(), Scripted::new().of("p").answer(last));
    let agent = agent(&model.clone().answer(cut));
    run_in(&runtime, &agent, "s").await;
    let new = NewRun::new("Go on.").session("s");
    let run = runtime.start(&agent, new).await.unwrap();
    until(
        &run,
        |kind| matches!(kind, EventKind::Content { text } if **text == *" saying"),
    )
    .await;
    run.cancel().await;
    ended(&run).await;
    run_in(&runtime, &agent, "s").await;
    let asked = model.requests();
    let back = ProviderParts::new("p", vec![json!(1)]);
    assert_eq!(given(asked.last().unwrap()), [Some(&back), None]);
}

#[tokio::test(start_paused = true)]
async fn parts_are_bounded_and_count_for_the_size_of_the_log() {
    let large = |bytes: usize| Value::from("x".repeat(bytes));
    let (runtime, model) = (Runtime::new(), Scripted::new().of("p"));
    let too_large = [part(large(600_000)), part(large(600_000)), stop()];
    let refused = agent(&model.clone().answer(too_large));
    let run = runtime.start(&refused, "Go.").await.unwrap();
    let Outcome::Error(error) = ended(&run).await else {
        panic!("more than any answer needs is a fault");
    };
    assert_eq!(error.reason, ErrorReason::Model);
    assert_eq!(
        error.message,
        "the opaque parts of one answer have more than 1048576 bytes"
    );

    let calls = [part(large(5_000)), call(0, "a", "echo", "{}"), stop()];
    let limits = Limits {
        max_log_bytes: 4_096,
        ..Limits::default()
    };
    let agent = clerk(model.answer(calls)).tool(echo()).limits(limits);
    let run = runtime.start(&agent.build().unwrap(), "Go.").await.unwrap();
    let outcome = ended(&run).await;
    let by = partial(&outcome).receipt.by.as_deref();
    assert_eq!(by, Some("max_log_bytes"));
}

/// A part counts as output: once it has come, the request is not retried.
#[tokio::test(start_paused = true)]
async fn a_request_is_not_repeated_once_a_part_was_heard() {
    use quell_actors::model::{ModelError, ModelErrorKind, Retry};
    let error = || ModelError::new(ModelErrorKind::Connection, "reset").with_retry(Retry::Backoff);
    let failing = Failing(Arc::new(move || vec![Ok(part(json!(1))), Err(error())]));
    let agent = Agent::builder("clerk", failing).retry(RetryPolicy::default());
    let run = Runtime::new().start(&agent.build().unwrap(), "Go.").await;
    let run = run.unwrap();
    assert_eq!(ended(&run).await.status(), RunStatus::Error);
    let asked = all_events(&run).await;
    let asked = asked
        .iter()
        .filter(|event| matches!(event.kind, EventKind::ModelRequestStarted { .. }));
    assert_eq!(asked.count(), 1);
}

type Items = Vec<Result<ModelChunk, quell_actors::model::ModelError>>;

struct Failing(Arc<dyn Fn() -> Items + Send + Sync>);

impl quell_actors::Model for Failing {
    fn stream(
        &self,
        _: quell_actors::model::ModelRequest,
    ) -> impl futures::Stream<Item = Result<ModelChunk, quell_actors::model::ModelError>> + Send + 'static
    {
        futures::stream::iter((self.0)())
    }
}
