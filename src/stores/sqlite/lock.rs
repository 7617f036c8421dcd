//! The lock beside the file: one process writes.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use super::OpenError;

/// Held for as long as a store is open for writing. The system releases it when the process ends, however that comes.
///
/// The lock file stays: deleting it could delete another owner's lock.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of the store at `path`.
    pub(super) fn take(path: &Path) -> Result<Lock, OpenError> {
        let beside = beside(path);
        let options = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&beside);
        let mut file = options.map_err(|error| OpenError::io(path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse {
                    path: path.to_owned(),
                    by: owner(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(OpenError::io(path, error)),
        }
        // Who has it is only for people to read, so a disk without room for the number is no reason to fail.
        let told = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        if let Err(error) = told {
            tracing::warn!(path = %beside.display(), %error, "the lock file does not say whose it is");
        }
        Ok(Lock { file })
    }
}

impl Drop for Lock {
    /// Closing the file would not do: a program that another thread is just starting has it open too, until it has become
    /// that program.
    fn drop(&mut self) {
        // Where it cannot be unlocked, closing it does that in a moment.
        let _ = self.file.unlock();
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    PathBuf::from(beside)
}

/// The process that has the lock, as it wrote it there.
fn owner(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
