//! The task of the killed program, which it reads from its environment.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::process::Command;

const VARIABLE: &str = "QUELL_CRASH_ORDERS";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Recovers, and starts runs until it is killed.
    Work,
    /// The same, with a store that confirms before it has stored.
    Lie,
    /// The same, and copies the file again and again.
    Copy,
    /// The same, and closes its store and opens it again.
    Close,
    /// Has runs that wait for their sessions.
    Wait,
    /// The same, with a store whose commits reach the disk.
    WaitForDisk,
    /// Prints whether the file can be opened, and ends.
    Try,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) task: Task,
    pub(crate) file: PathBuf,
    /// How many runs are active at a time.
    pub(crate) lives: u64,
    pub(crate) seed: u64,
}

impl Orders {
    pub(crate) fn new(task: Task, file: &Path, seed: u64) -> Orders {
        Orders {
            task,
            file: file.to_owned(),
            lives: 24,
            seed,
        }
    }

    /// The orders of this process, if it is the killed program.
    pub(crate) fn taken() -> Option<Orders> {
        let orders = std::env::var(VARIABLE).ok()?;
        Some(serde_json::from_str(&orders).unwrap())
    }

    pub(crate) fn give(&self, command: &mut Command) {
        command.env(VARIABLE, serde_json::to_string(self).unwrap());
    }
}
