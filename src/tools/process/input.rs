//! What a model may give to a program. Which of these types a tool takes is a matter of its settings; their comments are
//! what the model reads.

use schemars::JsonSchema;
use serde::Deserialize;

/// What a model gave, whatever it may give.
#[derive(Default)]
pub(super) struct Given {
    /// Arguments after those that are fixed.
    pub(super) args: Vec<String>,
    /// What the program reads.
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

// The shell that reads a command line has it as its last argument, after what is fixed.
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
