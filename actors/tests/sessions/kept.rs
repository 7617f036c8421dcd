//! Stored sessions: listed, named, deleted.

use quell_actors::{
    Agent, CancelReason, EventKind, NewRun, RunStatus, Runtime,
    error::{SessionError, StartError},
    sim::{Gate, Storyteller},
    store::{RunQuery, SessionQuery},
};
use serde_json::json;

use super::{busy, config, in_s, waits};
use crate::support::{
    ended, nothing_kept, opened, partial, poet, settle,
    shared::SharedStore,
    tools::{Ledger, open},
    until,
};

fn clerk() -> Agent {
    let model = Storyteller::new("done").calling("pay", json!({}));
    let tool = Ledger::default().tool("pay", &open()).confirm();
    Agent::builder("clerk", model).tool(tool).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn sessions_are_made_by_their_first_run_listed_named_and_paged() {
    let runtime = Runtime::new();
    let agent = poet(Storyteller::new("la"));
    assert_eq!(runtime.session("a").await.unwrap(), None);
    for (session, runs) in [("a", 2), ("b", 1), ("c", 3)] {
        for _ in 0..runs {
            let run = NewRun::new("Sing.").session(session);
            ended(&runtime.start(&agent, run).await.unwrap()).await;
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    runtime.name_session("b", Some("the second")).await.unwrap();
    runtime
        .name_session("d", Some("made by its name"))
        .await
        .unwrap();
    let mut found = Vec::new();
    let mut query = SessionQuery::default().limit(2);
    loop {
        let page = runtime.sessions(query.clone()).await.unwrap();
        let Some(last) = page.last() else { break };
        query = query.after(last);
        found.extend(page);
    }
    let found: Vec<_> = found
        .iter()
        .map(|head| (&*head.session_id, head.name.as_deref(), head.runs))
        .collect();
    assert_eq!(
        found,
        [
            ("d", Some("made by its name"), 0),
            ("c", None, 3),
            ("b", Some("the second"), 1),
            ("a", None, 2)
        ]
    );
    runtime.name_session("b", None).await.unwrap();
    assert_eq!(runtime.session("b").await.unwrap().unwrap().name, None);
    let runs = runtime.runs(RunQuery::session("c")).await.unwrap();
    assert_eq!(runs.len(), 3);

    for (id, name, refused) in [
        ("", Some("x"), SessionError::InvalidId { bytes: 0 }),
        ("a\n", Some("x"), SessionError::InvalidId { bytes: 2 }),
        ("a", Some(""), SessionError::InvalidName { bytes: 0 }),
    ] {
        assert_eq!(runtime.name_session(id, name).await, Err(refused));
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_may_begin_a_session_of_its_own() {
    let runtime = Runtime::new();
    let agent = poet(Storyteller::new("la"));
    let start = || runtime.start(&agent, NewRun::new("Sing.").in_new_session());
    let (one, two) = (start().await.unwrap(), start().await.unwrap());
    assert_ne!(one.session_id(), two.session_id());
    let id = one.session_id().unwrap().to_owned();
    ended(&one).await;
    settle().await;
    assert_eq!(runtime.session(id).await.unwrap().unwrap().runs, 1);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_session_leaves_nothing_whatever_its_runs_were_at() {
    let store = SharedStore::new();
    let runtime = opened(Default::default(), store.clone()).await;
    let gate = Gate::new();
    let quick = poet(Storyteller::new("la"));
    let over = runtime.start(&quick, in_s("Sing.")).await.unwrap();
    ended(&over).await;
    let mut paused = Vec::new();
    for _ in 0..2 {
        let run = runtime.start(&clerk(), in_s("Pay.")).await.unwrap();
        until(&run, |kind| matches!(kind, EventKind::Paused(_))).await;
        settle().await;
        paused.push(run);
    }
    let forgotten = paused.remove(1).id();
    let live = busy(&runtime, &gate).await;
    let waiting = waits(&runtime, &quick, in_s("Sing.")).await;
    let other = runtime
        .start(&quick, NewRun::new("Sing.").session("t"))
        .await
        .unwrap();
    let mut streams = [&live, &waiting, &paused[0]].map(|run| run.events());

    assert_eq!(runtime.delete_session("s").await, Ok(true));
    for stream in &mut streams {
        let mut last = None;
        while let Some(event) = stream.next().await {
            last = Some(event.unwrap());
        }
        let outcome = last.unwrap().kind.outcome().unwrap();
        assert_eq!(
            partial(&outcome).receipt.reason,
            CancelReason::SessionDeleted
        );
    }
    for id in [
        over.id(),
        forgotten,
        paused[0].id(),
        live.id(),
        waiting.id(),
    ] {
        assert_eq!(store.stored(id).await, []);
    }
    assert_eq!(runtime.session("s").await.unwrap(), None);
    assert_eq!(runtime.runs(RunQuery::session("s")).await.unwrap(), []);
    assert!(!runtime.delete_session("s").await.unwrap());
    ended(&other).await;
    settle().await;
    nothing_kept(&runtime);
    // The session can be created again.
    ended(&runtime.start(&quick, in_s("Sing.")).await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn a_queued_run_of_a_deleted_session_asks_no_model() {
    let runtime = config(|config| config.max_live_runs = 1);
    let hanging = poet(Storyteller::endless().stall_at(0));
    let elsewhere = runtime.start(&hanging, "Sing.").await.unwrap();
    let model = Storyteller::new("la");
    let probe = model.probe();
    let agent = poet(model);
    for _ in 0..3 {
        waits(&runtime, &agent, in_s("Sing.")).await;
    }
    assert_eq!(runtime.delete_session("s").await, Ok(true));
    elsewhere.cancel().await;
    settle().await;
    assert_eq!(probe.requests(), 0);
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_session_is_started_or_named_while_it_is_deleted() {
    let store = SharedStore::new();
    let runtime = opened(Default::default(), store.clone()).await;
    let gate = Gate::new();
    let run = busy(&runtime, &gate).await;
    store.freeze_after(0);
    let deleting = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.delete_session("s").await }
    });
    store.frozen().await;
    let agent = poet(Storyteller::new("la"));
    let refused = runtime.start(&agent, in_s("Sing.")).await.unwrap_err();
    assert_eq!(refused, StartError::SessionDeleted("s".into()));
    let refused = runtime.delete_session("s").await;
    assert_eq!(refused, Err(SessionError::BeingDeleted));
    let refused = runtime.name_session("s", Some("x")).await;
    assert_eq!(refused, Err(SessionError::BeingDeleted));
    store.thaw();
    assert_eq!(deleting.await.unwrap(), Ok(true));
    assert_eq!(run.status(), RunStatus::Cancelled);
    assert_eq!(runtime.session("s").await.unwrap(), None);
    settle().await;
    nothing_kept(&runtime);
    // A dropped delete does not block the session.
    drop(Box::pin(runtime.delete_session("s")));
    ended(&runtime.start(&agent, in_s("Sing.")).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn starts_that_race_a_deletion_are_refused_or_deleted_or_begin_anew() {
    crate::support::guarded(async {
        let store = SharedStore::new();
        let runtime = opened(Default::default(), store.clone()).await;
        let agent = poet(Storyteller::new("la la").pace(Default::default()));
        for _ in 0..100 {
            let starts: Vec<_> = (0..4)
                .map(|_| {
                    let (runtime, agent) = (runtime.clone(), agent.clone());
                    tokio::spawn(async move { runtime.start(&agent, in_s("Sing.")).await })
                })
                .collect();
            runtime.delete_session("s").await.unwrap();
            for start in starts {
                match start.await.unwrap() {
                    Ok(run) => drop(run.outcome().await),
                    Err(StartError::SessionDeleted(_)) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
            runtime.delete_session("s").await.unwrap();
            assert_eq!(runtime.runs(RunQuery::session("s")).await.unwrap(), []);
        }
        nothing_kept(&runtime);
    })
    .await;
}
