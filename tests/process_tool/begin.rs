//! How a program is started, and the errors if it cannot be.

use std::sync::{Arc, Mutex};

use quell::{CancelReason, ToolContext, event::ToolCallProcess, tools::ProcessTool};

use crate::support::{Folder, alive, call, guarded, script, started, until};

#[tokio::test]
async fn a_program_that_cannot_be_begun_is_said_clearly() {
    guarded(async {
        let folder = Folder::new();
        std::fs::write(folder.path().join("plain"), "").unwrap();
        let tool = |program: &str| {
            ProcessTool::new("p", "Runs.", program)
                .directory(folder.path())
                .takes_args()
        };
        for (tool, told) in [
            (
                tool("no-such-program"),
                "program no-such-program not found in PATH",
            ),
            (tool("/no/such"), "program /no/such not found"),
            (tool("./plain"), "./plain is not an executable program"),
            (
                tool("true").directory("/no/such"),
                "directory /no/such not found",
            ),
            (
                tool("true").env("PATH", ""),
                "program true not found in PATH",
            ),
        ] {
            assert_eq!(call(tool, "").await.unwrap_err(), told);
        }
        let told = call(tool("true"), r#"{"args": ["a\u0000b"]}"#)
            .await
            .unwrap_err();
        assert!(
            told.starts_with("cannot start the program true: "),
            "{told}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_program_is_noted_before_it_is_begun() {
    guarded(async {
        let folder = Folder::new();
        let notes = Arc::new(Mutex::new(Vec::new()));
        let (context, _tell) = ToolContext::alone("call-1");
        let (ran, keep) = (folder.path().join("ran"), notes.clone());
        let context = context.noting(move |note: ToolCallProcess| {
            assert!(!ran.exists());
            // The same process, with the same start time, after it has become the program.
            assert_eq!(started(note.group), note.started);
            keep.lock().unwrap().push(note);
            std::future::ready(true)
        });
        let line = "echo > ran; read -r stat < /proc/$$/stat; echo $$ ${stat##*)}";
        let told = script(&folder, line)
            .build()
            .call("", context)
            .await
            .unwrap();
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        let fields: Vec<&str> = told["stdout"]
            .as_str()
            .unwrap()
            .split_whitespace()
            .collect();
        let note = notes.lock().unwrap().pop().unwrap();
        assert_eq!(&*note.id, "call-1");
        assert_eq!(fields[0], note.group.to_string());
        assert_eq!(fields[20], note.started.to_string());
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        assert_eq!(&*note.boot, boot.trim());
        assert!(note.mark.is_some());
        assert!(folder.has("ran"));
    })
    .await;
}

#[tokio::test]
async fn a_program_whose_note_is_refused_is_never_begun() {
    guarded(async {
        let folder = Folder::new();
        let group = Arc::new(Mutex::new(0));
        let (context, _tell) = ToolContext::alone("call-1");
        let keep = group.clone();
        let context = context.noting(move |note| {
            *keep.lock().unwrap() = note.group;
            std::future::ready(false)
        });
        let (_, told) = script(&folder, "echo > ran")
            .build()
            .call("", context)
            .await
            .unwrap_err();
        assert_eq!(&*told, "the run was ended before the program was begun");
        assert!(alive(*group.lock().unwrap()).is_empty());
        assert!(!folder.has("ran"));
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_cancelled_while_its_note_waits_never_begins() {
    guarded(async {
        let folder = Folder::new();
        let group = Arc::new(Mutex::new(0));
        let (context, tell) = ToolContext::alone("call-1");
        let keep = group.clone();
        let context = context.noting(move |note| {
            *keep.lock().unwrap() = note.group;
            std::future::pending()
        });
        let tool = script(&folder, "echo > ran").build();
        let cancel = async {
            until(|| *group.lock().unwrap() != 0).await;
            tell.send_replace(Some(CancelReason::Requested));
        };
        let (told, ()) = tokio::join!(tool.call("", context.clone()), cancel);
        let words = "the call was cancelled before the program was started";
        assert_eq!(&*told.unwrap_err().1, words);
        assert!(alive(*group.lock().unwrap()).is_empty());

        // A call that was cancelled before does not even make a note.
        *group.lock().unwrap() = 0;
        let words = "The call was not begun: it was to end before that.";
        assert_eq!(&*tool.call("", context).await.unwrap_err().1, words);
        assert_eq!(*group.lock().unwrap(), 0);
        assert!(!folder.has("ran"));
    })
    .await;
}
