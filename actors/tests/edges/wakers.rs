//! A waker that panics is its owner's fault, also where it waits for a message to be passed on.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Wake, Waker},
};

use quell_actors::{
    CancelOutcome, Run, RunStatus, Runtime,
    run::SteerOutcome,
    sim::{Gate, Storyteller},
};

use super::{hanging, is_idle, settle};
use crate::support::{ended, guarded, poet};

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("woken");
    }
}

/// Gives `run` a message, and waits for its place with a waker that panics.
fn steer(run: &Run) -> Pin<Box<dyn Future<Output = SteerOutcome> + Send>> {
    let mut steering = Box::pin(run.steer("Louder."));
    let waker = Waker::from(Arc::new(Panics));
    let polled = steering.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    steering
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_carried_out_whoever_waits_for_a_message() {
    let runtime = Runtime::new();
    let run = runtime.start(&hanging(), "Sing.").await.unwrap();
    settle().await;
    let steering = steer(&run);
    let answer = run.cancel().await;
    assert!(
        matches!(answer, CancelOutcome::Accepted { durable: true, .. }),
        "{answer:?}"
    );
    let outcome = guarded(ended(&run)).await;
    assert_eq!(outcome.status(), RunStatus::Cancelled);
    assert!(matches!(steering.await, SteerOutcome::TooLate { .. }));
    settle().await;
    assert!(is_idle(&runtime), "{runtime:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_whoever_waits_for_a_message() {
    let (runtime, gate) = (Runtime::new(), Gate::new());
    // The message comes when the only turn that the run may have is there.
    let agent = quell_actors::Agent::builder("poet", Storyteller::new("one two").gate(&gate))
        .max_turns(1)
        .build()
        .unwrap();
    let run = runtime.start(&agent, "Sing.").await.unwrap();
    settle().await;
    let _steering = steer(&run);
    gate.open();
    let outcome = guarded(ended(&run)).await;
    assert_eq!(outcome.status(), RunStatus::Completed, "{outcome:?}");
    settle().await;
    assert!(is_idle(&runtime), "{runtime:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_is_passed_on_whoever_waits_for_that() {
    let (runtime, gate) = (Runtime::new(), Gate::new());
    let run = runtime
        .start(&poet(Storyteller::new("one two").gate(&gate)), "Sing.")
        .await
        .unwrap();
    settle().await;
    let steering = steer(&run);
    gate.open();
    let outcome = guarded(ended(&run)).await;
    assert_eq!(outcome.status(), RunStatus::Completed, "{outcome:?}");
    assert!(matches!(steering.await, SteerOutcome::Applied { .. }));
}
