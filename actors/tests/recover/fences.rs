//! A process that no longer owns a run does nothing more for it.

use std::time::Duration;

use quell_actors::{Agent, EventKind, NewRun, Outcome, RunStatus, agent::OnCrash, sim::Gate};
use serde_json::json;
use tokio::runtime::Builder;

use super::{hanging, on, reopened};
use crate::support::{
    check_history, ended, nothing_kept, opened, settle,
    shared::SharedStore,
    tools::{Ledger, Recorder, open},
    until,
};
use quell_actors::sim::Storyteller;

#[tokio::test(start_paused = true)]
async fn an_owner_that_was_only_slow_is_fenced_and_its_readers_are_told() {
    let (store, gate) = (SharedStore::new(), Gate::new());
    let agent = Agent::builder("poet", Storyteller::new("one two three").gate(&gate));
    let agent = agent.on_crash(OnCrash::Resume).build().unwrap();
    let first = on(&store).await;
    let run = first.start(&agent, "Sing.").await.unwrap();
    gate.let_through(2);
    until(&run, |kind| matches!(kind, EventKind::Content { .. })).await;

    let (second, recovered) = reopened(&store, &[&agent]).await;
    assert_eq!(recovered.resumed, [run.id()]);
    let resumed = second.get(run.id()).await.unwrap().unwrap();
    // The first process continues to speak, and nothing of it is stored.
    gate.open();
    assert!(run.outcome().await.is_err());
    assert!(matches!(ended(&resumed).await, Outcome::Completed(_)));
    settle().await;
    check_history(&store.stored(run.id()).await);
    nothing_kept(&first);
    nothing_kept(&second);
}

#[test]
fn a_process_that_is_gone_in_the_middle_of_its_work_is_found_and_settled() {
    let (store, ledger) = (SharedStore::new(), Ledger::default());
    let never = Gate::new();
    let process = || {
        Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
    };
    let model = || Recorder::new(Storyteller::new("all is done").calling("send", json!({})));
    let agent = Agent::builder("clerk", model()).tool(ledger.tool("send", &never));
    let agent = agent.build().unwrap();
    let first = process();
    let ids = first.block_on(async {
        let runtime = on(&store).await;
        let sending = runtime
            .start(&agent, NewRun::new("Do.").session("s"))
            .await
            .unwrap();
        until(&sending, |kind| {
            matches!(kind, EventKind::ToolCallStarted(_))
        })
        .await;
        let waiting = runtime
            .start(&agent, NewRun::new("Do.").session("s"))
            .await
            .unwrap();
        let talking = runtime.start(&hanging(), "Sing.").await.unwrap();
        settle().await;
        [sending.id(), waiting.id(), talking.id()]
    });
    // A dropped tokio runtime still ends its runs; a killed process cannot.
    store.freeze_after(0);
    drop(first);

    let model = model();
    let agent = Agent::builder("clerk", model.clone()).tool(ledger.tool("send", &open()));
    let agent = agent.build().unwrap();
    process().block_on(async {
        let (runtime, recovered) = reopened(&store, &[&agent]).await;
        assert_eq!(recovered.interrupted, [ids[0], ids[2]]);
        assert_eq!(recovered.requeued, [ids[1]]);
        let run = runtime.get(ids[1]).await.unwrap().unwrap();
        assert!(matches!(ended(&run).await, Outcome::Completed(_)));
        // It waited for the run before it, and its history shows how that one ended.
        let first = &model.asked()[0];
        let unknown = first
            .iter()
            .any(|message| message.text().starts_with("It is not known"));
        assert!(unknown, "{first:#?}");
        assert_eq!(ledger.times("call-1-0"), 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        nothing_kept(&runtime);
    });
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_before_the_store_confirms_that_a_run_was_taken_over() {
    for on_crash in [OnCrash::Fail, OnCrash::Resume] {
        let store = SharedStore::new();
        let config = quell_actors::runtime::RuntimeConfig {
            max_live_runs: usize::from(on_crash == OnCrash::Resume),
            ..Default::default()
        };
        let model = Storyteller::new("one two").stall_at(1);
        let agent = Agent::builder("poet", model.clone())
            .on_crash(on_crash)
            .build()
            .unwrap();
        let first = opened(config, store.clone()).await;
        let run = first.start(&agent, "Sing.").await.unwrap();
        settle().await;
        let asked = model.probe().requests();

        let view = store.another();
        view.freeze_after(0);
        let recover = quell_actors::Runtime::builder().agent(&agent);
        let opening = tokio::spawn(recover.open(view.clone()));
        view.frozen().await;
        settle().await;
        assert_eq!(model.probe().requests(), asked, "{on_crash:?}");
        view.thaw();
        let (second, _) = opening.await.unwrap().unwrap();
        settle().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(model.probe().requests(), asked + 1);
        let run = second.get(run.id()).await.unwrap().unwrap();
        assert_eq!(run.status(), RunStatus::Running);
        run.cancel().await;
        ended(&run).await;
    }
}
