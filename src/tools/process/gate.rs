//! How a program is started, so that the store has a note of it before it does anything.
//!
//! If the program were started first and noted then, a crash between the two would leave a program without a note. If
//! the note came first, the program's id would not be known yet. So a shell starts, whose id and start time the program
//! will keep, and waits at a gate: it reads one line. Once the note is stored, it gets the line and becomes the
//! program. If this process dies earlier, the line never comes: the shell reads the end of the pipe, and exits.

use std::{io, os::unix::process::CommandExt, process::Stdio, sync::Arc};

use futures::future::{Either, select};
use quell_actors::{
    RunId, ToolContext,
    tool::{Process, ToolError},
};
use tokio::{
    io::AsyncWriteExt,
    process::{ChildStderr, ChildStdin, ChildStdout, Command},
};

use super::{MARK, call::Plan, environment::find, group::Group, input::Given, proc};

/// POSIX makes `read` take bytes from a pipe one by one, so everything after the line is left for the program. `exec`
/// keeps the process, and with it the id, the group and the start time.
const GATE: &str = r#"read -r _ && exec "$@""#;

/// A program that has started.
pub(super) struct Begun {
    pub(super) group: Group,
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

/// Starts a program.
///
/// # Errors
///
/// When there is no such program, when the system cannot start it, and when the call is cancelled or the note is
/// refused before it has started. Then no process is left.
pub(super) async fn begin(
    plan: &Plan,
    given: &Given,
    context: &ToolContext,
) -> Result<Begun, ToolError> {
    if context.is_cancelled() {
        return Err(cancelled());
    }
    // Unique for each start, also when a call is repeated. The run's id is there for a person who inspects the process.
    let mark = format!("{}/{}", context.run_id(), RunId::new());
    let mut begun = at_the_gate(plan, given, &mark)?;

    let noted = match note_of(&begun.group, mark) {
        Ok(note) => {
            let noted = Box::pin(context.process(note));
            match select(noted, Box::pin(context.cancelled())).await {
                Either::Left((noted, _)) => noted,
                Either::Right(_) => Err(cancelled()),
            }
        }
        Err(error) => Err(ToolError::new(format!("cannot read /proc: {error}"))),
    };
    let noted = noted.and_then(|()| match context.is_cancelled() {
        true => Err(cancelled()),
        false => Ok(()),
    });
    if let Err(error) = noted {
        begun.group.end().await;
        return Err(error);
    }
    // A failure means that the shell was killed, which is seen as the program's exit.
    let _ = begun.stdin.write_all(b"\n").await;
    Ok(begun)
}

fn cancelled() -> ToolError {
    ToolError::new("the call was cancelled before the program was started")
}

/// The shell that waits at the gate.
fn at_the_gate(plan: &Plan, given: &Given, mark: &str) -> Result<Begun, ToolError> {
    let path = plan.environment.iter().find(|(name, _)| name == "PATH");
    let path = path.map(|(_, path)| path.as_os_str()).unwrap_or_default();
    let program = find(&plan.program, path, plan.directory.as_deref())?;
    if let Some(directory) = &plan.directory
        && !directory.is_dir()
    {
        let message = format!("directory {} not found", directory.display());
        return Err(ToolError::new(message));
    }

    let mut shell = std::process::Command::new("/bin/sh");
    shell
        .args(["-c", GATE, "sh"])
        .arg(program)
        .args(&plan.args)
        .args(&given.args)
        .env_clear()
        .envs(plan.environment.iter().map(|(name, value)| (name, value)))
        .env(MARK, mark)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some(directory) = &plan.directory {
        shell.current_dir(directory);
    }
    let not_begun = |error: io::Error| {
        ToolError::new(format!(
            "cannot start the program {}: {error}",
            plan.program.display()
        ))
    };
    let mut child = Command::from(shell).spawn().map_err(not_begun)?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let group = Group::led_by(child).map_err(not_begun)?;
    let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
        return Err(not_begun(io::Error::other("it has no pipes")));
    };
    Ok(Begun {
        group,
        stdin,
        stdout,
        stderr,
    })
}

/// The note that recovery needs.
fn note_of(group: &Group, mark: String) -> io::Result<Process> {
    let leader = proc::stat(group.id()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    Ok(Process {
        group: group.id(),
        started: leader.started,
        boot: proc::boot()?.into(),
        mark: Some(Arc::from(mark)),
    })
}
