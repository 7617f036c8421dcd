//! What can be seen of a runtime from outside: counts, health, the list of runs, and how each ended.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use quell_actors::{
    Agent, CancelReason, NewRun, Outcome, RunId, RunStatus, Runtime,
    agent::RetryPolicy,
    cancel::Activity,
    event::EndReason,
    model::{ModelError, ModelErrorKind, Retry},
    outcome::FinishReason,
    runtime::{Histogram, RuntimeConfig, RuntimeStats, StoreHealth},
    sim::{Gate, Storyteller},
};
use serde_json::json;
use support::{
    Fault, FaultyStore, ended, once, opened, partial, poet, settle,
    tools::{Ledger, open},
};
use tokio::time::sleep;

fn count(histogram: &Histogram) -> u64 {
    let (_, up_to_all) = histogram.up_to_us.last().unwrap();
    assert!(*up_to_all <= histogram.count);
    histogram.count
}

fn cancels(stats: &RuntimeStats, cut: Activity) -> u64 {
    let found = stats.cancels.iter().find(|(other, _)| *other == cut);
    found.map_or(0, |(_, histogram)| count(histogram))
}

fn ended_by(stats: &RuntimeStats, status: RunStatus, reason: &str) -> u64 {
    let of = |ended: &&quell_actors::runtime::EndedCount| {
        ended.status == status && ended.reason == reason
    };
    stats.ended.iter().find(of).map_or(0, |ended| ended.count)
}

/// Runs of every kind, of which every other is cancelled after a while, with fewer slots than runs.
#[tokio::test(start_paused = true)]
async fn after_a_storm_what_was_started_has_ended_or_is_paused_and_each_cancel_is_counted_once() {
    let config = RuntimeConfig {
        max_live_runs: 20,
        max_queued_runs: 1_000,
        ..RuntimeConfig::default()
    };
    let runtime = Runtime::builder().config(config).in_memory();
    let (gate, pays) = (Gate::new(), Ledger::default());
    let busy = ModelError::new(ModelErrorKind::Status(503), "busy").with_retry(Retry::Backoff);
    let words = || Storyteller::new("one two three four").pace(Duration::from_millis(300));
    let patient = RetryPolicy {
        max_retries: 9,
        ..RetryPolicy::default()
    };
    let of = |model: Storyteller| Agent::builder("poet", model);
    let agents = [
        of(words()).build(),
        of(words().stall_at(2)).build(),
        of(words().stall_at(0)).build(),
        of(words().connect_after(Duration::from_secs(9))).build(),
        of(words().refuse(busy)).retry(patient).build(),
        of(words().cut_off_at(2)).build(),
        of(words().panic_at(1)).build(),
        of(words().calling("waits", json!({})))
            .tool(pays.tool("waits", &gate))
            .build(),
        of(words().calling("pay", json!({})))
            .tool(pays.tool("pay", &open()).confirm())
            .build(),
    ]
    .map(Result::unwrap);
    let mut runs = Vec::new();
    for at in 0..360 {
        let run = runtime.start(&agents[at % agents.len()], "Go.").await;
        runs.push(run.unwrap());
        assert!(runtime.start(&agents[0], "").await.is_err());
        if at % 3 == 0 {
            sleep(Duration::from_millis(250)).await;
        }
        if at % 2 == 0 {
            runs[at / 2].cancel();
        }
    }
    sleep(Duration::from_secs(5)).await;
    for run in runs.iter().filter(|run| run.status() != RunStatus::Paused) {
        run.cancel();
    }
    let mut cut = Vec::<(Activity, u64)>::new();
    let (mut paused, mut reasons) = (0, 0);
    for run in &runs {
        if run.status() == RunStatus::Paused {
            paused += 1;
            continue;
        }
        let outcome = ended(run).await;
        reasons += 1;
        if let Outcome::Cancelled(partial) = outcome {
            let activity = partial.receipt.cut;
            match cut.iter_mut().find(|(other, _)| *other == activity) {
                Some((_, count)) => *count += 1,
                None => cut.push((activity, 1)),
            }
        }
    }
    settle().await;
    let stats = runtime.stats();
    assert_eq!((stats.live, stats.queued, stats.waiting), (0, 0, 0));
    assert_eq!((stats.started, stats.carried_over), (360, 0));
    assert_eq!(stats.paused, paused);
    assert!(paused > 0, "some wait for a person");
    assert_eq!(stats.ended_in_all(), reasons);
    assert_eq!(stats.started, stats.ended_in_all() + paused as u64);
    assert_eq!(stats.refused, [("empty_input", 360)]);
    assert!(cut.len() >= 6, "many kinds of work were cut: {cut:?}");
    for (activity, count) in &cut {
        assert_eq!(cancels(&stats, *activity), *count, "{activity:?}");
    }
    assert_eq!(stats.cancels.len(), cut.len());
    let all: u64 = cut.iter().map(|(_, count)| count).sum();
    assert_eq!(ended_by(&stats, RunStatus::Cancelled, "requested"), all);
    assert!(ended_by(&stats, RunStatus::Completed, "stop") > 0);
    assert!(ended_by(&stats, RunStatus::Error, "truncated") > 0);
    assert!(ended_by(&stats, RunStatus::Error, "panicked") > 0);
    assert!(stats.model_retries > 0);
    assert_eq!((stats.store_retries, count(&stats.appends)), (0, 0));
    assert_eq!(stats.readers, 0, "nobody reads any more");
}

