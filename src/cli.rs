//! The command line: the commands, and how their errors are reported.
//!
//! Exit codes: 0 when a run completed or was cancelled, 1 when it failed or could not start, 2 for invalid arguments,
//! 130 when a second Ctrl-C ended the program at once.

mod chunk;
mod demo;
mod interrupt;
mod logs;
mod model;
#[cfg(feature = "http-models")]
mod openai;
mod report;
mod time;

use std::{
    error::Error,
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// Why a command failed, as a text for a person.
type Failure = Box<dyn Error + Send + Sync>;

/// Starts, streams and stops runs of LLM agents.
#[derive(Parser)]
#[command(version, after_help = logs::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
}

pub(crate) async fn main() -> ExitCode {
    let cli = Cli::parse();
    let answer = match logs::start() {
        Err(error) => Err(error.into()),
        Ok(()) => match cli.command {
            Command::Demo(demo) => demo.run().await,
        },
    };
    answer.unwrap_or_else(|failure| {
        if is_unread(&*failure) {
            return ExitCode::SUCCESS;
        }
        tell(format_args!(
            "error: {}",
            chunk::printable(&failure.to_string())
        ));
        ExitCode::FAILURE
    })
}

/// Prints a note on standard error, apart from the output. A failure to print it is ignored.
fn tell(words: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{words}");
}

/// Whether the reader of our output has closed the pipe, as `head` does when it has read enough.
fn is_unread(failure: &(dyn Error + Send + Sync + 'static)) -> bool {
    failure
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }
}
