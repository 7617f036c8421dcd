//! A copy of the file while it is written to.

use std::{fs, path::Path};

use super::{connect, error::BackupError};

/// Copies the store at `from` to `to`, as it is at one moment.
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
    let name = to
        .to_str()
        .ok_or_else(|| failed("the path is not UTF-8".to_owned()))?;
    let db = connect::reader(from).map_err(|error| failed(error.to_string()))?;
    let copied = db.execute("VACUUM INTO ?", [name]);
    if let Err(error) = copied {
        // What there is of it was made here. It may not be there at all.
        let _ = fs::remove_file(to);
        return Err(failed(error.to_string()));
    }
    // SQLite leaves it to the system when the copy reaches the disk.
    fs::File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(|error| failed(error.to_string()))
}
