//! The output that the model gets.

use quell::tools::ProcessTool;
use serde_json::json;

use crate::support::{Folder, call, guarded, script};

#[tokio::test]
async fn a_program_tells_its_output_and_how_it_ended() {
    guarded(async {
        let folder = Folder::new();
        for (line, told) in [
            (
                "echo sea",
                json!({"exit_code": 0, "stdout": "sea\n", "stderr": ""}),
            ),
            (
                "echo sea >&2; exit 3",
                json!({"exit_code": 3, "stdout": "", "stderr": "sea\n"}),
            ),
            (
                "printf sea; kill -9 $$",
                json!({"signal": 9, "stdout": "sea", "stderr": ""}),
            ),
            (
                "printf '\\377'",
                json!({"exit_code": 0, "stdout": "\u{FFFD}", "stderr": ""}),
            ),
            (
                "pwd",
                json!({
                    "exit_code": 0,
                    "stdout": format!("{}\n", folder.path().canonicalize().unwrap().display()),
                    "stderr": "",
                }),
            ),
        ] {
            assert_eq!(
                call(script(&folder, line), "").await.unwrap(),
                told,
                "{line}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_program_may_talk_without_end_and_is_told_in_part() {
    guarded(async {
        let folder = Folder::new();
        let long = script(
            &folder,
            "yes | head -c 50000000; yes | head -c 70000 >&2; echo end",
        );
        let told = call(long, "").await.unwrap();
        assert_eq!(told["exit_code"], 0);
        assert_eq!(told["stdout_left_out"], 50_000_004 - 32 * 1024);
        assert_eq!(told["stderr_left_out"], 70_000 - 32 * 1024);
        let stdout = told["stdout"].as_str().unwrap();
        assert!(stdout.starts_with("y\ny\n"));
        assert!(
            stdout.contains("\n[.. 49967236 bytes left out ..]\n"),
            "{}",
            stdout.len()
        );
        assert!(stdout.ends_with("y\nend\n"));
        assert!(stdout.len() < 33 * 1024);
    })
    .await;
}

#[tokio::test]
async fn what_is_within_the_bound_never_makes_the_call_fail() {
    guarded(async {
        let zeros = ProcessTool::new("zeros", "Says zeros.", "head")
            .args(["-c", "1000000", "/dev/zero"])
            .max_output_bytes(1_000_000);
        let told = call(zeros, "").await.unwrap();
        assert_eq!(told["stdout"].as_str().unwrap().len(), 1_000_000);
        assert!(told.get("stdout_left_out").is_none());
    })
    .await;
}

#[tokio::test]
async fn a_program_that_closes_its_output_is_awaited() {
    guarded(async {
        let folder = Folder::new();
        let line = "exec >&- 2>&-; echo on > closed; while ! [ -e go ]; do :; done; exit 7";
        let quiet = script(&folder, line);
        let go = async {
            folder.line("closed").await;
            std::fs::write(folder.path().join("go"), "").unwrap();
        };
        let (told, ()) = tokio::join!(call(quiet, ""), go);
        assert_eq!(
            told.unwrap(),
            json!({"exit_code": 7, "stdout": "", "stderr": ""})
        );
    })
    .await;
}
