//! Running this package's programs as a user does, as separate processes.

#![allow(
    dead_code,
    reason = "every test file is a program of its own and uses some of this"
)]

use std::{
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use quell::{Agent, EventKind, Runtime, sim::Storyteller};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    time::timeout,
};

/// Far more than any of the programs needs, even on the slowest machine. A program that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// The result of a program.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The rest of the first line that starts with `name: `.
    #[track_caller]
    pub(crate) fn value(&self, name: &str) -> &str {
        self.stdout
            .lines()
            .find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(": "))
            .unwrap_or_else(|| panic!("no {name:?} in {self:#?}"))
    }

    #[track_caller]
    pub(crate) fn expect_success(self) -> Ended {
        assert!(self.status.success(), "{self:#?}");
        self
    }
}

/// The compiled example `name`.
pub(crate) fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("a test knows its own path");
    // target/<profile>/deps/<test> and target/<profile>/examples/<name>
    let path: PathBuf = test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("tests are in target/<profile>/deps")
        .join("examples")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "{} is missing: a whole `cargo test` builds the examples; before a part of it, run `cargo build --examples`",
        path.display()
    );
    program(path)
}

/// A program without this machine's provider settings. It is killed with its test.
pub(crate) fn program(path: impl Into<PathBuf>) -> Command {
    let mut command = Command::new(path.into());
    for variable in [
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "OPENAI_MODEL",
        "QUELL_LOG",
    ] {
        command.env_remove(variable);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs a program to its end.
pub(crate) async fn run(command: &mut Command) -> Ended {
    ended(command.spawn().expect("the program starts")).await
}

/// Waits for a program to end, and reads the rest of its output.
pub(crate) async fn ended(child: Child) -> Ended {
    let output = timeout(LIMIT, child.wait_with_output())
        .await
        .expect("the program ends in time")
        .expect("the program is waited for");
    Ended {
        status: output.status,
        stdout: String::from_utf8(output.stdout).expect("the output is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("the errors are UTF-8"),
    }
}

/// Reads until `wanted` holds for the text so far, and returns that text.
pub(crate) async fn read_until(
    stream: &mut (impl AsyncRead + Unpin),
    wanted: impl Fn(&str) -> bool,
) -> String {
    let mut read = Vec::new();
    let reading = async {
        loop {
            let text = String::from_utf8_lossy(&read).into_owned();
            if wanted(&text) {
                return text;
            }
            let more = stream.read_buf(&mut read).await.expect("a pipe is read");
            assert!(more > 0, "the program ended after saying only {text:?}");
        }
    };
    timeout(LIMIT, reading).await.expect("the words come")
}

/// The beginning of the storyteller's text, of at least `bytes` bytes.
pub(crate) async fn tale(teller: Storyteller, bytes: usize) -> String {
    let agent = Agent::new("teller", teller.pace(Duration::ZERO));
    let run = Runtime::new()
        .start(&agent, "Tell.")
        .await
        .expect("it starts");
    let mut events = run.events();
    let mut tale = String::new();
    while tale.len() < bytes
        && let Some(event) = events.next().await
    {
        if let EventKind::Content { text } = event.expect("the log is read").kind {
            tale.push_str(&text);
        }
    }
    run.cancel().await;
    tale
}
