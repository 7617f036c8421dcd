//! A tool that is a program: what can be set.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use quell_actors::{
    ToolContext, tool,
    tool::{AnyTool, OnCancel, ToolSettings},
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::{
    call::{self, Plan},
    environment::environment,
    group::GONE_LIMIT,
    input::{Args, ArgsAndStdin, Command, CommandAndStdin, Given, Nothing, Stdin},
};

/// A tool that runs a program, and ends it with all that it started.
///
/// ```
/// use std::time::Duration;
/// use quell::{Agent, sim::Storyteller, tools::ProcessTool};
///
/// let grep = ProcessTool::new("grep", "Searches the notes with grep.", "grep")
///     .args(["-r", "-n", "-e"])
///     .takes_args()
///     .directory("/srv/notes")
///     .build()
///     .timeout(Duration::from_secs(20));
/// let agent = Agent::builder("clerk", Storyteller::endless()).tool(grep).build()?;
/// # Ok::<(), quell::error::AgentError>(())
/// ```
///
/// # What the model is told
///
/// JSON with `exit_code` or, for a program that a signal ended, `signal`; `stdout` and `stderr`; and `stdout_left_out` and
/// `stderr_left_out`, in bytes, where something was. **A program that fails is no failed call**: the model sees the exit
/// code and what the program said. A call fails when the program cannot be begun, and when it is ended before it has come
/// to its end; it then says what the program had said.
///
/// # How it ends
///
/// The program is the leader of a process group of its own. When the call is cancelled or takes too long, the whole group
/// gets TERM and, after [`term_grace`](ProcessTool::term_grace), KILL. When the call's future is dropped, the group gets
/// KILL at once. When the program ends by itself, what it left at work in its group gets KILL. After a crash of this
/// process [`end_left_over`](super::end_left_over) does the same.
///
/// Out of reach is only what leaves the group: a child that made a session or a group of its own (`setsid`, a daemon, the
/// jobs of an interactive shell), and what another service was asked to run.
///
/// # Security
///
/// A program has all rights of this process; nothing here is a sandbox. No secret is put into its environment (see
/// [`env`](ProcessTool::env)), but a program of the same user can read what that user can, the environment of this process
/// under `/proc` included. Arguments that a model gives are read by no shell, but many programs can be told by their
/// arguments to write files and to run others. See [`shell`](ProcessTool::shell) for what that one opens.
#[must_use = "it is a tool once `build` was called"]
#[derive(Clone)]
pub struct ProcessTool {
    name: String,
    about: String,
    program: PathBuf,
    args: Vec<OsString>,
    gives: Gives,
    takes_stdin: bool,
    directory: Option<PathBuf>,
    set: Vec<(OsString, OsString)>,
    passed: Vec<OsString>,
    max_output_bytes: usize,
    term_grace: Duration,
}

/// What a model gives beside standard input.
#[derive(Clone, Copy, Debug)]
enum Gives {
    Nothing,
    Args,
    Command,
}

impl ProcessTool {
    /// A tool of this name that runs `program`: one with a slash as it stands, seen from the working directory, any other
    /// as it is found in the `PATH` of its environment. The model gives nothing, unless it is allowed to.
    pub fn new(
        name: impl Into<String>,
        about: impl Into<String>,
        program: impl Into<PathBuf>,
    ) -> ProcessTool {
        ProcessTool {
            name: name.into(),
            about: about.into(),
            program: program.into(),
            args: Vec::new(),
            gives: Gives::Nothing,
            takes_stdin: false,
            directory: None,
            set: Vec::new(),
            passed: Vec::new(),
            max_output_bytes: 32 * 1024,
            term_grace: Duration::from_secs(2),
        }
    }

    /// A tool of this name where the model gives a command line, which `/bin/sh -c` runs.
    ///
    /// # Security
    ///
    /// **Whoever can say something to the model can run anything with the rights of this process**: the person it talks
    /// to, and the author of any page or file it reads. Use it where that is meant, as in a container that is thrown away,
    /// and have a person approve the calls ([`AnyTool::confirm`]) where it is not.
    pub fn shell(name: impl Into<String>, about: impl Into<String>) -> ProcessTool {
        // A line that begins with a dash is a line all the same.
        let mut shell = ProcessTool::new(name, about, "/bin/sh").args(["-c", "--"]);
        shell.gives = Gives::Command;
        shell
    }

