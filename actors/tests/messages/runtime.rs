//! A runtime's actor takes what a runtime's methods do, in order, and waits for nobody.

use quell_actors::{
    CancelOutcome, CancelRequest, NewRun, RunId, RunStatus, Runtime,
    cancel::CancelReason,
    run::{Delivery, SteerOutcome},
    runtime::{RuntimeConfig, RuntimeMessage, Scope, Shutdown, Subscriber},
    sim::{Gate, Storyteller},
};
use ractor::{Actor, ActorProcessingErr, ActorRef, ActorStatus, call, concurrency::oneshot};

use super::{
    hanging_agent, said,
    support::{FaultyStore, ended, nothing_left, opened, partial, poet, settle},
};

#[tokio::test(start_paused = true)]
async fn a_runtime_is_spoken_to_in_messages_alone() {
    let runtime = Runtime::new();
    let actor = runtime.actor();
    let gate = Gate::new();
    let agent = poet(Storyteller::new("one two").gate(&gate));
    let run = call!(actor, RuntimeMessage::Start, agent, NewRun::new("Go.")).unwrap();
    let run = run.unwrap();
    let nobody = RunId::new();

    let words = tokio::spawn({
        let (actor, id) = (actor.clone(), run.id());
        async move { call!(actor, RuntimeMessage::Steer, id, "and three".into()).unwrap() }
    });
    settle().await;
    gate.open();
    let answer = words.await.unwrap().unwrap();
    assert!(
        matches!(answer, Some(SteerOutcome::Applied { .. })),
        "{answer:?}"
    );
    let answer = call!(actor, RuntimeMessage::Steer, nobody, "hello".into()).unwrap();
    assert_eq!(answer.unwrap(), None);
    ended(&run).await;

    let (hanging, _) = hanging_agent();
    let one = call!(actor, RuntimeMessage::Start, hanging.clone(), "Go.".into()).unwrap();
    let two = call!(actor, RuntimeMessage::Start, hanging, "Go.".into()).unwrap();
    let (one, two) = (one.unwrap(), two.unwrap());
    let outcome = call!(
        actor,
        RuntimeMessage::Cancel,
        one.id(),
        CancelRequest::default()
    )
    .unwrap();
    assert!(outcome.is_accepted(), "{outcome:?}");
    let outcome = call!(
        actor,
        RuntimeMessage::Cancel,
        nobody,
        CancelRequest::default()
    )
    .unwrap();
    assert_eq!(outcome, CancelOutcome::NotFound);
    let request = CancelRequest::default();
    let all = call!(actor, RuntimeMessage::CancelMany, Scope::all(), request).unwrap();
    let all = all.unwrap();
    assert!(
        all.iter()
            .any(|(id, outcome)| *id == two.id() && outcome.is_accepted())
    );
    ended(&two).await;

    let report = call!(actor, RuntimeMessage::Shutdown, Shutdown::default()).unwrap();
    assert_eq!(report.abandoned, 0);
    nothing_left(&runtime);
}

/// An actor that stops when it has heard a run's end.
struct Listener;

impl Actor for Listener {
    type Msg = Delivery;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Delivery>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        me: ActorRef<Delivery>,
        delivery: Delivery,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        if delivery.event()?.is_last() {
            me.stop(None);
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_actor_hears_a_run_that_it_knows_by_id_only() {
    let runtime = Runtime::new();
    let run = runtime
        .start(&poet(Storyteller::new("one two three")), "Go.")
        .await
        .unwrap();
    let (actor, listening) = Actor::spawn(None, Listener, ()).await.unwrap();
    let subscriber = Subscriber::new(&actor);
    let known = call!(
        runtime.actor(),
        RuntimeMessage::Subscribe,
        run.id(),
        subscriber
    );
    assert!(known.unwrap().unwrap());
    // It stops by itself when it has heard the end.
    listening.await.unwrap();
    let subscriber = Subscriber::new(&actor);
    let known = call!(
        runtime.actor(),
        RuntimeMessage::Subscribe,
        RunId::new(),
        subscriber
    );
    assert!(!known.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn messages_take_effect_in_their_order() {
    let runtime = Runtime::new();
    let actor = runtime.actor();
    let (agent, probe) = hanging_agent();
    let id = RunId::new();
    let (started, run) = oneshot();
    let (cancelled, outcome) = oneshot();
    let start = NewRun::new("Go.").id(id);
    actor
        .cast(RuntimeMessage::Start(agent, start, started.into()))
        .unwrap();
    let request = CancelRequest::default();
    actor
        .cast(RuntimeMessage::Cancel(id, request, cancelled.into()))
        .unwrap();
    assert!(outcome.await.unwrap().is_accepted());
    let run = run.await.unwrap().unwrap();
    assert_eq!(ended(&run).await.status(), RunStatus::Cancelled);
    assert_eq!(probe.requests(), 0);
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_runtimes_actor_waits_for_no_store() {
    let store = FaultyStore::held();
    let runtime = opened(RuntimeConfig::default(), store.clone()).await;
    let actor = runtime.actor();
    let (agent, _) = hanging_agent();
    let (started, mut run) = oneshot();
    actor
        .cast(RuntimeMessage::Start(
            agent,
            NewRun::new("Go."),
            started.into(),
        ))
        .unwrap();
    let scope = Scope::all().agent("nobody");
    let none = call!(
        actor,
        RuntimeMessage::CancelMany,
        scope,
        CancelRequest::default()
    );
    assert!(none.unwrap().unwrap().is_empty());
    assert!(run.try_recv().is_err(), "the start waits for the store");
    store.release();
    let run = run.await.unwrap().unwrap();
    said(&run, "two ").await;
    run.cancel().await;
    ended(&run).await;
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_held_reference_does_not_keep_a_runtime() {
    let runtime = Runtime::new();
    let actor = runtime.actor();
    let (agent, _) = hanging_agent();
    let run = call!(actor, RuntimeMessage::Start, agent, "Go.".into())
        .unwrap()
        .unwrap();
    said(&run, "two ").await;
    drop(runtime);
    settle().await;
    let outcome = call!(
        actor,
        RuntimeMessage::Cancel,
        run.id(),
        CancelRequest::default()
    );
    assert!(outcome.unwrap().is_accepted(), "its runs are still reached");
    let outcome = ended(&run).await;
    assert_eq!(partial(&outcome).receipt.reason, CancelReason::Requested);
    settle().await;
    assert_eq!(actor.get_status(), ActorStatus::Stopped);
}
