//! A file written by an older release is brought up to date and keeps everything: see `old/README.md`.

use std::{fs, path::Path};

use quell::{
    Agent, EventKind, NewRun, RunStatus, Runtime, Store, ToolContext,
    cancel::Activity,
    runtime::Decisions,
    sim::Storyteller,
    store::{RunHead, RunQuery, SessionOrder, SessionQuery},
    stores::{OpenError, SqliteStore},
    tool,
    usage::UsageSource,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::support::{Folder, all};

/// A fresh copy of the old file.
fn old() -> Folder {
    let folder = Folder::new();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sqlite/old/f823b6f.db");
    fs::copy(kept, folder.db()).unwrap();
    folder
}

/// The run with this input.
async fn asked(store: &SqliteStore, words: &str) -> RunHead {
    for head in store.runs(RunQuery::default()).await.unwrap() {
        let events = all(store, head.run_id).await;
        let EventKind::Started(started) = &events[0].kind else {
            panic!("{:?}", events[0]);
        };
        if started.input.iter().any(|said| said.text() == words) {
            return head;
        }
    }
    panic!("nobody was asked {words:?}");
}

#[tokio::test]
async fn what_an_older_release_stored_is_listed_and_read() {
    let folder = old();
    let store = folder.open();
    let heads = store.runs(RunQuery::default()).await.unwrap();
    assert_eq!(heads.len(), 10);
    for head in &heads {
        let events = all(&store, head.run_id).await;
        assert_eq!(events.len() as u64, head.last);
        // Its head is the fold of its events, including what its row did not store.
        let EventKind::Started(started) = &events[0].kind else {
            panic!("{:?}", events[0]);
        };
        let mut fold = RunHead::new(head.run_id, started, events[0].at);
        events.iter().for_each(|event| fold.apply(event));
        assert_eq!(*head, fold);
        assert_eq!(store.head(head.run_id).await.unwrap().as_ref(), Some(head));
    }
    let statuses = |wanted| heads.iter().filter(|head| head.status == wanted).count();
    assert_eq!(statuses(RunStatus::Completed), 5);
    assert_eq!(statuses(RunStatus::Cancelled), 2);
    assert_eq!(statuses(RunStatus::Error), 1);
    assert_eq!(statuses(RunStatus::Paused), 1);
    assert_eq!(statuses(RunStatus::Running), 1);

    let (led, child) = (
        asked(&store, "Have it sung.").await,
        asked(&store, "Sing along.").await,
    );
    assert_eq!((led.parent, child.parent), (None, Some(led.run_id)));
    let top = store.runs(RunQuery::default().top_level()).await.unwrap();
    assert_eq!(top.len(), 9);
    let told = asked(&store, "Tell me of the harbour.").await;
    let usage = told.usage.unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens), (11, 63));
    assert_eq!(usage.source, UsageSource::Estimate);
    let cancelled = asked(&store, "Sing for ever.").await;
    assert_eq!(cancelled.cut, Some(Activity::Streaming));
}

#[tokio::test]
async fn its_sessions_say_what_their_runs_said() {
    let folder = old();
    let store = folder.open();
    let session = async |id: &str| store.session(id.into()).await.unwrap().unwrap();
    let harbour = session("harbour").await;
    assert_eq!(harbour.name.as_deref(), Some("The old harbour"));
    assert_eq!(harbour.title.as_deref(), Some("Tell me of the harbour."));
    assert_eq!(harbour.agent.as_deref(), Some("poet"));
    assert_eq!((harbour.runs, &harbour.user_id), (4, &None));
    let newest = asked(&store, "Sing until the process dies.").await;
    let last = Some((newest.created_at, newest.run_id));
    assert_eq!(harbour.last_run, last);
    let ended = store.runs(RunQuery::session("harbour")).await.unwrap();
    let used = ended.iter().filter_map(|head| head.usage);
    let used = used.map(|usage| usage.tokens()).sum::<u64>();
    assert_eq!(harbour.usage.tokens(), used);
    assert!(used > 2 * (11 + 63), "{used}");

    let empty = session("empty").await;
    assert_eq!(empty.name.as_deref(), Some("Nobody came"));
    assert_eq!((empty.runs, empty.title, empty.last_run), (0, None, None));
    let (opera, bank) = (session("opera").await, session("bank").await);
    assert_eq!((opera.runs, bank.runs), (3, 1));
    assert_eq!(bank.title.as_deref(), Some("Pay the gambler."));
    let with_poet = store.sessions(SessionQuery::agent("poet")).await.unwrap();
    assert_eq!(with_poet, [harbour]);
    let by_name = SessionQuery::default().named("OLD harb");
    assert_eq!(store.count_sessions(by_name).await, Ok(1));
    let by_update = SessionQuery::default().by(SessionOrder::Updated);
    assert_eq!(store.sessions(by_update).await.unwrap().len(), 4);
}