#[tokio::test(start_paused = true)]
async fn a_change_to_an_ending_says_how_the_run_ended() {
    let runtime = Runtime::new();
    let mut changes = runtime.changes();
    let words = Storyteller::new("one two")
        .first_word_after(Duration::from_millis(700))
        .calling("waits", json!({}));
    let tool = Ledger::default().tool("waits", &open());
    let agent = Agent::builder("clerk", words).tool(tool).build().unwrap();
    let mut last = async || loop {
        let change = changes.next().await.unwrap().unwrap();
        assert_eq!(change.ending.is_some(), change.status.is_ended());
        if let Some(ended) = change.ending {
            break (change.status, ended);
        }
    };
    let done = ended(&runtime.start(&agent, "Go.").await.unwrap()).await;
    let (status, said) = last().await;
    assert_eq!(status, RunStatus::Completed);
    assert_eq!(said.reason, EndReason::Finished(FinishReason::Stop));
    assert_eq!((said.turns, said.calls, said.cut), (2, 1, None));
    assert_eq!(said.usage, done.usage());
    let first_word = said.first_word.unwrap();
    assert!(first_word >= Duration::from_millis(700), "{first_word:?}");

    let silent = poet(Storyteller::endless().stall_at(0));
    let run = runtime.start(&silent, "Go.").await.unwrap();
    sleep(Duration::from_secs(1)).await;
    run.cancel();
    let cut = ended(&run).await;
    let (status, said) = last().await;
    assert_eq!(status, RunStatus::Cancelled);
    assert_eq!(said.reason, EndReason::Cancelled(CancelReason::Requested));
    assert_eq!(said.cut, Some(partial(&cut).receipt.cut));
    assert_eq!(said.took, Some(partial(&cut).receipt.took));
    assert_eq!((said.first_word, said.turns), (None, 1));
    let stats = runtime.stats();
    assert_eq!(count(&stats.first_word), 1);
    assert!(stats.first_word.sum >= Duration::from_millis(700));
    let quicker = |(bound, count): &(u64, u64)| *bound < 700_000 && *count > 0;
    assert!(!stats.first_word.up_to_us.iter().any(quicker));
}

#[tokio::test(start_paused = true)]
async fn the_health_tells_a_store_that_stutters_from_one_that_is_lost_and_one_that_is_back() {
    let store = FaultyStore::open();
    let config = RuntimeConfig {
        store_patience: Duration::from_secs(3),
        ..RuntimeConfig::default()
    };
    let runtime = opened(config, store.clone()).await;
    let health = || runtime.health().store;
    let model = Storyteller::endless().pace(Duration::from_millis(100));
    let run = runtime.start(&poet(model), "Sing.").await.unwrap();
    assert!(runtime.health().accepting);
    assert_eq!(health(), StoreHealth::Ok);
    store.fail([Fault::Unavailable; 1_000]);
    sleep(Duration::from_secs(1)).await;
    assert!(matches!(health(), StoreHealth::Stuttering { .. }));
    store.heal();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(health(), StoreHealth::Ok);
    let retries = runtime.stats().store_retries;
    assert!(retries > 0);
    store.fail([Fault::Unavailable; 1_000]);
    sleep(Duration::from_secs(4)).await;
    assert_eq!(health(), StoreHealth::Lost);
    assert!(run.outcome().await.is_err());
    store.heal();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(health(), StoreHealth::Ok);
    assert!(runtime.stats().store_retries > retries);
    assert_eq!(
        runtime.stats().ended_in_all(),
        1,
        "its ending was stored late"
    );

    store.fail([Fault::Unavailable]);
    let refused = runtime.start(&poet(Storyteller::new("one")), "Sing.").await;
    assert_eq!(refused.unwrap_err().label(), "store_unavailable");
    assert_eq!(runtime.stats().refused, [("store_unavailable", 1)]);
    assert_eq!(health(), StoreHealth::Lost);
    sleep(Duration::from_secs(11)).await;
    assert_eq!(health(), StoreHealth::Ok, "it may be asked again");
    assert_eq!(runtime.stats().started, 1);
    runtime.shutdown(Default::default()).await;
    assert!(!runtime.health().accepting);
}

#[tokio::test(start_paused = true)]
async fn the_list_says_what_each_run_does() {
    let config = RuntimeConfig {
        max_live_runs: 1,
        ..RuntimeConfig::default()
    };
    let runtime = Runtime::builder().config(config).in_memory();
    let model = Storyteller::new("one two three").stall_at(2);
    let agent = once(model).build().unwrap();
    let new = NewRun::new("Sing.").session("s").user("ann");
    let speaks = runtime.start(&agent, new).await.unwrap();
    sleep(Duration::from_secs(3)).await;
    let waits = runtime.start(&agent, "Sing.").await.unwrap();
    let info = |id: RunId| {
        let all = runtime.list();
        all.into_iter().find(|info| info.run_id == id).unwrap()
    };
    let (first, second) = (info(speaks.id()), info(waits.id()));
    assert_eq!(first.phase, Activity::Silent);
    assert_eq!(first.status, RunStatus::Running);
    assert_eq!(first.user_id.as_deref(), Some("ann"));
    let said_at = first.last_word_at.unwrap();
    assert!(first.running_since.unwrap() <= said_at);
    assert!(first.usage.output_tokens > 0);
    assert_eq!(first.seq, 4, "started, asked, and two words");
    assert_eq!(second.phase, Activity::Pending);
    assert_eq!((second.running_since, second.last_word_at), (None, None));
    assert!(second.created_at > said_at);
    let mut events = speaks.events();
    events.next().await;
    assert_eq!(runtime.stats().readers, 1);
    drop(events);
    assert_eq!(runtime.stats().readers, 0);
}
