//! A run as people are shown it: at any moment, here and in another process, live and from the store.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/mod.rs"]
mod support;

use quell_actors::{
    Agent, EventKind, NewRun, Run, RunId, RunStatus, Runtime,
    agent::OnCrash,
    cancel::Activity,
    error::EventsError,
    event::{Decision, ToolFault, WaitsFor},
    message::Message,
    model::{ModelError, ModelErrorKind, Retry},
    outcome::FinishReason,
    runtime::Decisions,
    sim::Storyteller,
    view::{CallOutcome, RunView},
};
use serde_json::json;

use crate::support::{
    all_events, ended, opened, settle,
    shared::SharedStore,
    tools::{Ledger, open},
    until,
};

/// An agent that thinks, looks, pays what has to be approved, and says that it is done.
fn clerk() -> Agent {
    let ledger = Ledger::default();
    let model = Storyteller::new("all done")
        .thinking("hm, well")
        .saying_first("let me see")
        .calling("look", json!({}))
        .calling("pay", json!({"euros": 5}));
    Agent::builder("clerk", model)
        .tool(ledger.tool("look", &open()))
        .tool(ledger.tool("pay", &open()).confirm())
        .on_crash(OnCrash::Resume)
        .build()
        .unwrap()
}

async fn folded(run: &Run) -> RunView {
    let mut view = RunView::new();
    for event in all_events(run).await {
        view.event(&event);
    }
    view
}

