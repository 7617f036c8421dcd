//! A cancel and a timeout end all of a call's processes: TERM, then KILL.

use std::time::Duration;

use quell::{
    CancelReason, ToolContext,
    tool::{AnyTool, OnCancel},
    tools::ProcessTool,
};

use crate::support::{Folder, NOBODY, alive, guarded, script};

/// So long that the test would time out if it were waited for.
const LONG: Duration = Duration::from_secs(3600);

/// Calls the tool, cancels the call for `reason` after `ready`, and returns the error that the model gets.
async fn told(tool: ProcessTool, reason: CancelReason, ready: impl Future<Output = ()>) -> String {
    let (context, tell) = ToolContext::alone("call-1");
    let cancel = async {
        ready.await;
        tell.send_replace(Some(reason));
    };
    let tool = tool.build();
    let (told, ()) = tokio::join!(tool.call("", context), cancel);
    told.unwrap_err().1.to_string()
}

#[tokio::test]
async fn a_cancel_ends_grandchildren_too_also_those_that_ignore_term() {
    guarded(async {
        let folder = Folder::new();
        let tree = "sleep 1000 & (sleep 1000 & wait) & \
            sh -c 'trap \"\" TERM; (while :; do sleep 1000; done) & echo on > deaf; while :; do sleep 1000; done' & \
            echo said; echo $$ > leader; wait";
        let tool = script(&folder, tree).term_grace(Duration::from_millis(100));
        let ready = async {
            folder.line("deaf").await;
            assert!(alive(folder.number("leader").await).len() >= 5);
        };
        let told = told(tool, CancelReason::Requested, ready).await;
        assert_eq!(
            told,
            r#"the call was cancelled and the program ended; output until then: {"signal":15,"stdout":"said\n","stderr":""}"#
        );
        assert_eq!(alive(folder.number("leader").await), NOBODY);
    })
    .await;
}

#[tokio::test]
async fn a_leader_that_ignores_term_gets_kill_after_the_grace() {
    guarded(async {
        let folder = Folder::new();
        let deaf = "trap '' TERM; echo $$ > leader; while :; do sleep 1000; done";
        let ready = async {
            folder.number("leader").await;
        };
        let tool = script(&folder, deaf).term_grace(Duration::from_millis(50));
        let told = told(tool, CancelReason::Deadline, ready).await;
        assert!(
            told.starts_with("the program took too long and was ended; "),
            "{told}"
        );
        assert!(told.contains(r#""signal":9"#), "{told}");
        assert_eq!(alive(folder.number("leader").await), NOBODY);
    })
    .await;
}

#[tokio::test]
async fn who_ends_on_term_is_heard_to_the_end_and_nobody_waits_longer() {
    guarded(async {
        let folder = Folder::new();
        // More than a pipe holds: output after TERM is read while it is written.
        let polite = "trap 'yes | head -c 300000; echo bye; exit 5' TERM; \
            echo $$ > leader; while :; do :; done";
        let ready = async {
            folder.number("leader").await;
        };
        let told = told(
            script(&folder, polite).term_grace(LONG),
            CancelReason::Requested,
            ready,
        )
        .await;
        assert!(
            told.contains(r#""exit_code":5"#) && told.contains("bye"),
            "{told}"
        );
        assert_eq!(alive(folder.number("leader").await), NOBODY);
    })
    .await;
}

#[tokio::test]
async fn a_grandchild_has_its_grace_when_the_leader_is_gone() {
    guarded(async {
        let folder = Folder::new();
        // It reacts to TERM only once the leader is dead, and holds none of the pipes.
        let late = "sh -c 'trap \"until grep -q \\\") Z\\\" /proc/$PPID/stat; do :; done; echo on > done; exit\" TERM; \
            echo on > ready; while :; do :; done' </dev/null >/dev/null 2>&1 & \
            echo $$ > leader; wait";
        let ready = async {
            folder.line("ready").await;
            folder.number("leader").await;
        };
        let _ = told(script(&folder, late).term_grace(LONG), CancelReason::Requested, ready).await;
        assert!(folder.has("done"));
        assert_eq!(alive(folder.number("leader").await), NOBODY);
    })
    .await;
}

#[tokio::test]
async fn a_grace_of_zero_is_no_time() {
    guarded(async {
        let folder = Folder::new();
        let polite = "trap 'echo > heard; exit' TERM; echo $$ > leader; while :; do :; done";
        let ready = async {
            folder.number("leader").await;
        };
        let tool = script(&folder, polite).term_grace(Duration::ZERO);
        let told = told(tool, CancelReason::Requested, ready).await;
        assert!(
            told.contains(r#""signal":9"#) && !folder.has("heard"),
            "{told}"
        );
    })
    .await;
}

#[test]
fn a_call_has_the_time_that_ending_it_takes() {
    let tool: AnyTool = ProcessTool::new("p", "Runs.", "true")
        .term_grace(LONG)
        .into();
    let OnCancel::Grace(grace) = tool.settings().on_cancel else {
        panic!("{:?}", tool.settings());
    };
    assert!(grace > LONG);
    let endless = ProcessTool::new("p", "Runs.", "true").term_grace(Duration::MAX);
    assert_eq!(
        endless.build().settings().on_cancel,
        OnCancel::Grace(Duration::MAX)
    );
}
