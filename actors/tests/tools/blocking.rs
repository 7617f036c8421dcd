//! Tools that block their threads, on a real clock. Gates decide the order; no time is measured.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
    mpsc,
};

use quell_actors::{
    EventKind, Outcome, Runtime, ToolContext,
    cancel::ToolEnd,
    tool,
    tool::{AnyTool, OnCancel, ToolError},
};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use super::{
    BOTH, How, clerk, ended, ends, really, results, start,
    support::{all_events, guarded, nothing_left},
};

/// A tool on its own thread that waits for a message, and flags for its start and end.
struct Thread {
    tool: AnyTool,
    say: mpsc::Sender<()>,
    is_in: Arc<AtomicBool>,
    is_out: Arc<AtomicBool>,
}

fn thread(on_cancel: OnCancel) -> Thread {
    let (say, word) = mpsc::channel();
    let word = Mutex::new(word);
    let (is_in, is_out) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let (came, went) = (is_in.clone(), is_out.clone());
    let tool = tool::blocking_fn("thread", "", move |_: Value, context: ToolContext| {
        came.store(true, Ordering::SeqCst);
        let _ = word.lock().unwrap().recv();
        let told = context.is_cancelled();
        context.progress("after all");
        went.store(true, Ordering::SeqCst);
        Ok(json!({ "told": told }))
    });
    let tool = tool.on_cancel(on_cancel);
    Thread {
        tool,
        say,
        is_in,
        is_out,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_is_abandoned_at_once_and_heard_no_more() {
    for how in BOTH {
        let runtime = Runtime::new();
        let Thread {
            tool,
            say,
            is_in,
            is_out,
        } = thread(OnCancel::Drop);
        let agent = clerk(super::calls(&["thread"])).tool(tool).build().unwrap();
        let run = start(how, &runtime, &agent).await;
        really(|| is_in.load(Ordering::SeqCst)).await;
        guarded(run.cancel()).await;
        let outcome = guarded(ended(&run)).await;
        assert_eq!(ends(&outcome), [("thread", ToolEnd::Abandoned)]);
        let events = all_events(&run).await;
        say.send(()).unwrap();
        really(|| is_out.load(Ordering::SeqCst)).await;
        assert_eq!(
            all_events(&run).await,
            events,
            "nothing comes after the ending"
        );
        nothing_left(&runtime);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_that_is_given_time_is_told_and_heard() {
    for on_cancel in [OnCancel::Finish, OnCancel::Grace(super::support::GUARD)] {
        let runtime = Runtime::new();
        let Thread {
            tool, say, is_in, ..
        } = thread(on_cancel);
        let agent = clerk(super::calls(&["thread"])).tool(tool).build().unwrap();
        let run = start(How::Own, &runtime, &agent).await;
        really(|| is_in.load(Ordering::SeqCst)).await;
        guarded(run.cancel()).await;
        say.send(()).unwrap();
        let outcome = guarded(ended(&run)).await;
        assert_eq!(ends(&outcome), [("thread", ToolEnd::Finished)]);
        let told = results(&run).await;
        assert!(
            told[0].1 == r#"{"told":true}"# || told[0].1 == r#"{"told":false}"#,
            "{told:?}"
        );
        nothing_left(&runtime);
    }
}

/// The only thread of the pool is busy, so a call waits for it, and must not start once its run has ended.
#[test]
fn a_call_that_waits_for_a_thread_is_not_begun_after_the_cancel() {
    for on_cancel in [OnCancel::Drop, OnCancel::Finish] {
        let threads = Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(1)
            .enable_all()
            .build()
            .unwrap();
        threads.block_on(async {
            let (free, busy) = mpsc::channel::<()>();
            let blocker = tokio::task::spawn_blocking(move || busy.recv().is_err());
            let runtime = Runtime::new();
            let Thread {
                tool, say, is_in, ..
            } = thread(on_cancel);
            let agent = clerk(super::calls(&["thread"])).tool(tool).build().unwrap();
            let run = start(How::Own, &runtime, &agent).await;
            guarded(super::support::until(&run, |kind| {
                matches!(kind, EventKind::ToolCallStarted(_))
            }))
            .await;
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
            }
            guarded(run.cancel()).await;
            drop((say, free));
            let outcome = guarded(ended(&run)).await;
            guarded(blocker).await.unwrap();
            // Everything that waited for a thread before this has had it.
            guarded(tokio::task::spawn_blocking(|| ())).await.unwrap();
            assert!(!is_in.load(Ordering::SeqCst), "it is not begun");
            if on_cancel == OnCancel::Finish {
                assert_eq!(ends(&outcome), [("thread", ToolEnd::NotStarted)]);
            }
        });
    }
}

/// An asynchronous tool wrongly blocks a worker thread of tokio. Its run still ends, and reports it.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_cancel_is_heard_while_a_tool_blocks_its_worker() {
    let runtime = Runtime::new();
    let (say, word) = mpsc::channel::<()>();
    let word = Arc::new(Mutex::new(word));
    let is_in = Arc::new(AtomicBool::new(false));
    let came = is_in.clone();
    let tool = tool::from_schema("rude", "", json!({}), move |_: Value, _| {
        let (word, came) = (word.clone(), came.clone());
        async move {
            came.store(true, Ordering::SeqCst);
            let _ = word.lock().unwrap().recv();
            Ok::<_, ToolError>("too late")
        }
    });
    let agent = clerk(super::calls(&["rude"])).tool(tool).build().unwrap();
    let run = start(How::Own, &runtime, &agent).await;
    really(|| is_in.load(Ordering::SeqCst)).await;
    guarded(run.cancel()).await;
    let outcome = guarded(ended(&run)).await;
    assert_eq!(ends(&outcome), [("rude", ToolEnd::Abandoned)]);
    say.send(()).unwrap();
    nothing_left(&runtime);
}

#[test]
fn a_tokio_runtime_that_goes_takes_the_calls_with_it() {
    let alive = super::Alive::default();
    let threads = Builder::new_current_thread().enable_all().build().unwrap();
    let run = threads.block_on(async {
        let runtime = Runtime::new();
        let gate = quell_actors::sim::Gate::new();
        let tool = super::waits("waits", &gate, &alive, OnCancel::Finish);
        let agent = clerk(super::calls(&["waits"])).tool(tool).build().unwrap();
        let run = start(How::Own, &runtime, &agent).await;
        really(|| alive.count() == 1).await;
        run
    });
    drop(threads);
    assert_eq!(alive.count(), 0);
    let outcome = futures::executor::block_on(ended(&run));
    assert!(matches!(outcome, Outcome::Error(_)), "{outcome:?}");
    assert!(results_of(&run).starts_with("not_finished: "));
}

fn results_of(run: &quell_actors::Run) -> String {
    futures::executor::block_on(results(run)).swap_remove(0).1
}
