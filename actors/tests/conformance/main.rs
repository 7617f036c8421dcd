//! The conformance suite passes a store that keeps the rules, and rejects every store that breaks one.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod flaw;
mod sloppy;
#[path = "../support/mod.rs"]
mod support;

use flaw::{FLAWS, Flaw};
use quell_actors::{
    Store,
    id::Timestamp,
    store::{MemoryStore, RunQuery, SessionPatch, SessionQuery, conformance},
};
use sloppy::Sloppy;
use support::{Fault, FaultyStore};

#[tokio::test]
async fn the_memory_store_passes() {
    // Also in a task of its own: the check is `Send`.
    let check = tokio::spawn(async { conformance::check(&MemoryStore::default()).await });
    check.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_store_that_is_in_doubt_now_and_then_passes() {
    let store = FaultyStore::open();
    store.fail([
        Fault::UnknownBeforeStoring,
        Fault::UnknownAfterStoring,
        Fault::UnknownAfterStoring,
    ]);
    conformance::check(&store).await.unwrap();
    conformance::check(&Sloppy::new(Flaw::OftenInDoubt))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_store_without_a_flaw_passes_and_each_flaw_is_found() {
    conformance::check(&Sloppy::new(Flaw::None)).await.unwrap();
    let mut wrong = Vec::new();
    let flaws = FLAWS
        .iter()
        .flat_map(|(rule, flaws)| flaws.iter().map(move |flaw| (*rule, *flaw)));
    for (rule, flaw) in flaws {
        match conformance::check(&Sloppy::new(flaw)).await {
            Ok(()) => wrong.push(format!("{flaw:?} was not found")),
            Err(violation) if violation.rule == rule => {}
            Err(violation) => wrong.push(format!("{flaw:?} was found as {violation}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_store_in_use_passes_and_is_left_as_it_was() {
    let store = MemoryStore::default();
    store
        .put_session(
            "mine".into(),
            SessionPatch::new().name(Some("Mine")),
            Timestamp::from_millis(5),
        )
        .await
        .unwrap();
    let (one, other) = tokio::join!(conformance::check(&store), conformance::check(&store));
    one.unwrap();
    other.unwrap();
    assert_eq!(store.runs(RunQuery::default()).await.unwrap(), []);
    let left = store.sessions(SessionQuery::default()).await.unwrap();
    let left: Vec<_> = left.iter().map(|session| &*session.session_id).collect();
    assert_eq!(left, ["mine"]);
}
