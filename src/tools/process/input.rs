//! The input that a model may give to a program. A tool's settings decide which of these types it takes. The model
//! reads their doc comments.

use schemars::JsonSchema;
use serde::Deserialize;

/// A model's input, in the one form that all types below convert into.
#[derive(Default)]
pub(super) struct Given {
    /// Arguments after the fixed ones.
    pub(super) args: Vec<String>,
    /// The program's standard input.
    pub(super) stdin: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    /// The arguments of the program, one each. No shell reads them.
    #[serde(default)]
    args: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Stdin {
    /// What the program reads from its standard input.
    #[serde(default)]
    stdin: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ArgsAndStdin {
    /// The arguments of the program, one each. No shell reads them.
    #[serde(default)]
    args: Vec<String>,
    /// What the program reads from its standard input.
    #[serde(default)]
    stdin: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Command {
    /// A command line for `/bin/sh`.
    command: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandAndStdin {
    /// A command line for `/bin/sh`.
    command: String,
    /// What the command reads from its standard input.
    #[serde(default)]
    stdin: String,
}

impl From<Nothing> for Given {
    fn from(Nothing {}: Nothing) -> Given {
        Given::default()
    }
}

impl From<Args> for Given {
    fn from(given: Args) -> Given {
        Given {
            args: given.args,
            stdin: String::new(),
        }
    }
}

impl From<Stdin> for Given {
    fn from(given: Stdin) -> Given {
        Given {
            args: Vec::new(),
            stdin: given.stdin,
        }
    }
}

impl From<ArgsAndStdin> for Given {
    fn from(given: ArgsAndStdin) -> Given {
        Given {
            args: given.args,
            stdin: given.stdin,
        }
    }
}

// A shell gets the command line as its last argument, after the fixed ones.
impl From<Command> for Given {
    fn from(given: Command) -> Given {
        Given {
            args: vec![given.command],
            stdin: String::new(),
        }
    }
}

impl From<CommandAndStdin> for Given {
    fn from(given: CommandAndStdin) -> Given {
        Given {
            args: vec![given.command],
            stdin: given.stdin,
        }
    }
}
