//! The numbers that Quell promises, measured: `cargo bench`.
//!
//! One table: what, how much may be, what Quell needs, what the control needs, their ratio, and whether it is enough.
//! The **control** is the loop a careful engineer would write by hand for the same work: one task for each run with one
//! `CancellationToken`, each word sent to one reader over a bounded channel; no actors, no log, no store. It reads the
//! same simulated model, or the same bytes over the same HTTP client, on the same threads.
//!
//! Other work on the machine disturbs both alike: what is compared is measured in turns, a *pair* is Quell and the
//! control right after each other, and a ratio is the median over the pairs, with its range. Cost is the process's CPU
//! time, not the wall's. What must not be blurred by what was there before, or by the other side, is measured in child
//! processes, which are this program again with other arguments.
//!
//! ```text
//! cargo bench                      everything, about four minutes
//! cargo bench -- chunk silent      these rows
//! cargo bench -- --quick           all of it, small and short: shows that it works, proves nothing
//! ```
//!
//! A figure that falls short says `short`, and the exit code is 0 all the same, because machines differ. It is 1 when
//! something is broken, such as a run that does not end.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table on stdout, and how far it is on stderr, are what this program is for"
)]

mod child;
mod clocks;
mod fleet;
#[cfg(feature = "http-models")]
mod http_control;
mod options;
mod rows;
mod samples;
#[cfg(feature = "sqlite")]
mod scratch;
#[cfg(feature = "http-models")]
mod sse_server;
mod stories;
mod table;

use std::{error::Error, process::ExitCode};

use self::{options::Options, table::Table};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((first, rest)) if first == child::FLAG => rows::child(rest),
        Some(_) | None => Options::read(&arguments).and_then(|options| measure(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("broken: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<()> {
    let mut table = Table::default();
    let load_before = clocks::load();
    for (name, row) in rows::ALL {
        if options.wants(name) {
            eprintln!("measuring {name} ..");
            row(options, &mut table)?;
        }
    }
    println!("{table}");
    println!(
        "cores: {}, load before: {load_before}, after: {}",
        clocks::cores(),
        clocks::load()
    );
    println!(
        "figures are medians, with the range over {} interleaved pairs unless said",
        options.pairs()
    );
    if options.quick {
        println!("quick: too small and too short to judge by");
    }
    Ok(())
}