    /// Adds arguments that are always there, before those of the model.
    pub fn args<I>(mut self, args: I) -> ProcessTool
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Lets the model give arguments, after those that are fixed. Of no use to a [`shell`](ProcessTool::shell), whose
    /// command line says it all.
    pub fn takes_args(mut self) -> ProcessTool {
        self.gives = match self.gives {
            Gives::Nothing | Gives::Args => Gives::Args,
            Gives::Command => Gives::Command,
        };
        self
    }

    /// Lets the model give what the program reads from its standard input, which is empty otherwise.
    pub fn takes_stdin(mut self) -> ProcessTool {
        self.takes_stdin = true;
        self
    }

    /// The directory that the program is at work in. Default: that of this process.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> ProcessTool {
        self.directory = Some(directory.into());
        self
    }

    /// Sets a variable of the program's environment. All that it has otherwise are those of `PATH`, `HOME`, `USER`,
    /// `LOGNAME`, `LANG`, `LANGUAGE`, `LC_*`, `TZ` and `TMPDIR` that this process has when the tool is built, and
    /// `QUELL_CALL`, by which recovery knows it.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> ProcessTool {
        let name = name.into();
        self.set.retain(|(one, _)| *one != name);
        self.set.push((name, value.into()));
        self
    }

    /// Passes one more variable of this process on, if it is there when the tool is built.
    pub fn pass_env(mut self, name: impl Into<OsString>) -> ProcessTool {
        self.passed.push(name.into());
        self
    }

    /// How many bytes of its standard output the model is shown at most, and as many of its standard error: the first half
    /// and the last. What lies between is read and forgotten, so a program may say as much as it likes. Default: 32 KiB.
    pub fn max_output_bytes(mut self, bytes: usize) -> ProcessTool {
        self.max_output_bytes = bytes;
        self
    }

    /// How long the group has between TERM and KILL. Zero gives it no time. Default: 2 s.
    pub fn term_grace(mut self, grace: Duration) -> ProcessTool {
        self.term_grace = grace;
        self
    }

    /// Makes the tool. Its [`OnCancel`] is a grace in which the group can be ended in order; with [`OnCancel::Drop`] it
    /// gets KILL at once.
    pub fn build(self) -> AnyTool {
        let usual = ToolSettings::default();
        let settings = ToolSettings {
            on_cancel: OnCancel::Grace(self.term_grace.saturating_add(GONE_LIMIT * 2)),
            // In JSON a byte may become six (`\u0000`). What is within the bounds here must never fail there.
            max_output_bytes: (self
                .max_output_bytes
                .saturating_mul(12)
                .saturating_add(4096))
            .max(usual.max_output_bytes),
            ..usual
        };
        let made = match (self.gives, self.takes_stdin) {
            (Gives::Nothing, false) => self.made::<Nothing>(),
            (Gives::Nothing, true) => self.made::<Stdin>(),
            (Gives::Args, false) => self.made::<Args>(),
            (Gives::Args, true) => self.made::<ArgsAndStdin>(),
            (Gives::Command, false) => self.made::<Command>(),
            (Gives::Command, true) => self.made::<CommandAndStdin>(),
        };
        made.with_settings(settings)
    }

    fn made<I>(self) -> AnyTool
    where
        I: Into<Given> + DeserializeOwned + JsonSchema + Send + 'static,
    {
        let plan = Arc::new(Plan {
            program: self.program,
            args: self.args,
            directory: self.directory,
            environment: environment(&self.passed, self.set),
            max_output_bytes: self.max_output_bytes,
            term_grace: self.term_grace,
        });
        tool::from_fn(
            &self.name,
            &self.about,
            move |input: I, context: ToolContext| call::run(plan.clone(), input.into(), context),
        )
    }
}

impl From<ProcessTool> for AnyTool {
    fn from(tool: ProcessTool) -> AnyTool {
        tool.build()
    }
}

// What is set in the environment may be a secret.
impl fmt::Debug for ProcessTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set: Vec<&OsStr> = self.set.iter().map(|(name, _)| name.as_os_str()).collect();
        f.debug_struct("ProcessTool")
            .field("name", &self.name)
            .field("program", &self.program)
            .field("args", &self.args)
            .field("gives", &self.gives)
            .field("takes_stdin", &self.takes_stdin)
            .field("directory", &self.directory)
            .field("env", &set)
            .field("pass_env", &self.passed)
            .field("max_output_bytes", &self.max_output_bytes)
            .field("term_grace", &self.term_grace)
            .finish_non_exhaustive()
    }
}
