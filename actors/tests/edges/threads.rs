//! A caller that waits on another thread gets its result when the run's tokio runtime is dropped.

use futures::executor::block_on;
use quell_actors::{CancelOutcome, Run, error::EventsError, runtime::RuntimeConfig};

use super::{begun, eventually, hanging, on_a_thread, two_threads};
use crate::support::{FaultyStore, opened};

/// A run whose second append is held by its store, and the tokio runtime of the run.
fn held() -> (Run, tokio::runtime::Runtime) {
    let tokio = two_threads();
    let run = tokio.block_on(async {
        let store = FaultyStore::held();
        store.let_through(1);
        let runtime = opened(RuntimeConfig::default(), store.clone()).await;
        let run = runtime.start(&hanging(), "Sing.").await.unwrap();
        eventually(|| store.appends() == 2).await;
        run
    });
    (run, tokio)
}

#[test]
fn a_cancel_that_is_awaited_elsewhere_is_answered_when_tokio_goes() {
    let (run, tokio) = held();
    let answer = block_on(begun(run.cancel()));
    drop(tokio);
    let answer = on_a_thread(move || block_on(answer));
    assert!(
        matches!(answer, CancelOutcome::Accepted { durable: false, .. }),
        "{answer:?}"
    );
}

#[test]
fn a_reader_elsewhere_is_answered_when_tokio_goes() {
    let (run, tokio) = held();
    let reader = run.clone();
    let outcome = block_on(begun(async move { reader.outcome().await }));
    drop(tokio);
    let answers = on_a_thread(move || {
        let again = async move { run.outcome().await };
        [block_on(outcome), block_on(again)]
    });
    for answer in answers {
        let lost = EventsError::StoreLost { last_stored: 1 };
        assert_eq!(answer.unwrap_err(), lost);
    }
}