#[derive(Deserialize, JsonSchema)]
struct Payment {
    to: String,
    euros: u32,
}

#[tokio::test]
async fn its_runs_go_on_and_its_sessions_take_new_ones() {
    let folder = old();
    let store = folder.open();
    let paused = asked(&store, "Pay the gambler.").await;
    let left = asked(&store, "Sing until the process dies.").await;
    let pay = tool::from_fn(
        "pay",
        "Pays somebody.",
        |payment: Payment, _: ToolContext| async move {
            Ok(format!("{} has {} more", payment.to, payment.euros))
        },
    );
    let clerk = Agent::builder("clerk", Storyteller::new("It is paid."))
        .tool(pay.confirm())
        .build()
        .unwrap();
    let poet = Agent::new("poet", Storyteller::new("Larks."));
    let opened = Runtime::builder().agent(&clerk).agent(&poet);
    let (runtime, recovered) = opened.open(store.clone()).await.unwrap();
    assert_eq!(recovered.interrupted, [left.run_id]);
    assert_eq!(recovered.paused, 1);

    let settled = store.head(left.run_id).await.unwrap().unwrap();
    assert_eq!(settled.status, RunStatus::Error);
    assert!(settled.last > left.last && settled.usage.is_some());

    let run = runtime.get(paused.run_id).await.unwrap().unwrap();
    let EventKind::Paused(waiting) = &all(&store, paused.run_id).await[10].kind.clone() else {
        panic!("it waits for nobody");
    };
    let call = waiting.calls[0].call.id.clone();
    let approved = Decisions::new().approve(call);
    runtime.continue_run(run.id(), approved).await.unwrap();
    let outcome = run.outcome().await.unwrap();
    assert_eq!(outcome.status(), RunStatus::Completed);
    assert!(
        outcome.text().ends_with("It is paid."),
        "{}",
        outcome.text()
    );

    let before = store.session("harbour".into()).await.unwrap().unwrap();
    let new = NewRun::new("And now?").session("harbour").user("ann");
    let run = runtime.start(&poet, new).await.unwrap();
    run.outcome().await.unwrap();
    let after = store.session("harbour".into()).await.unwrap().unwrap();
    assert_eq!(after.runs, before.runs + 1);
    assert_eq!(after.title, before.title);
    assert_eq!(after.user_id.as_deref(), Some("ann"));
    assert_eq!(after.last_run.map(|(_, run)| run), Some(run.id()));
    let of_ann = store.runs(RunQuery::user("ann")).await.unwrap();
    assert_eq!(of_ann.len(), 1);

    // All of it is still there after reopening.
    drop(runtime);
    store.close().await;
    let store = folder.open();
    assert_eq!(store.session("harbour".into()).await.unwrap(), Some(after));
    assert_eq!(store.runs(RunQuery::default()).await.unwrap().len(), 11);
}

#[tokio::test]
async fn who_only_looks_waits_until_it_is_brought_up_to_date() {
    let folder = old();
    let refused = SqliteStore::open_read_only(folder.db()).unwrap_err();
    assert!(
        matches!(refused, OpenError::Older { found: 1, .. }),
        "{refused}"
    );
    folder.open().close().await;
    let look = SqliteStore::open_read_only(folder.db()).unwrap();
    assert_eq!(look.runs(RunQuery::default()).await.unwrap().len(), 10);
}
