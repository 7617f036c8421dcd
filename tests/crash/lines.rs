//! The lines that the killed program prints, each in one write.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    sync::{Mutex, OnceLock},
};

use quell::{RunEvent, RunId};

/// A line of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// It is about to open its store.
    Opening,
    /// Its store is open.
    Opened,
    /// What was left from before is settled.
    Ready,
    /// A subscriber saw this event.
    Saw { run: RunId, seq: u64, json: String },
    /// A call confirmed that the run's events up to this one are stored.
    Kept { run: RunId, seq: u64 },
    /// A call of a tool has started.
    Begun { run: RunId, call: String },
    /// It is about to copy its file.
    Copying(u32),
    /// The copy of this number is complete.
    Copied(u32),
    /// It is about to close its store.
    Closing,
    /// Its store is closed.
    Closed,
    /// The file could not be opened: this process has it open.
    Refused(Option<u32>),
}

impl Line {
    pub(crate) fn saw(event: &RunEvent) -> Line {
        Line::Saw {
            run: event.run_id,
            seq: event.seq,
            json: json(event),
        }
    }

    /// The line, without its end.
    pub(crate) fn text(&self) -> String {
        match self {
            Line::Opening => "opening".to_owned(),
            Line::Opened => "opened".to_owned(),
            Line::Ready => "ready".to_owned(),
            Line::Saw { run, seq, json } => format!("saw {run} {seq} {json}"),
            Line::Kept { run, seq } => format!("kept {run} {seq}"),
            Line::Begun { run, call } => format!("begun {run} {call}"),
            Line::Copying(copy) => format!("copying {copy}"),
            Line::Copied(copy) => format!("copied {copy}"),
            Line::Closing => "closing".to_owned(),
            Line::Closed => "closed".to_owned(),
            Line::Refused(Some(by)) => format!("refused {by}"),
            Line::Refused(None) => "refused".to_owned(),
        }
    }

    /// `None` for a line of the test harness.
    pub(crate) fn parse(line: &str) -> Option<Line> {
        let mut words = line.splitn(4, ' ');
        let line = match words.next()? {
            "opening" => Line::Opening,
            "opened" => Line::Opened,
            "ready" => Line::Ready,
            "saw" => Line::Saw {
                run: words.next()?.parse().ok()?,
                seq: words.next()?.parse().ok()?,
                json: words.next()?.to_owned(),
            },
            "kept" => Line::Kept {
                run: words.next()?.parse().ok()?,
                seq: words.next()?.parse().ok()?,
            },
            "begun" => Line::Begun {
                run: words.next()?.parse().ok()?,
                call: words.next()?.to_owned(),
            },
            "copying" => Line::Copying(words.next()?.parse().ok()?),
            "copied" => Line::Copied(words.next()?.parse().ok()?),
            "closing" => Line::Closing,
            "closed" => Line::Closed,
            "refused" => Line::Refused(words.next().and_then(|by| by.parse().ok())),
            _ => return None,
        };
        words.next().is_none().then_some(line)
    }
}

/// The form in which an event is printed and compared.
pub(crate) fn json(event: &RunEvent) -> String {
    serde_json::to_string(event).unwrap()
}

/// The pipe to the test that kills this process. Unset in the test itself, which prints nothing.
static PIPE: OnceLock<Mutex<File>> = OnceLock::new();

/// Opens the pipe.
pub(crate) fn open_pipe() {
    // A `File` has no buffer, unlike Rust's standard output.
    let out = io::stdout().as_fd().try_clone_to_owned().unwrap();
    PIPE.set(Mutex::new(File::from(out))).unwrap();
}

/// Prints a line at once.
pub(crate) fn say(line: &Line) {
    let Some(pipe) = PIPE.get() else { return };
    let text = line.text() + "\n";
    let said = pipe.lock().unwrap().write_all(text.as_bytes());
    if said.is_err() {
        // The test has ended, so this process is of no use any more.
        std::process::exit(1);
    }
}
