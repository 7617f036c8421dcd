//! What was confirmed is kept: by the rules of all stores, after a drop, after a close, and after a kill at any time.

use std::time::Duration;

use futures::future::join_all;
use quell::{
    Agent, Runtime, Store,
    sim::Storyteller,
    store::{AppendError, BatchId, RunQuery, conformance},
};

use crate::support::{Folder, Hand, all, completed, said};

#[tokio::test]
async fn it_does_what_every_store_must() {
    let folder = Folder::new();
    let store = folder.open();
    conformance::check(&store).await.unwrap();
    drop(store);
    // And again with the data from before.
    let store = folder.open();
    conformance::check(&store).await.unwrap();
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_drop_and_after_a_close() {
    let folder = Folder::new();
    let (mut live, mut ended) = (Hand::of_session("s"), Hand::of_session("s"));
    for round in 0..6u64 {
        let store = folder.open();
        if round == 0 {
            live.start(&store).await;
            ended.start(&store).await;
            ended.end(&store).await;
        }
        live.expect_in(&store).await;
        ended.expect_in(&store).await;
        live.say(&store, "more ").await;
        live.expect_in(&store).await;
        let session = store.session("s".into()).await.unwrap().unwrap();
        assert_eq!(session.runs, 2);
        if round % 2 == 0 {
            store.close().await;
        }
    }
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_every_append_that_was_answered() {
    let folder = Folder::new();
    let store = folder.open();
    let mut hands = [Hand::of_session("a"), Hand::of_session("b"), Hand::new()];
    for hand in &mut hands {
        hand.start(&store).await;
    }
    for round in 0..12u64 {
        let words = format!("round {round} ").repeat(1_000);
        for hand in &mut hands[..2] {
            hand.say(&store, &words).await;
        }
        if round == 7 {
            hands[1]
                .append(&store, vec![said("last"), completed()])
                .await
                .unwrap();
            hands[1] = Hand::of_session("b");
            hands[1].start(&store).await;
        }
        let left = folder.as_if_killed();
        let store = left.open();
        for hand in &hands {
            hand.expect_in(&store).await;
        }
        // And the run can be continued from there.
        let mut hand = hands[2].clone();
        hand.say(&store, "further").await;
        hand.expect_in(&store).await;
    }
}

#[tokio::test]
async fn a_batch_is_known_again_after_a_kill_and_after_a_close() {
    let folder = Folder::new();
    let store = folder.open();
    let mut hand = Hand::new();
    hand.start(&store).await;
    let batch = hand.batch(vec![said("once")]);
    assert_eq!(batch.send(&store).await, Ok(2));
    let killed = folder.as_if_killed();
    store.close().await;
    for left in [killed, folder] {
        let store = left.open();
        assert_eq!(batch.send(&store).await, Ok(2), "the same batch");
        let mut other = batch.clone();
        other.id = BatchId(99);
        let fenced = AppendError::Fenced { epoch: 1, last: 2 };
        assert_eq!(other.send(&store).await, Err(fenced));
        assert_eq!(all(&store, hand.id).await.len(), 2);
    }
}

#[tokio::test]
async fn who_takes_a_run_over_fences_the_one_before_also_after_a_kill() {
    let folder = Folder::new();
    let store = folder.open();
    let mut hand = Hand::new();
    hand.start(&store).await;
    let mut late = hand.clone();
    let mut batch = hand.batch(vec![said("mine now")]);
    batch.expected.acquire = true;
    for store in [&store, &folder.as_if_killed().open()] {
        assert_eq!(batch.send(store).await, Ok(2));
        assert_eq!(batch.send(store).await, Ok(2), "the same batch");
        let fenced = AppendError::Fenced { epoch: 2, last: 2 };
        assert_eq!(late.append(store, vec![said("me too")]).await, Err(fenced));
    }
    hand.events.extend(batch.events);
    hand.epoch = 2;
    hand.say(&store, "and on").await;
    for store in [&store, &folder.as_if_killed().open()] {
        hand.expect_in(store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_runtime_are_told_again_after_it_has_ended() {
    let folder = Folder::new();
    let store = folder.open();
    let runtime = Runtime::builder().open(store.clone()).await.unwrap().0;
    let model = Storyteller::new(&"word ".repeat(300)).pace(Duration::ZERO);
    let agent = Agent::builder("poet", model).build().unwrap();
    let starts = (0..20).map(|_| runtime.start(&agent, "Go."));
    let runs = join_all(starts).await;
    let mut told = Vec::new();
    for run in runs {
        let run = run.unwrap();
        let mut events = run.events();
        let mut seen = Vec::new();
        while let Some(event) = events.next().await {
            seen.push(event.unwrap());
        }
        told.push((run.id(), seen));
    }
    drop(runtime);
    store.close().await;
    let store = folder.open();
    for (run, seen) in &told {
        assert_eq!(all(&store, *run).await, *seen);
    }
    let unfinished = store.runs(RunQuery::unfinished()).await.unwrap();
    assert_eq!(unfinished, []);
    assert_eq!(store.runs(RunQuery::agent("poet")).await.unwrap().len(), 20);
}
