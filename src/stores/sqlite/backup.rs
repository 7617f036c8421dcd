//! A copy of the file while it is written to.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{connect, error::BackupError};

/// Copies the store at `from` to `to`, as it is at one moment.
///
/// The copy is made under another name beside it, and gets its own when it is whole and on the disk: one that was cut by a
/// crash is never taken for a whole one.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), BackupError> {
    let failed = |what: String| BackupError::Failed {
        path: to.to_owned(),
        what,
    };
    // A link that leads nowhere is something too.
    if fs::symlink_metadata(to).is_ok() {
        return Err(BackupError::Exists {
            path: to.to_owned(),
        });
    }
    let partial = Partial::beside(to);
    let name = partial.0.to_str();
    let name = name.ok_or_else(|| failed("the path is not UTF-8".to_owned()))?;
    let db = connect::reader(from).map_err(|error| failed(error.to_string()))?;
    db.execute("VACUUM INTO ?", [name])
        .map_err(|error| failed(error.to_string()))?;
    // SQLite leaves it to the system when the copy reaches the disk.
    File::open(&partial.0)
        .and_then(|file| file.sync_all())
        .map_err(|error| failed(error.to_string()))?;
    // Unlike a renaming, a link does not replace a file created meanwhile.
    match fs::hard_link(&partial.0, to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(BackupError::Exists {
                path: to.to_owned(),
            });
        }
        // Not every file system has links.
        Err(_) => {
            fs::rename(&partial.0, to).map_err(|error| failed(error.to_string()))?;
        }
    }
    sync_folder(to).map_err(|error| failed(error.to_string()))
}

/// A copy that is being made. What is left of it goes with this.
struct Partial(PathBuf);

impl Partial {
    fn beside(to: &Path) -> Partial {
        let mut name = to.as_os_str().to_owned();
        name.push(format!(".{}.partial", Uuid::now_v7().simple()));
        Partial(name.into())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // It may have been renamed, or never have been there.
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes the name of a file reach the disk.
fn sync_folder(of: &Path) -> io::Result<()> {
    match of.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        Some(_) | None => File::open(".")?.sync_all(),
    }
}
