//! A session is its first user's, and one user has not all the slots.

use futures::future::join;
use quell_actors::{
    NewRun, Outcome, RunStatus, Runtime,
    error::StartError,
    runtime::Scope,
    sim::{Gate, Storyteller},
};

use super::{config, gated, waits};
use crate::support::{ended, nothing_kept, opened, partial, poet, settle, shared::SharedStore};

fn of(user: &str) -> NewRun {
    NewRun::new("Sing.").user(user)
}

#[tokio::test(start_paused = true)]
async fn of_two_users_who_begin_a_session_at_once_one_has_it() {
    let runtime = Runtime::new();
    let agent = poet(Storyteller::new("la"));
    for number in 0..20 {
        let session = format!("s-{number}");
        let start = |user| runtime.start(&agent, of(user).session(&*session));
        let (ann, bob) = join(start("ann"), start("bob")).await;
        let foreign = StartError::ForeignSession(session.as_str().into());
        let (run, refused) = match (ann, bob) {
            (Ok(run), Err(refused)) | (Err(refused), Ok(run)) => (run, refused),
            both => panic!("one of them has it: {both:?}"),
        };
        assert_eq!(refused, foreign);
        ended(&run).await;
    }
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_session_stays_its_users_through_a_restart_and_is_free_when_it_was_deleted() {
    let store = SharedStore::new();
    let agent = poet(Storyteller::new("la"));
    let runtime = opened(Default::default(), store.clone()).await;
    // Nobody's session takes anybody, and is the first user's then.
    let nobodys = NewRun::new("Sing.").session("s");
    ended(&runtime.start(&agent, nobodys.clone()).await.unwrap()).await;
    ended(&runtime.start(&agent, of("ann").session("s")).await.unwrap()).await;
    for runtime in [runtime, opened(Default::default(), store.another()).await] {
        for run in [of("bob").session("s"), nobodys.clone()] {
            let refused = runtime.start(&agent, run).await.unwrap_err();
            assert_eq!(refused, StartError::ForeignSession("s".into()));
        }
        ended(&runtime.start(&agent, of("ann").session("s")).await.unwrap()).await;
        settle().await;
        nothing_kept(&runtime);
    }
    let runtime = opened(Default::default(), store.another()).await;
    assert!(runtime.delete_session("s").await.unwrap());
    ended(&runtime.start(&agent, of("bob").session("s")).await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn a_user_who_has_enough_slots_waits_and_hinders_nobody() {
    let runtime = config(|config| config.max_live_runs_per_user = Some(1));
    let gate = Gate::new();
    let first = runtime.start(&gated(&gate), of("ann")).await.unwrap();
    let second = waits(&runtime, &gated(&gate), of("ann")).await;
    let other = poet(Storyteller::new("lo"));
    let other = runtime.start(&other, of("bob")).await.unwrap();
    assert!(matches!(ended(&other).await, Outcome::Completed(_)));
    assert_eq!(second.status(), RunStatus::Pending);
    gate.open();
    for run in [&first, &second] {
        assert!(matches!(ended(run).await, Outcome::Completed(_)));
    }
    settle().await;
    nothing_kept(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_of_many_may_be_for_one_user() {
    let runtime = Runtime::new();
    let hangs = poet(Storyteller::endless().stall_at(0));
    let ann = runtime.start(&hangs, of("ann").session("a")).await.unwrap();
    let bob = runtime.start(&hangs, of("bob")).await.unwrap();
    let request = || quell_actors::CancelRequest::default();
    let both = Scope::all().user("ann").session("b");
    let none = runtime.cancel_all(both, request()).await;
    assert!(none.unwrap().is_empty());
    let answers = runtime
        .cancel_all(Scope::all().user("ann"), request())
        .await
        .unwrap();
    assert_eq!(answers.len(), 1);
    let outcome = ended(&ann).await;
    assert_eq!(partial(&outcome).text, "");
    settle().await;
    assert_eq!(bob.status(), RunStatus::Running);
    bob.cancel().await;
}
