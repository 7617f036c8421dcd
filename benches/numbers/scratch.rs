//! A folder for the files of a measurement.

use std::path::{Path, PathBuf};

use quell::{Runtime, stores::SqliteStore};

use crate::{Result, fleet::room_for};

/// A new folder, which goes when this does.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Result<Scratch> {
        let path = std::env::temp_dir().join(format!("quell-{name}-{}", std::process::id()));
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::create_dir(&path)?;
        Ok(Scratch(path))
    }

    /// The file of a store.
    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("runs.db")
    }

    /// A runtime for `runs` live runs that keeps them in a file here.
    pub(crate) async fn runtime(&self, runs: usize) -> Result<Runtime> {
        let store = SqliteStore::open(self.file())?;
        let builder = Runtime::builder().config(room_for(runs));
        Ok(builder.open(store).await?.0)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder that stays is no reason to fail.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
