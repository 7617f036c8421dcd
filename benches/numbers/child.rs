//! This program again, as a child process that measures, or serves, on its own.

use std::{
    io::{BufRead, BufReader, Write},
    process::{ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::Duration,
};

use crate::Result;

/// The first argument of a child.
pub(crate) const FLAG: &str = "--child";

/// How long a child may be silent before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(180);

/// A child process. It is asked by lines on its stdin, answers by lines on its stdout, and ends when its stdin is
/// closed, which the end of this process does as well.
pub(crate) struct Child {
    process: std::process::Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Child {
    pub(crate) fn start(arguments: &[&str]) -> Result<Child> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(FLAG)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = process.stdin.take();
        let stdout = process.stdout.take().ok_or("a child without a stdout")?;
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let heard = BufReader::new(stdout).lines();
            // A line that nobody wants any more is nothing to speak of.
            for line in heard.map_while(std::io::Result::ok) {
                tell.send(line).ok();
            }
        });
        Ok(Child {
            process,
            stdin,
            lines,
        })
    }

    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().ok_or("a child that was closed")?;
        writeln!(stdin, "{line}")?;
        Ok(())
    }

    /// The next line, as numbers.
    pub(crate) fn hear(&mut self) -> Result<Vec<f64>> {
        let line = self.lines.recv_timeout(PATIENCE);
        let line = line.map_err(|error| match error {
            RecvTimeoutError::Disconnected => "a child ended without an answer",
            RecvTimeoutError::Timeout => "a child does not answer",
        })?;
        let numbers = line.split_whitespace().map(str::parse);
        Ok(numbers.collect::<Result<_, _>>()?)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stdin = None;
        // It ends by itself; the wait only clears it away.
        let _ = self.process.wait();
    }
}
