//! A run that ends its process each time is not resumed for ever.

use quell_actors::{
    Agent, NewRun, Outcome, agent::OnCrash, outcome::ErrorReason, sim::Storyteller,
};

use super::{on, reopened};
use crate::support::{ended, nothing_kept, settle, shared::SharedStore};

#[tokio::test(start_paused = true)]
async fn a_run_is_resumed_only_so_often_and_then_ended_with_what_is_known_of_it() {
    let store = SharedStore::new();
    let model = Storyteller::new("half an answer and more").stall_at(2);
    let agent = Agent::builder("clerk", model)
        .on_crash(OnCrash::Resume)
        .max_resumes(2)
        .build()
        .unwrap();
    let runtime = on(&store).await;
    let run = NewRun::new("Go.").session("s");
    let id = runtime.start(&agent, run).await.unwrap().id();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    for _ in 0..2 {
        let (_, recovered) = reopened(&store, &[&agent]).await;
        assert_eq!(recovered.resumed, [id]);
        // It is at work again, and its process dies.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    let (runtime, recovered) = reopened(&store, &[&agent]).await;
    assert_eq!(
        (recovered.resumed, recovered.interrupted),
        (vec![], vec![id])
    );
    let run = runtime.get(id).await.unwrap().unwrap();
    let Outcome::Error(error) = ended(&run).await else {
        panic!("it is interrupted");
    };
    assert_eq!(error.reason, ErrorReason::Interrupted);
    assert_eq!(error.text, "half an ", "what it had said last");
    settle().await;
    nothing_kept(&runtime);
}
