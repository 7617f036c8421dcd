//! `quell demo`, on the simulated model.

#![cfg(feature = "cli")]

mod programs;

use programs::{Ended, program, run, tale};
use quell::sim::Storyteller;
use tokio::process::Command;

fn quell(arguments: &[&str]) -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_quell"));
    command.args(arguments);
    command
}

/// Checks that the story is a beginning of the simulated one, and that the report matches it.
async fn check_report(ended: &Ended, by: &str) {
    assert_eq!(ended.status.code(), Some(0), "{ended:#?}");
    let (told, report) = ended.stdout.split_once("\n\nstatus: ").expect("a report");
    let story = tale(Storyteller::endless().seed(6), told.len()).await;
    assert!(story.starts_with(told), "{ended:#?}");
    assert!(report.starts_with("cancelled\n"), "{ended:#?}");
    let id = ended.value("run id");
    assert!(ended.stderr.contains(id), "{ended:#?}");
    assert_eq!(ended.value("was cancelled"), "yes");
    let preview = ended.value("content preview");
    let (preview, _) = preview.split_once("...").unwrap_or((preview, ""));
    assert!(story.starts_with(preview), "{ended:#?}");
    assert_eq!(ended.value("why"), format!("requested, by {by}"));
    assert!(ended.value("tokens").ends_with("out, estimated"));
    let took = ended.value("from request to quiet");
    assert!(took.ends_with('s'), "{ended:#?}");
}

#[tokio::test]
async fn a_demo_is_cancelled_by_the_clock_and_reports() {
    let ended = run(&mut quell(&["demo", "--cancel-after", "1s"])).await;
    check_report(&ended, "the clock").await;
    assert!(!ended.value("content preview").starts_with('('));
}

#[tokio::test]
async fn a_demo_that_is_cancelled_at_once_has_said_nothing() {
    let ended = run(&mut quell(&["demo", "--cancel-after", "0"])).await;
    assert_eq!(ended.status.code(), Some(0), "{ended:#?}");
    assert_eq!(ended.value("status"), "cancelled");
    assert_eq!(ended.value("content preview"), "(nothing was said)");
}

#[tokio::test]
async fn the_simulation_is_chosen_over_the_environment() {
    let mut command = quell(&["demo", "--model", "sim", "--cancel-after", "200ms"]);
    command.env("OPENAI_BASE_URL", "http://127.0.0.1:1/v1");
    check_report(&run(&mut command).await, "the clock").await;
}

#[tokio::test]
async fn help_names_what_there_is() {
    let ended = run(&mut quell(&["--help"])).await.expect_success();
    for word in ["demo", "QUELL_LOG"] {
        assert!(ended.stdout.contains(word), "{ended:#?}");
    }
    let ended = run(&mut quell(&["demo", "--help"])).await.expect_success();
    for word in [
        "--cancel-after",
        "--model",
        "[PROMPT]",
        "Ctrl-C",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
    ] {
        assert!(ended.stdout.contains(word), "{word} in {ended:#?}");
    }
}

#[tokio::test]
async fn invalid_arguments_are_refused_with_a_reason() {
    for (arguments, code, words) in [
        (&["demo", "--cancel-after", "soon"][..], 2, "ms, s, m or h"),
        (&["demo", "--model", "gpt"], 2, "openai:NAME"),
    ] {
        let ended = run(&mut quell(arguments)).await;
        assert_eq!(ended.status.code(), Some(code), "{ended:#?}");
        assert!(ended.stderr.contains(words), "{ended:#?}");
    }
    let ended = run(&mut quell(&["demo", "--model", "openai:gpt-5-mini"])).await;
    assert_eq!(ended.status.code(), Some(1), "{ended:#?}");
    // The reason is the missing feature, or else the missing key.
    assert!(ended.stderr.starts_with("error: ") && ended.stderr.contains("--model sim"));
    let ended = run(quell(&["demo"]).env("QUELL_LOG", "quell=loud")).await;
    assert_eq!(ended.status.code(), Some(1), "{ended:#?}");
    assert!(ended.stderr.starts_with("error: QUELL_LOG"), "{ended:#?}");
    assert_eq!(ended.stdout, "");
}

/// Nothing listens on port 1.
#[cfg(feature = "http-models")]
#[tokio::test]
async fn a_provider_that_cannot_be_reached_is_named() {
    let mut command = quell(&["demo", "--model", "openai:x", "--cancel-after", "1h"]);
    command.env("OPENAI_BASE_URL", "http://127.0.0.1:1/v1");
    let ended = run(&mut command).await;
    assert_eq!(ended.status.code(), Some(1), "{ended:#?}");
    assert_eq!(ended.value("status"), "error");
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("error: ") && last.contains("127.0.0.1:1"),
        "{ended:#?}"
    );
}

#[cfg(unix)]
mod interrupts {
    use std::process::Stdio;

    use rustix::process::{Pid, Signal, kill_process};
    use tokio::{net::unix::pipe, process::Child};

    use super::*;
    use crate::programs::{ended, read_until};

    /// What Ctrl-C in a terminal sends.
    fn interrupt(child: &Child) {
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        kill_process(pid.expect("the program runs"), Signal::INT).expect("it can be signalled");
    }

    fn patient() -> Command {
        quell(&["demo", "--model", "sim", "--cancel-after", "1h"])
    }

    #[tokio::test]
    async fn the_first_ctrl_c_cancels_the_run() {
        let mut child = patient().spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let words = |text: &str| text.split_whitespace().count() >= 5;
        let begin = read_until(&mut stdout, words).await;
        interrupt(&child);
        let rest = read_until(&mut stdout, |text| text.contains("tokens: ")).await;
        child.stdout = Some(stdout);

        let mut ended = ended(child).await;
        ended.stdout = begin + &rest + &ended.stdout;
        check_report(&ended, "Ctrl-C").await;
        // On a machine that stood still for a second, the model counts as silent.
        let cut = ended.value("cut while");
        assert!(
            ["streaming", "waiting for a silent model"].contains(&cut),
            "{ended:#?}"
        );
    }

    /// The demo cannot end by itself here: its output is not read, and the pipe is full.
    #[tokio::test]
    async fn the_second_ctrl_c_leaves_at_once() {
        let (full, _unread) = pipe::pipe().unwrap();
        full.writable().await.unwrap();
        while full.try_write(b".").is_ok() {}
        let full = full.into_blocking_fd().unwrap();
        let mut child = patient().stdout(Stdio::from(full)).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();

        read_until(&mut stderr, |text| text.contains("Ctrl-C]")).await;
        interrupt(&child);
        read_until(&mut stderr, |text| text.contains("again exits at once")).await;
        interrupt(&child);
        assert_eq!(ended(child).await.status.code(), Some(130));
    }
}
