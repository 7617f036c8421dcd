//! The killed program, from the test's side.

use std::{process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::AsyncReadExt,
    process::{Child as Process, ChildStdout},
    time::timeout,
};

use crate::{lines::Line, orders::Orders, programs::program, support::Dice};

/// Far more than any step takes, even on the slowest machine.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Child {
    process: Process,
    out: ChildStdout,
    /// All bytes that were read.
    read: Vec<u8>,
    lines: usize,
}

impl Child {
    pub(crate) fn start(orders: &Orders) -> Child {
        let this = std::env::current_exe().expect("a test knows its own path");
        let mut command = program(this);
        command.args(["child_program", "--exact", "--quiet"]);
        // The intended panics are captured there, and nothing else is printed.
        command.stderr(Stdio::null());
        orders.give(&mut command);
        let mut process = command.spawn().expect("the program starts");
        let out = process.stdout.take().expect("its output is a pipe");
        Child {
            process,
            out,
            read: Vec::new(),
            lines: 0,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id().expect("it was not waited for yet")
    }

    /// Reads what has come. Returns `false` at the end.
    async fn read(&mut self) -> bool {
        let before = self.read.len();
        self.read.reserve(64 * 1024);
        let reading = self.out.read_buf(&mut self.read);
        let read = timeout(LIMIT, reading).await.expect("it says something");
        let new = &self.read[before..];
        self.lines += new.iter().filter(|byte| **byte == b'\n').count();
        read.expect("a pipe is read") > 0
    }

    /// Reads until so many more lines have come.
    pub(crate) async fn hear(&mut self, lines: u64) {
        let until = self.lines + usize::try_from(lines).unwrap();
        while self.lines < until {
            assert!(self.read().await, "it ended: {}", self.text());
        }
    }

    /// Reads until this line has come so many times.
    pub(crate) async fn hear_of(&mut self, wanted: &Line, times: usize) {
        let wanted = wanted.text();
        let said = |text: &str| text.lines().filter(|line| *line == wanted).count();
        while said(&self.text()) < times {
            assert!(self.read().await, "it ended: {}", self.text());
        }
    }

    /// The complete lines read so far.
    pub(crate) fn heard(&self) -> Vec<Line> {
        let text = self.text();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter_map(Line::parse).collect()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }

    /// Yields up to `most` times.
    pub(crate) fn let_some_moments_pass(dice: &mut Dice, most: u64) {
        for _ in 0..dice.roll(most) {
            std::thread::yield_now();
        }
    }

    /// Kills the program. Returns all lines that it has printed.
    pub(crate) async fn kill(mut self) -> Vec<Line> {
        self.process.start_kill().expect("it is ours");
        self.rest().await
    }

    /// Waits for the end of the program. Returns all lines that it has printed.
    pub(crate) async fn rest(&mut self) -> Vec<Line> {
        while self.read().await {}
        let ended = timeout(LIMIT, self.process.wait()).await;
        ended.expect("it ends").expect("it is waited for");
        self.heard()
    }

    /// Sends a signal, such as STOP or CONT.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).unwrap();
        let id = Pid::from_raw(id).expect("no process has the id 0");
        kill_process(id, signal).expect("it is ours");
    }
}
