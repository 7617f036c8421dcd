//! When our own process is killed, no program is left: one without a stored note never started, and a noted one is
//! ended.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use quell::{
    ToolContext,
    event::ToolCallProcess,
    tools::{LeftOver, end_left_over},
};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Folder, NOBODY, alive, guarded, is_alive, script, until};

const TREE: &str = "echo $$ > ran; trap '' TERM; sleep 1000 & (sleep 1000 & wait) & \
    sh -c 'echo on > child; while :; do sleep 1000; done' & wait";

/// Does nothing, unless a test here runs it in a child process, which is then killed.
#[tokio::test]
async fn host() {
    let Some(place) = std::env::var_os("QUELL_TEST_HOST") else {
        return;
    };
    let stays_at_the_gate = std::env::var_os("QUELL_TEST_GATE").is_some();
    let place = std::path::PathBuf::from(place);
    let (context, _tell) = ToolContext::alone("call-1");
    let at = place.clone();
    let context = context.noting(move |note: ToolCallProcess| {
        // Either complete or not there: written under another name and renamed.
        fs::write(at.join("note.new"), serde_json::to_string(&note).unwrap()).unwrap();
        fs::rename(at.join("note.new"), at.join("note")).unwrap();
        async move {
            if stays_at_the_gate {
                std::future::pending::<()>().await;
            }
            true
        }
    });
    let tool = quell::tools::ProcessTool::new("tree", "Grows.", "sh")
        .args(["-c", TREE])
        .directory(place);
    let told = tool.build().call("", context).await;
    panic!("{told:?}");
}

/// A process that runs the tool.
fn start_host(folder: &Folder, stays_at_the_gate: bool) -> Host {
    let mut host = Command::new(std::env::current_exe().unwrap());
    host.args(["--exact", "crash::host", "--nocapture"])
        .env("QUELL_TEST_HOST", folder.path())
        .stdout(Stdio::null());
    if stays_at_the_gate {
        host.env("QUELL_TEST_GATE", "1");
    }
    Host(host.spawn().unwrap())
}

async fn note(folder: &Folder) -> ToolCallProcess {
    until(|| folder.has("note")).await;
    let text = fs::read_to_string(folder.path().join("note")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Dropping it kills the process without warning, as `kill -9` does.
struct Host(Child);

impl Drop for Host {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Ends what is left; the tree may still have been growing.
fn killed(note: &ToolCallProcess) -> usize {
    match end_left_over(note) {
        LeftOver::Ended { killed } => killed,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_program_whose_note_was_not_stored_is_never_begun() {
    guarded(async {
        let folder = Folder::new();
        let host = start_host(&folder, true);
        let note = note(&folder).await;
        assert_eq!(alive(note.group), [note.group]);
        drop(host);
        // The shell ends by itself, because recovery does not know of it.
        until(|| alive(note.group).is_empty()).await;
        assert!(!folder.has("ran"));
        assert_eq!(end_left_over(&note), LeftOver::NothingLeft);
    })
    .await;
}

#[tokio::test]
async fn a_program_that_outlived_us_is_ended_with_its_grandchildren() {
    guarded(async {
        let folder = Folder::new();
        let host = start_host(&folder, false);
        let note = note(&folder).await;
        folder.line("child").await;
        drop(host);
        assert!(killed(&note) >= 4);
        assert_eq!(alive(note.group), NOBODY);
        assert_eq!(end_left_over(&note), LeftOver::NothingLeft);
    })
    .await;
}

#[tokio::test]
async fn grandchildren_that_outlived_us_are_ended_without_their_leader() {
    guarded(async {
        let folder = Folder::new();
        let host = start_host(&folder, false);
        let note = note(&folder).await;
        folder.line("child").await;
        drop(host);
        let leader = Pid::from_raw(note.group.try_into().unwrap()).unwrap();
        kill_process(leader, Signal::KILL).unwrap();
        until(|| !is_alive(note.group)).await;
        assert!(killed(&note) >= 3);
        assert_eq!(alive(note.group), NOBODY);
    })
    .await;
}

#[tokio::test]
async fn a_tool_says_its_mark_to_all_that_it_starts() {
    guarded(async {
        let folder = Folder::new();
        let tool = script(&folder, "sh -c 'tr \"\\0\" \"\\n\" < /proc/self/environ'").build();
        let (context, _tell) = ToolContext::alone("call-1");
        let (say, mut said) = tokio::sync::mpsc::unbounded_channel();
        let context = context.noting(move |note: ToolCallProcess| {
            say.send(note.mark.unwrap()).unwrap();
            std::future::ready(true)
        });
        let mut marks = Vec::new();
        for _ in 0..2 {
            let told = tool.call("", context.clone()).await.unwrap();
            let mark = said.recv().await.unwrap();
            assert!(told.contains(&format!("QUELL_CALL={mark}\\n")), "{told}");
            marks.push(mark);
        }
        // Also when the same call is repeated.
        assert_ne!(marks[0], marks[1]);
    })
    .await;
}
