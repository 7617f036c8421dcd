//! Admission and shutdown: a limit on live runs, a bounded queue in order, clear refusals, and a shutdown in two
//! phases.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use quell_actors::{
    Agent, CancelReason, NewRun, Outcome, RunId, RunStatus, Runtime,
    error::{AgentError, StartError},
    message::Message,
    runtime::{RuntimeConfig, Shutdown, ShutdownReport},
    sim::{Gate, Storyteller},
};
use support::{all_events, ended, guarded, nothing_left, poet};

fn bounded(max_live_runs: usize, max_queued_runs: usize) -> Runtime {
    Runtime::builder()
        .config(RuntimeConfig {
            max_live_runs,
            max_queued_runs,
            ..RuntimeConfig::default()
        })
        .in_memory()
}

#[tokio::test(start_paused = true)]
async fn runs_wait_in_order_and_a_full_queue_is_refused() {
    let runtime = bounded(1, 2);
    let gate = Gate::new();
    let agent = poet(Storyteller::new("one").gate(&gate));
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(runtime.start(&agent, "Go.").await.unwrap());
    }
    let refused = runtime.start(&agent, "Go.").await.unwrap_err();
    let full = StartError::QueueFull { live: 1, queued: 2 };
    assert_eq!(refused, full);
    assert_eq!(
        runtime.list().len(),
        3,
        "nothing is left of the refused one"
    );

    for n in 0..3 {
        for waiting in &runs[n + 1..] {
            assert_eq!(waiting.status(), RunStatus::Pending);
        }
        gate.let_through(3);
        assert_eq!(ended(&runs[n]).await.text(), "one");
    }
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_pending_run_makes_room_in_the_queue() {
    let runtime = bounded(1, 1);
    let agent = poet(Storyteller::endless());
    let live = runtime.start(&agent, "Go.").await.unwrap();
    for _ in 0..50 {
        let pending = runtime.start(&agent, "Go.").await.unwrap();
        assert!(runtime.start(&agent, "Go.").await.is_err());
        pending.cancel().await;
        ended(&pending).await;
    }
    // A cancelled live run also passes on its slot.
    let next = runtime.start(&agent, "Go.").await.unwrap();
    live.cancel().await;
    support::until(&next, |kind| {
        matches!(kind, quell_actors::EventKind::Content { .. })
    })
    .await;
    next.cancel().await;
    ended(&next).await;
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn zero_slots_means_zero() {
    let agent = poet(Storyteller::new("one"));
    let closed = bounded(0, 0);
    let refused = closed.start(&agent, "Go.").await.unwrap_err();
    assert_eq!(refused, StartError::QueueFull { live: 0, queued: 0 });

    let waiting = bounded(0, 1);
    let run = waiting.start(&agent, "Go.").await.unwrap();
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(run.status(), RunStatus::Pending);
    run.cancel().await;
    assert_eq!(ended(&run).await.status(), RunStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn bad_input_is_refused_and_leaves_nothing() {
    let runtime = Runtime::new();
    let agent = poet(Storyteller::new("one"));
    let named = |name: &str| Agent::new(name, Storyteller::new("one"));
    let long = "x".repeat(257);
    let cases: Vec<(Agent, NewRun, StartError)> = vec![
        (named(""), "Go.".into(), AgentError::EmptyName.into()),
        (named(" \t"), "Go.".into(), AgentError::EmptyName.into()),
        (
            named(&long),
            "Go.".into(),
            AgentError::LongName { bytes: 257 }.into(),
        ),
        (
            named("a\nb"),
            "Go.".into(),
            AgentError::ControlCharacter.into(),
        ),
        (agent.clone(), "".into(), StartError::EmptyInput),
        (
            agent.clone(),
            Vec::<Message>::new().into(),
            StartError::EmptyInput,
        ),
        (
            agent.clone(),
            NewRun::new("Go.").session(""),
            StartError::InvalidSession { bytes: 0 },
        ),
        (
            agent.clone(),
            NewRun::new("Go.").session(long.as_str()),
            StartError::InvalidSession { bytes: 257 },
        ),
        (
            agent.clone(),
            NewRun::new("Go.").session("a\0b"),
            StartError::InvalidSession { bytes: 3 },
        ),
    ];
    for (agent, run, expected) in cases {
        assert_eq!(runtime.start(&agent, run).await.unwrap_err(), expected);
    }
    nothing_left(&runtime);
    assert_eq!(
        Agent::builder("", Storyteller::new("one"))
            .build()
            .unwrap_err(),
        AgentError::EmptyName
    );
    // Instructions alone are enough input.
    let instructed = Agent::builder("poet", Storyteller::new("one"))
        .instructions("Sing.")
        .build()
        .unwrap();
    ended(&runtime.start(&instructed, "").await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_id_is_used_once() {
    let runtime = Runtime::new();
    let id = RunId::new();
    let endless = poet(Storyteller::endless());
    let live = runtime
        .start(&endless, NewRun::new("Go.").id(id))
        .await
        .unwrap();
    let again = || NewRun::new("Go.").id(id);
    assert_eq!(
        runtime.start(&endless, again()).await.unwrap_err(),
        StartError::DuplicateRun(id)
    );
    live.cancel().await;
    let events = all_events(&live).await;
    // The same after it has ended: the store knows it.
    assert_eq!(
        runtime.start(&endless, again()).await.unwrap_err(),
        StartError::DuplicateRun(id)
    );
    let kept = runtime.get(id).await.unwrap().unwrap();
    assert_eq!(
        all_events(&kept).await,
        events,
        "the run that was there is not harmed"
    );
    nothing_left(&runtime);
    // Another runtime does not know the id.
    let other = Runtime::new();
    let elsewhere = other
        .start(&poet(Storyteller::new("one")), again())
        .await
        .unwrap();
    assert_eq!(ended(&elsewhere).await.text(), "one");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_runs_finish_and_cancels_the_rest() {
    let runtime = bounded(3, 3);
    let short = runtime
        .start(
            &poet(Storyteller::new("one two three").pace(Duration::from_secs(1))),
            "Go.",
        )
        .await
        .unwrap();
    let endless = poet(Storyteller::endless());
    let mut rest = Vec::new();
    for _ in 0..3 {
        rest.push(runtime.start(&endless, "Go.").await.unwrap());
    }
    assert_eq!(rest[2].status(), RunStatus::Pending);
    let shutdown = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.shutdown(Shutdown::default()).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(
        runtime.start(&endless, "Go.").await.unwrap_err(),
        StartError::ShuttingDown
    );
    assert_eq!(
        shutdown.await.unwrap(),
        ShutdownReport {
            finished: 1,
            cancelled: 3,
            abandoned: 0
        }
    );
    assert_eq!(ended(&short).await.text(), "one two three");
    for run in rest {
        let Outcome::Cancelled(partial) = ended(&run).await else {
            panic!("a run was left");
        };
        assert_eq!(partial.receipt.reason, CancelReason::Shutdown);
    }
    nothing_left(&runtime);
    assert_eq!(
        runtime.shutdown(Shutdown::default()).await,
        ShutdownReport::default()
    );
}

#[tokio::test]
async fn a_shutdown_ends_what_cannot_be_stopped() {
    // A model that blocks its thread reacts to nothing. This needs a real clock and its own thread.
    use futures::{Stream, stream};
    use quell_actors::{
        Model,
        model::{ModelChunk, ModelError, ModelRequest},
    };
    use std::sync::{Arc, Mutex, mpsc};

    struct Deaf(Arc<Mutex<mpsc::Receiver<()>>>, mpsc::Sender<()>);
    impl Model for Deaf {
        fn stream(
            &self,
            _: ModelRequest,
        ) -> impl Stream<Item = Result<ModelChunk, ModelError>> + Send + 'static {
            let (let_go, entered) = (self.0.clone(), self.1.clone());
            stream::poll_fn(move |_| {
                let _ = entered.send(());
                let _ = let_go.lock().unwrap().recv();
                std::task::Poll::Ready(None)
            })
        }
    }

    let (let_go, held) = mpsc::channel();
    let (entered, inside) = mpsc::channel();
    let deaf = Agent::new("deaf", Deaf(Arc::new(Mutex::new(held)), entered));
    let elsewhere = std::thread::spawn(move || {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let outcome = tokio.block_on(async {
            let runtime = Runtime::new();
            let run = runtime.start(&deaf, "Go.").await.unwrap();
            tokio::task::spawn_blocking(move || inside.recv())
                .await
                .unwrap()
                .unwrap();
            let limits = Shutdown {
                finish_within: Duration::ZERO,
                cancel_within: Duration::from_millis(50),
            };
            let report = guarded(runtime.shutdown(limits)).await;
            assert_eq!(report.abandoned, 1, "{report:?}");
            guarded(ended(&run)).await
        });
        let_go.send(()).unwrap();
        outcome
    });
    let Outcome::Cancelled(partial) = elsewhere.join().unwrap() else {
        panic!("an accepted cancel ends cancelled");
    };
    let fault = partial.receipt.fault.as_deref().unwrap();
    assert!(fault.contains("abandoned"), "{fault}");
}
