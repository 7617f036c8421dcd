//! Temporary folders, the state of processes, and waits with a limit.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use quell::{ToolContext, event::ToolFault, tool::AnyTool, tools::ProcessTool};
use serde_json::Value;

/// A folder that is deleted with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("quell-process-tool-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn has(&self, file: &str) -> bool {
        self.0.join(file).exists()
    }

    /// Waits for a file with a complete line, and returns the line.
    pub(crate) async fn line(&self, file: &str) -> String {
        let mut line = String::new();
        until(|| {
            line = fs::read_to_string(self.0.join(file)).unwrap_or_default();
            line.ends_with('\n')
        })
        .await;
        line.trim().to_owned()
    }

    /// The same, for a number.
    pub(crate) async fn number(&self, file: &str) -> u32 {
        self.line(file).await.parse().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Waits until `is_so`.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

/// Runs a test with a time limit.
pub(crate) async fn guarded<T>(test: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, test)
        .await
        .expect("the test hangs")
}

/// A shell with this script and the folder as working directory. The shell leads the group, and `$$` is its id.
pub(crate) fn script(folder: &Folder, script: &str) -> ProcessTool {
    ProcessTool::new("script", "Runs a script.", "sh")
        .args(["-c", script])
        .directory(folder.path())
}

/// Calls a tool outside any run, and returns what the model would get.
pub(crate) async fn call(tool: impl Into<AnyTool>, arguments: &str) -> Result<Value, String> {
    let (context, _tell) = ToolContext::alone("call-1");
    let told = tool.into().call(arguments, context).await;
    told.map(|text| serde_json::from_str(&text).unwrap())
        .map_err(|(fault, text)| match fault {
            ToolFault::Failed => text.to_string(),
            other => format!("{other:?}: {text}"),
        })
}

/// State and group of a process, if it exists.
pub(crate) fn state(pid: u32) -> Option<(char, u32)> {
    let line = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let line = String::from_utf8_lossy(&line).into_owned();
    let mut fields = line.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(1)?.parse().ok()?))
}

/// The start time of a process, in clock ticks.
pub(crate) fn started(pid: u32) -> u64 {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = line.rsplit_once(')').unwrap().1;
    fields
        .split_ascii_whitespace()
        .nth(19)
        .unwrap()
        .parse()
        .unwrap()
}

pub(crate) fn is_alive(pid: u32) -> bool {
    state(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// What `alive` returns for a group that is gone.
pub(crate) const NOBODY: [u32; 0] = [];

/// The live processes of a group.
pub(crate) fn alive(group: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap();
    all.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .filter(|pid| state(*pid).is_some_and(|(_, of)| of == group) && is_alive(*pid))
        .collect()
}
