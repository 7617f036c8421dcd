//! User values are never dropped under one of our locks, wherever the last reference was.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use futures::Stream;
use quell_actors::{
    Agent, EventKind, Model, NewRun, Runtime,
    model::{ModelChunk, ModelError, ModelRequest},
    runtime::WhenBusy,
    sim::Storyteller,
};
use tokio::runtime::Builder;

use super::{approve, payer};
use crate::support::{
    GUARD, ended, nothing_kept, settle,
    tools::{Ledger, open},
    until,
};

/// A model that calls its runtime when it is dropped.
struct Nosy {
    model: Storyteller,
    runtime: Arc<Mutex<Option<Runtime>>>,
    dropped: Arc<AtomicU64>,
}

impl Model for Nosy {
    fn stream(
        &self,
        request: ModelRequest,
    ) -> impl Stream<Item = Result<ModelChunk, ModelError>> + Send + 'static {
        self.model.stream(request)
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        let runtime = self.runtime.lock().unwrap().clone();
        if let Some(runtime) = runtime {
            let _ = (runtime.list(), format!("{runtime:?}"));
        }
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

async fn look_on() {
    let (watched, dropped) = (Arc::new(Mutex::new(None)), Arc::new(AtomicU64::new(0)));
    let runtime = Runtime::new();
    *watched.lock().unwrap() = Some(runtime.clone());
    let agent = || {
        let nosy = Nosy {
            model: payer(),
            runtime: watched.clone(),
            dropped: dropped.clone(),
        };
        let tool = Ledger::default().tool("pay", &open()).confirm();
        let agent = Agent::builder("nosy", nosy).history_runs(0);
        agent.tool(tool).build().unwrap()
    };
    let session = || NewRun::new("Pay.").session("s");
    for way in 0..6 {
        let run = runtime.start(&agent(), session()).await.unwrap();
        until(&run, |kind| matches!(kind, EventKind::Paused(_))).await;
        settle().await;
        let before = dropped.load(Ordering::SeqCst);
        assert_eq!(before, way, "the agent of a paused run is kept");
        let id = run.id();
        match way {
            0 => assert!(run.cancel().await.is_accepted()),
            1 => assert_eq!(runtime.delete_run(id).await, Ok(true)),
            2 => assert_eq!(runtime.delete_session("s").await, Ok(true)),
            3 => {
                drop(run);
                assert_eq!(runtime.delete_session("s").await, Ok(true));
            }
            4 => {
                runtime.continue_run(id, approve()).await.unwrap();
                ended(&run).await;
            }
            _ => {
                drop(run);
                assert!(runtime.cancel(id).await.is_accepted());
            }
        }
        settle().await;
        assert_eq!(dropped.load(Ordering::SeqCst), way + 1, "way {way}");
    }
    // Waiting runs, refused runs, and replaced agents.
    let slow = Agent::new("slow", Storyteller::endless().stall_at(0));
    let busy = runtime.start(&slow, session()).await.unwrap();
    let waiting = runtime.start(&agent(), session()).await.unwrap();
    assert!(waiting.cancel().await.is_accepted());
    let refused = session().when_busy(WhenBusy::Reject);
    runtime.start(&agent(), refused).await.unwrap_err();
    runtime
        .start(&agent(), session().id(busy.id()))
        .await
        .unwrap_err();
    runtime.add_agent(&agent());
    runtime.add_agent(&slow);
    runtime.add_agent(&agent());
    runtime.add_agent(&agent());
    busy.cancel().await;
    ended(&busy).await;
    settle().await;
    assert_eq!(dropped.load(Ordering::SeqCst), 11);
    nothing_kept(&runtime);
    // Break the cycle between the runtime and the agents that it keeps.
    watched.lock().unwrap().take();
}

#[test]
fn agents_are_dropped_outside_all_locks() {
    let (done, is_done) = mpsc::channel();
    let thread = thread::spawn(move || {
        let tokio = Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build();
        tokio.unwrap().block_on(look_on());
        let _ = done.send(());
    });
    match is_done.recv_timeout(GUARD) {
        Ok(()) => {}
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("a lock was held"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().unwrap_err())
        }
    }
}
