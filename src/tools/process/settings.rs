//! The settings of a tool that runs a program.

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

/// A tool that runs a program, and ends it together with the processes that it started.
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
/// # Output
///
/// The model gets JSON with `exit_code` or, if a signal ended the program, `signal`; with `stdout` and `stderr`; and,
/// if output was left out, with its size in bytes as `stdout_left_out` and `stderr_left_out`. **A program that fails is
/// not a failed call**: the model gets the exit code and the output. A call fails when the program cannot be started,
/// and when it is ended early; the error then contains the output until that point.
///
/// # How a program ends
///
/// The program leads a process group of its own. When the call is cancelled or takes too long, the whole group gets
/// TERM and, after [`term_grace`](ProcessTool::term_grace), KILL. When the call's future is dropped, the group gets
/// KILL at once. When the program ends by itself, all other processes of its group get KILL. After a crash of this
/// process [`end_left_over`](super::end_left_over) does the same.
///
/// Only processes that left the group are out of reach: a child with its own session or group (`setsid`, a daemon, the
/// jobs of an interactive shell), and anything that another service runs on request.
///
/// # Security
///
/// A program has all rights of this process; this is not a sandbox. No secret is put into its environment (see
/// [`env`](ProcessTool::env)), but it can read whatever its user can read, including the environment of this process
/// under `/proc`. No shell reads the arguments that a model gives, but the arguments of many programs can make them
/// write files or run other programs. See [`shell`](ProcessTool::shell) for the risks of that one.
#[must_use = "call `build` to make the tool"]
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

/// What a model may give beside standard input.
#[derive(Clone, Copy, Debug)]
enum Gives {
    Nothing,
    Args,
    Command,
}

impl ProcessTool {
    /// A tool of this name that runs `program`. A path with a slash is relative to the working directory; a name
    /// without one is searched for in the `PATH` of the program's environment. By default the model can give no input.
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

    /// A tool of this name that runs the model's command line with `/bin/sh -c`.
    ///
    /// # Security
    ///
    /// **Anyone who can send text to the model can run anything with the rights of this process**: the user, and the
    /// author of any page or file that the model reads. Use it only where that is intended, such as in a disposable
    /// container; elsewhere require a person's approval of each call ([`AnyTool::confirm`]).
    pub fn shell(name: impl Into<String>, about: impl Into<String>) -> ProcessTool {
        // `--`, because a command line may begin with a dash.
        let mut shell = ProcessTool::new(name, about, "/bin/sh").args(["-c", "--"]);
        shell.gives = Gives::Command;
        shell
    }

    /// Adds fixed arguments, before those of the model.
    pub fn args<I>(mut self, args: I) -> ProcessTool
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Lets the model give arguments, after the fixed ones. It has no effect on a [`shell`](ProcessTool::shell), where
    /// the model gives a whole command line.
    pub fn takes_args(mut self) -> ProcessTool {
        self.gives = match self.gives {
            Gives::Nothing | Gives::Args => Gives::Args,
            Gives::Command => Gives::Command,
        };
        self
    }

    /// Lets the model give the program's standard input, which is empty otherwise.
    pub fn takes_stdin(mut self) -> ProcessTool {
        self.takes_stdin = true;
        self
    }

    /// The program's working directory. Default: that of this process.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> ProcessTool {
        self.directory = Some(directory.into());
        self
    }

    /// Sets a variable of the program's environment. Otherwise the program gets only `PATH`, `HOME`, `USER`, `LOGNAME`,
    /// `LANG`, `LANGUAGE`, `LC_*`, `TZ` and `TMPDIR`, as this process has them when the tool is built, and
    /// `QUELL_CALL`, by which recovery finds it.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> ProcessTool {
        let name = name.into();
        self.set.retain(|(one, _)| *one != name);
        self.set.push((name, value.into()));
        self
    }

    /// Passes on one more variable of this process, if it is set when the tool is built.
    pub fn pass_env(mut self, name: impl Into<OsString>) -> ProcessTool {
        self.passed.push(name.into());
        self
    }

    /// How many bytes of standard output the model gets at most, and as many of standard error: half from the
    /// beginning, half from the end. The rest is read and dropped, so a program may write as much as it likes. Default:
    /// 32 KiB.
    pub fn max_output_bytes(mut self, bytes: usize) -> ProcessTool {
        self.max_output_bytes = bytes;
        self
    }

    /// The time between TERM and KILL. With zero there is no TERM. Default: 2 s.
    pub fn term_grace(mut self, grace: Duration) -> ProcessTool {
        self.term_grace = grace;
        self
    }

    /// Makes the tool. Its [`OnCancel`] is a grace that is long enough for TERM and KILL; with [`OnCancel::Drop`] the
    /// group gets KILL at once.
    pub fn build(self) -> AnyTool {
        let usual = ToolSettings::default();
        let settings = ToolSettings {
            on_cancel: OnCancel::Grace(self.term_grace.saturating_add(GONE_LIMIT * 2)),
            // In JSON one byte may become six (`\u0000`). Output within this tool's bounds must not exceed the
            // runtime's.
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

// Values in the environment may be secrets, so only their names are shown.
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
