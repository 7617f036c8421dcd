//! The order of a session is the order in which its runs were accepted, whatever their ids and the clocks say.

use std::time::Duration;

use quell_actors::{
    Agent, NewRun, RunId, Runtime,
    sim::{Gate, Storyteller},
    store::RunQuery,
};
use uuid::Uuid;

use super::{busy, in_s, waits};
use crate::support::{
    ended, nothing_kept, opened, poet, settle, shared::SharedStore, tools::Recorder,
};

#[tokio::test(start_paused = true)]
async fn runs_of_one_moment_are_remembered_in_the_order_in_which_they_came() {
    let (runtime, gate) = (Runtime::new(), Gate::new());
    let first = busy(&runtime, &gate).await;
    let agent = poet(Storyteller::new("la"));
    let mut runs = Vec::new();
    // The later a run comes, the smaller its id.
    for number in 1..=3u128 {
        let id = RunId::from(Uuid::from_u128(4 - number));
        let question = NewRun::new(format!("{number}")).session("s").id(id);
        runs.push(waits(&runtime, &agent, question).await);
    }
    gate.open();
    ended(&first).await;
    for run in &runs {
        ended(run).await;
    }
    let model = Recorder::new(Storyteller::new("lo"));
    let last = Agent::new("poet", model.clone());
    ended(&runtime.start(&last, in_s("4")).await.unwrap()).await;
    let asked = model.last();
    let questions: Vec<_> = asked
        .iter()
        .filter(|said| said.starts_with("user"))
        .collect();
    assert_eq!(
        questions,
        ["user: Sing.", "user: 1", "user: 2", "user: 3", "user: 4"]
    );
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_between_two_processes_does_not_change_the_order() {
    let store = SharedStore::new();
    let yesterday = opened(Default::default(), store.clone()).await;
    // The next process reads the wall clock again, and that does not go on with the paused one.
    tokio::time::advance(Duration::from_secs(60 * 60)).await;
    let agent = poet(Storyteller::new("la"));
    ended(&yesterday.start(&agent, in_s("yesterday")).await.unwrap()).await;

    let runtime = opened(Default::default(), store.another()).await;
    let model = Recorder::new(Storyteller::new("lo"));
    let poet = Agent::builder("poet", model.clone()).history_runs(1);
    let poet = poet.build().unwrap();
    ended(&runtime.start(&poet, in_s("today 1")).await.unwrap()).await;
    let run = runtime.start(&poet, in_s("today 2")).await.unwrap();
    ended(&run).await;
    assert_eq!(
        model.last(),
        ["user: today 1", "assistant: lo", "user: today 2"]
    );
    let runs = runtime.runs(RunQuery::session("s")).await.unwrap();
    assert_eq!(runs[0].run_id, run.id(), "the newest first");
    let times: Vec<_> = crate::support::all_events(&run).await;
    assert!(times.is_sorted_by_key(|event| event.at), "{times:?}");
}
