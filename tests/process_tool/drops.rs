//! Dropping a call kills its processes.

use std::sync::{Arc, Mutex, mpsc};

use futures::future::{Either, select};
use quell::{ToolContext, tool::AnyTool};

use crate::support::{Folder, alive, guarded, is_alive, script, state, until};

/// A tree that ignores TERM.
const TREE: &str = "trap '' TERM; sleep 1000 & (sleep 1000 & wait) & \
    sh -c 'echo on > child; while :; do sleep 1000; done' & echo $$ > leader; wait";

async fn is_up(folder: &Folder) -> u32 {
    folder.line("child").await;
    folder.number("leader").await
}

#[test]
fn dropping_a_call_kills_all_of_its_processes_at_once() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let folder = Folder::new();
    let (context, _tell) = ToolContext::alone("call-1");
    let tool: AnyTool = script(&folder, TREE).build();
    let call = Box::pin(tool.call("", context));
    let (leader, call) = runtime.block_on(guarded(async {
        match select(call, Box::pin(is_up(&folder))).await {
            Either::Left((told, _)) => panic!("{told:?}"),
            Either::Right((leader, call)) => (leader, call),
        }
    }));
    assert!(alive(leader).len() >= 4);
    drop(call);
    // The runtime is idle, so the drop itself must have done it all.
    wait_on_a_thread(move || alive(leader).is_empty());
    // Once the runtime continues, the leader is reaped.
    runtime.block_on(guarded(until(|| state(leader).is_none())));
}

/// Waits until `is_so`, without a tokio runtime.
fn wait_on_a_thread(is_so: impl Fn() -> bool + Send + 'static) {
    let (say, said) = mpsc::channel();
    std::thread::spawn(move || {
        while !is_so() {
            std::thread::yield_now();
        }
        say.send(())
    });
    let limit = std::time::Duration::from_secs(60);
    said.recv_timeout(limit).expect("the test hangs");
}

#[tokio::test]
async fn aborting_the_task_of_a_call_kills_its_processes() {
    guarded(async {
        let folder = Folder::new();
        let tool: AnyTool = script(&folder, TREE).build();
        let (context, _tell) = ToolContext::alone("call-1");
        let task = tokio::spawn(async move { tool.call("", context).await });
        let leader = is_up(&folder).await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        until(|| alive(leader).is_empty() && state(leader).is_none()).await;
    })
    .await;
}

#[tokio::test]
async fn dropping_a_call_whose_note_waits_ends_it_before_it_begins() {
    guarded(async {
        let folder = Folder::new();
        let group = Arc::new(Mutex::new(0));
        let keep = group.clone();
        let (context, _tell) = ToolContext::alone("call-1");
        let context = context.noting(move |note| {
            *keep.lock().unwrap() = note.group;
            std::future::pending()
        });
        let tool: AnyTool = script(&folder, "echo > ran").build();
        let task = tokio::spawn(async move { tool.call("", context).await });
        until(|| *group.lock().unwrap() != 0).await;
        task.abort();
        let _ = task.await;
        let group = *group.lock().unwrap();
        until(|| alive(group).is_empty() && state(group).is_none()).await;
        assert!(!folder.has("ran"));
    })
    .await;
}

#[tokio::test]
async fn dropping_a_call_in_its_grace_kills_who_is_left() {
    guarded(async {
        let folder = Folder::new();
        let tool = script(&folder, TREE)
            .term_grace(std::time::Duration::from_secs(3600))
            .build();
        let (context, tell) = ToolContext::alone("call-1");
        let task = tokio::spawn(async move { tool.call("", context).await });
        let leader = is_up(&folder).await;
        let before = alive(leader);
        assert!(before.len() >= 4);
        tell.send_replace(Some(quell::CancelReason::Requested));
        // All children inherit that TERM is ignored.
        tokio::task::yield_now().await;
        assert!(before.into_iter().all(is_alive));
        task.abort();
        let _ = task.await;
        until(|| alive(leader).is_empty() && state(leader).is_none()).await;
    })
    .await;
}
