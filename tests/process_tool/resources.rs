//! Calls leave no resources behind in our own process.

use std::{fs, process::Command};

use quell::{CancelReason, ToolContext, tool::AnyTool, tools::ProcessTool};
use rustix::{
    io::Errno,
    process::{WaitId, WaitIdOptions, waitid},
};

use crate::support::{Folder, guarded, script, until};

/// Does nothing, unless the test below runs it in a child process, where no other test opens files or starts children.
#[tokio::test]
async fn host() {
    if std::env::var_os("QUELL_TEST_RESOURCES").is_none() {
        return;
    }
    guarded(async {
        round().await;
        let before = descriptors();
        for _ in 0..50 {
            round().await;
        }
        until(|| descriptors() <= before).await;
        // Children that have ended and were not reaped would be seen here.
        until(|| {
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            waitid(WaitId::All, look).is_err_and(|error| error == Errno::CHILD)
        })
        .await;
    })
    .await;
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Four calls: one that ends, one that cannot start, one that is cancelled, one that is dropped.
async fn round() {
    let folder = Folder::new();
    let plain: AnyTool = ProcessTool::new("true", "Succeeds.", "true").build();
    plain.call("", ToolContext::alone("1").0).await.unwrap();
    let absent: AnyTool = ProcessTool::new("no", "Fails.", "no-such-program").build();
    absent
        .call("", ToolContext::alone("2").0)
        .await
        .unwrap_err();

    let long = script(&folder, "sleep 1000 & echo $$ > $NAME; wait");
    let (context, tell) = ToolContext::alone("3");
    let cancelled = long.clone().env("NAME", "third").build();
    let cancel = async {
        folder.line("third").await;
        tell.send_replace(Some(CancelReason::Requested));
    };
    tokio::join!(cancelled.call("", context), cancel)
        .0
        .unwrap_err();

    let (context, _tell) = ToolContext::alone("4");
    let dropped = long.env("NAME", "fourth").build();
    tokio::select! {
        told = dropped.call("", context) => panic!("{told:?}"),
        _ = folder.line("fourth") => {}
    }
}

#[tokio::test]
async fn two_hundred_calls_leave_no_descriptor_and_no_zombie() {
    let host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "resources::host", "--nocapture"])
        .env("QUELL_TEST_RESOURCES", "1")
        .output();
    let output = guarded(async { host.unwrap() }).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
}
