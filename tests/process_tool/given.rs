//! The model's input, and the program's arguments and environment.

use std::process::Command;

use quell::{tool::AnyTool, tools::ProcessTool};
use serde_json::json;

use crate::support::{Folder, call, guarded, script};

#[tokio::test]
async fn arguments_reach_the_program_as_they_are() {
    guarded(async {
        let folder = Folder::new();
        let printf = ProcessTool::new("printf", "Prints.", "printf")
            .args(["%s|", "fixed"])
            .takes_args()
            .directory(folder.path());
        let given = json!({"args": ["; touch a", "$(touch b)", "-x", "", "ä\n\"'\\ *"]});
        let told = call(printf, &given.to_string()).await.unwrap();
        assert_eq!(told["stdout"], "fixed|; touch a|$(touch b)|-x||ä\n\"'\\ *|");
        assert!(!folder.has("a") && !folder.has("b"));
    })
    .await;
}

#[tokio::test]
async fn all_of_the_standard_input_reaches_the_program_and_nothing_else() {
    guarded(async {
        let cat = || ProcessTool::new("cat", "Says it again.", "cat").takes_stdin();
        for text in ["", "one", "\n", "\nsecond\n\nfourth", "a\\\nb"] {
            let given = json!({ "stdin": text }).to_string();
            assert_eq!(call(cat(), &given).await.unwrap()["stdout"], text);
        }
        assert_eq!(call(cat(), "").await.unwrap()["stdout"], "");

        let many = json!({"stdin": "0123456789".repeat(100_000)}).to_string();
        let count = ProcessTool::new("wc", "Counts.", "wc")
            .args(["-c"])
            .takes_stdin();
        assert_eq!(call(count, &many).await.unwrap()["stdout"], "1000000\n");
        // A program need not read its input.
        let deaf = ProcessTool::new("true", "Succeeds.", "true").takes_stdin();
        assert_eq!(call(deaf, &many).await.unwrap()["exit_code"], 0);
        // A program without input reads the end of it at once, and does not wait.
        let reads = ProcessTool::new("cat", "Says it again.", "cat");
        assert_eq!(call(reads, "").await.unwrap()["stdout"], "");
    })
    .await;
}

#[tokio::test]
async fn a_command_line_is_read_by_a_shell() {
    guarded(async {
        let shell = ProcessTool::shell("shell", "Runs a command line.").takes_args();
        let given = json!({"command": "-x 2>/dev/null; echo $((6 * 7)) | tr 4 5"}).to_string();
        assert_eq!(call(shell, &given).await.unwrap()["stdout"], "52\n");
        let reads = ProcessTool::shell("shell", "Runs a command line.").takes_stdin();
        let given = json!({"command": "read a; echo $a$a", "stdin": "x\n"}).to_string();
        assert_eq!(call(reads, &given).await.unwrap()["stdout"], "xx\n");
    })
    .await;
}

/// Does nothing, unless the test below runs it in a child process that has a key.
#[tokio::test]
#[expect(clippy::print_stdout, reason = "the other test reads it")]
async fn host() {
    if std::env::var_os("OPENAI_API_KEY").is_none_or(|key| key != "hidden-word") {
        return;
    }
    let env = ProcessTool::new("env", "Tells.", "env")
        .pass_env("PASSED")
        .pass_env("QUELL_NEVER_SET")
        .env("TWICE", "first")
        .env("TWICE", "two words")
        .env("TZ", "UTC");
    let told = call(env, "").await.unwrap();
    let told: Vec<(&str, &str)> = told["stdout"]
        .as_str()
        .unwrap()
        .lines()
        .map(|line| line.split_once('=').unwrap())
        .collect();
    for variable in [
        ("PASSED", "on"),
        ("TWICE", "two words"),
        ("TZ", "UTC"),
        ("LC_TIME", "C"),
    ] {
        assert!(told.contains(&variable), "{variable:?}");
    }
    // The last four are set by the shell at the gate.
    let known = [
        "PASSED",
        "TWICE",
        "TZ",
        "LC_TIME",
        "PATH",
        "QUELL_CALL",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
    ];
    for (name, _) in told {
        assert!(known.contains(&name), "{name}");
    }
    println!("the host is done");
}

#[test]
fn the_environment_is_not_passed_on() {
    let host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "given::host", "--nocapture"])
        .env_clear()
        .envs([
            ("PATH", "/usr/bin:/bin"),
            ("LC_TIME", "C"),
            ("TZ", "EST"),
            ("PASSED", "on"),
        ])
        .envs([
            ("OPENAI_API_KEY", "hidden-word"),
            ("AWS_SECRET_ACCESS_KEY", "hidden-word"),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[host.stdout, host.stderr].concat()).into_owned();
    assert!(said.contains("the host is done"), "{said}");
}

#[tokio::test]
async fn a_model_is_shown_what_it_may_give_and_nothing_else_is_taken() {
    let new = || ProcessTool::new("p", "Runs.", "true");
    let shell = || ProcessTool::shell("s", "Runs.");
    for (tool, names) in [
        (new(), vec![]),
        (new().takes_args(), vec!["args"]),
        (new().takes_stdin(), vec!["stdin"]),
        (new().takes_stdin().takes_args(), vec!["args", "stdin"]),
        (shell(), vec!["command"]),
        (shell().takes_args().takes_stdin(), vec!["command", "stdin"]),
    ] {
        let tool = AnyTool::from(tool);
        let parameters = &tool.spec().parameters;
        let mut shown: Vec<_> = parameters["properties"]
            .as_object()
            .unwrap()
            .keys()
            .collect();
        shown.sort_unstable();
        assert_eq!(shown, names);
        let told = guarded(call(tool, r#"{"other": 1}"#)).await.unwrap_err();
        assert!(told.starts_with("InvalidArguments: the arguments are not valid: unknown field"));
    }
}

#[test]
fn no_value_of_the_environment_is_shown() {
    let tool = script(&Folder::new(), "true").env("TOKEN", "hidden-word");
    let shown = format!("{tool:?} {:?}", tool.clone().build());
    assert!(
        shown.contains("TOKEN") && !shown.contains("hidden-word"),
        "{shown}"
    );
}
