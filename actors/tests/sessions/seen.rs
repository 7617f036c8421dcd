//! A caller that has seen a run's ending finds its session free.

use std::time::Duration;

use quell_actors::{NewRun, RunStatus, Runtime, runtime::WhenBusy, sim::Storyteller};

use crate::support::{ended, guarded, poet};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_has_seen_an_ending_finds_the_session_free() {
    let runtime = Runtime::new();
    let quick = poet(Storyteller::new("la").pace(Duration::ZERO));
    let endless = poet(Storyteller::endless());
    for _ in 0..300 {
        let new = || NewRun::new("Sing.").session("s");
        let first = runtime.start(&quick, new()).await.unwrap();
        guarded(ended(&first)).await;
        // The second run has the session, so the third interrupts it.
        let second = runtime.start(&endless, new()).await.unwrap();
        let third = new().when_busy(WhenBusy::Interrupt);
        let third = runtime.start(&quick, third).await.unwrap();
        assert_eq!(guarded(ended(&second)).await.status(), RunStatus::Cancelled);
        assert_eq!(guarded(ended(&third)).await.status(), RunStatus::Completed);
    }
}
