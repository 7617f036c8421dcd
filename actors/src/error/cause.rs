//! What was behind an error.

use std::{error::Error, fmt, sync::Arc};

/// What was behind an error of ours: the error of a store, or a text. Cheap to clone.
///
/// Its message is that of the error it was made of, and stands in the message of the error that it caused. Two are
/// equal when their messages are.
///
/// ```
/// use std::io;
///
/// use quell_actors::{error::Cause, store::WriteError};
///
/// let error = WriteError::Unavailable(Cause::new(io::Error::other("the disk is full")));
/// assert_eq!(error.to_string(), "the store is unavailable: the disk is full");
/// let WriteError::Unavailable(cause) = &error else { unreachable!() };
/// assert!(cause.downcast_ref::<io::Error>().is_some());
/// ```
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    /// Made of an error, which is kept, or of a text.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Cause {
        Cause(Arc::from(error.into()))
    }

    /// The error that it was made of, if it is of this type.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

impl From<&str> for Cause {
    fn from(text: &str) -> Cause {
        Cause::new(text)
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Cause {
        Cause::new(text)
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Cause) -> bool {
        self.0.to_string() == other.0.to_string()
    }
}

impl Eq for Cause {}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Cause {
    /// What was behind the error that it was made of: its own message is that error's.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