/// Follows a run to its end, from what it is now on. Whatever waits is approved.
async fn follow(runtime: &Runtime, run: &Run) -> RunView {
    let (mut view, mut events) = run.view_and_events().await.unwrap();
    loop {
        if view.status == RunStatus::Paused {
            let waiting = view.waiting.iter();
            let all = waiting.fold(Decisions::new(), |all, waiting| {
                all.approve(waiting.call.id.clone())
            });
            // Another round may have been first.
            let _ = runtime.continue_run(run.id(), all.by("ann")).await;
        }
        match events.next().await {
            Some(event) => view.event(&event.unwrap()),
            None => return view,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_view_taken_at_any_event_and_followed_is_that_of_the_whole() {
    let mut at = 1;
    loop {
        let runtime = Runtime::new();
        let run = runtime.start(&clerk(), "Pay.").await.unwrap();
        let mut events = run.events();
        let mut waits = false;
        for _ in 0..at {
            let Some(event) = events.next().await else {
                return;
            };
            waits = matches!(event.unwrap().kind, EventKind::Paused(_));
            if waits {
                break;
            }
        }
        let view = follow(&runtime, &run).await;
        let outcome = ended(&run).await;
        assert_eq!(view, folded(&run).await, "at event {at}");
        assert_eq!(Some(&view), runtime.view(run.id()).await.unwrap().as_ref());
        assert_eq!(view.text(), outcome.text());
        assert_eq!(view.usage, outcome.usage());
        assert_eq!((view.status, view.phase), (RunStatus::Completed, None));
        if waits {
            break;
        }
        at += 1;
    }
    assert!(at > 8, "{at} events come before the pause");
}

#[tokio::test(start_paused = true)]
async fn another_process_shows_a_stored_run_as_this_one_did() {
    let store = SharedStore::new();
    let runtime = opened(Default::default(), store.clone()).await;
    let new = NewRun::new("Pay.").user("ann");
    let run = runtime.start(&clerk(), new).await.unwrap();
    until(&run, |kind| matches!(kind, EventKind::Paused(_))).await;
    settle().await;
    let paused = run.view().await.unwrap();
    let other = opened(Default::default(), store.another()).await;
    assert_eq!(other.view(run.id()).await.unwrap().unwrap(), paused);

    let view = follow(&runtime, &run).await;
    let later = opened(Default::default(), store.another()).await;
    assert_eq!(later.view(run.id()).await.unwrap().unwrap(), view);
    assert_eq!(later.view(RunId::new()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_shows_what_it_was_asked_what_it_did_and_what_it_waits_for() {
    let runtime = Runtime::new();
    let new = NewRun::new("Pay.").user("ann").session("s");
    let run = runtime.start(&clerk(), new).await.unwrap();
    until(&run, |kind| matches!(kind, EventKind::Paused(_))).await;
    settle().await;
    let view = run.view().await.unwrap();
    assert_eq!(view.run_id, Some(run.id()));
    assert_eq!(view.status, RunStatus::Paused);
    assert_eq!(view.phase, Some(Activity::Paused));
    assert_eq!(view.input(), [Message::user("Pay.")]);
    let started = view.started.as_ref().unwrap();
    assert_eq!(started.user_id.as_deref(), Some("ann"));
    assert_eq!((view.text(), view.reasoning()), ("let me see", "hm, well"));

    // The model takes 50 ms to its first word, which it thinks.
    let [turn] = &view.turns[..] else {
        panic!("{:?}", view.turns);
    };
    assert_eq!((turn.turn, turn.attempt), (1, 1));
    let asked = turn.asked_at.as_millis();
    let first = turn.first_word_at.unwrap().as_millis();
    assert_eq!(first - asked, 50);
    assert!(turn.over_at.unwrap().as_millis() > first);
    assert_eq!(turn.finish, Some(FinishReason::ToolCalls));
    assert_eq!(turn.usage, Some(view.usage));

    let [look, pay] = &view.calls[..] else {
        panic!("{:?}", view.calls);
    };
    assert_eq!(look.outcome, Some(CallOutcome::Output("look".into())));
    assert!(look.begun_at.is_some() && look.ended_at.is_some());
    assert_eq!((&pay.outcome, pay.begun_at), (&None, None));
    let [waiting] = &view.waiting[..] else {
        panic!("{:?}", view.waiting);
    };
    assert_eq!(waiting.call, pay.call);
    assert_eq!(waiting.waits_for, WaitsFor::Approval);
    // What was asked, the answer with both calls, and the one result that there is.
    let messages = view.messages();
    let texts: Vec<_> = messages.iter().map(|said| said.message.text()).collect();
    assert_eq!(texts, ["Pay.", "let me see", "look"]);
    assert_eq!(messages[1].usage, turn.usage);

    let decided = Decisions::new().approve_with("call-1-1", "{}").by("bob");
    runtime.continue_run(run.id(), decided).await.unwrap();
    ended(&run).await;
    let view = run.view().await.unwrap();
    let pay = &view.calls[1];
    assert_eq!(pay.decision, Some(Decision::ApproveWith("{}".into())));
    assert_eq!(pay.decided_by.as_deref(), Some("bob"));
    assert_eq!(&*pay.call.arguments, "{}");
    assert!(view.waiting.is_empty() && view.receipt().is_none());
    assert_eq!(view.text(), "let me seeall done");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_shows_its_receipt_and_how_far_its_answer_went() {
    let runtime = Runtime::new();
    let model = Storyteller::new("and the sea and the sea").stall_at(3);
    let run = runtime.start(&support::poet(model), "Sing.").await.unwrap();
    until(
        &run,
        |kind| matches!(kind, EventKind::Content { text } if **text == *"sea "),
    )
    .await;
    let view = run.view().await.unwrap();
    assert_eq!(view.phase, Some(Activity::Streaming));
    assert_eq!(view.messages()[1].message.text(), "and the sea ");
    run.cancel().await;
    let outcome = ended(&run).await;
    let view = run.view().await.unwrap();
    assert_eq!(view.receipt(), Some(&support::partial(&outcome).receipt));
    assert_eq!(view.messages()[1].message.text(), "and the sea ");
    assert_eq!((view.text(), view.usage), (outcome.text(), outcome.usage()));
    assert_eq!(view.turns[0].over_at, None, "the cancel has cut it");
}

#[tokio::test(start_paused = true)]
async fn failed_attempts_and_failed_calls_are_shown() {
    let error = ModelError::new(ModelErrorKind::Status(503), "busy").with_retry(Retry::Backoff);
    let model = Storyteller::new("sorry")
        .calling("nothing", json!({}))
        .refuse(error);
    let agent = Agent::builder("clerk", model).tool(Ledger::default().tool("look", &open()));
    let run = Runtime::new().start(&agent.build().unwrap(), "Go.").await;
    let run = run.unwrap();
    until(&run, |kind| {
        matches!(kind, EventKind::ModelRequestCompleted(_))
    })
    .await;
    assert_eq!(run.view().await.unwrap().phase, Some(Activity::Retrying));
    ended(&run).await;
    let view = run.view().await.unwrap();
    let attempts: Vec<_> = view
        .turns
        .iter()
        .map(|turn| (turn.turn, turn.attempt))
        .collect();
    assert_eq!(attempts, [(1, 1), (1, 2), (2, 1)]);
    assert_eq!(view.turns[0].fault.as_deref(), Some("busy"));
    assert_eq!(view.turns[0].first_word_at, None);
    let Some(CallOutcome::Fault { kind, .. }) = view.calls[0].outcome else {
        panic!("{:?}", view.calls);
    };
    assert_eq!(kind, ToolFault::UnknownTool);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_a_crash_has_cut_is_not_shown_twice() {
    let store = SharedStore::new();
    let model = Storyteller::new("one two three four five");
    let agent = Agent::builder("poet", model).on_crash(OnCrash::Resume);
    let agent = agent.build().unwrap();
    let dying = store.another();
    let runtime = opened(Default::default(), dying.clone()).await;
    let run = runtime.start(&agent, "Sing.").await.unwrap();
    until(
        &run,
        |kind| matches!(kind, EventKind::Content { text } if **text == *"two "),
    )
    .await;
    dying.freeze_after(0);

    let (later, _) = Runtime::builder()
        .agent(&agent)
        .open(store.another())
        .await
        .unwrap();
    let run = later.get(run.id()).await.unwrap().unwrap();
    let outcome = ended(&run).await;
    let view = later.view(run.id()).await.unwrap().unwrap();
    assert_eq!(view.text(), "one two three four five");
    assert_eq!(view.text(), outcome.text());
    assert_eq!(view.messages().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_store_is_lost_shows_what_was_stored_and_then_says_so() {
    let store = SharedStore::new();
    let runtime = opened(Default::default(), store.clone()).await;
    let model = Storyteller::new("one two three four five");
    let run = runtime.start(&support::poet(model), "Sing.").await;
    let run = run.unwrap();
    until(
        &run,
        |kind| matches!(kind, EventKind::Content { text } if **text == *"two "),
    )
    .await;
    store.doubt(true);
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    let (view, mut events) = run.view_and_events().await.unwrap();
    assert_eq!(view.text(), "one two ");
    let lost = events.next().await.unwrap().unwrap_err();
    let last_stored = view.seq;
    assert_eq!(lost, EventsError::StoreLost { last_stored });
}
