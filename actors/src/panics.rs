//! What panics say.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// The text of a panic.
pub(crate) fn words_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}

/// The text of a panic that is over. What was thrown is somebody's value, and may throw again when it is dropped; what it
/// throws then is left alone.
pub(crate) fn last_words(panic: Box<dyn Any + Send>) -> String {
    let words = words_of(&*panic).to_owned();
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(again);
    }
    words
}
