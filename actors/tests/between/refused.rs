//! A start that the store refuses leaves nothing behind, from the moment that it is answered.

use quell_actors::{NewRun, RunId, Runtime, StartError, WhenBusy, sim::Storyteller};

use crate::support::{Fault, FaultyStore, ended, nothing_kept, poet, settle};

#[tokio::test(start_paused = true)]
async fn a_start_that_was_refused_can_be_tried_again_at_once_under_the_same_id() {
    let store = FaultyStore::open();
    let runtime = Runtime::with_store(Default::default(), store.clone());
    let agent = poet(Storyteller::new("la"));
    let new = |id| {
        let new = NewRun::new("Sing.").id(id).session("s");
        new.when_busy(WhenBusy::Reject)
    };
    for _ in 0..10 {
        let id = RunId::new();
        store.fail([Fault::Unavailable]);
        let refused = runtime.start(&agent, new(id)).await.unwrap_err();
        assert!(
            matches!(refused, StartError::Store { unknown: false, .. }),
            "{refused:?}"
        );
        let run = runtime.start(&agent, new(id)).await.unwrap();
        ended(&run).await;
        settle().await;
        nothing_kept(&runtime);
    }
}
