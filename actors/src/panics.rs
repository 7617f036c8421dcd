//! The texts of panics.

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

/// The text of a caught panic. The payload is a user's value and may panic again when it is dropped; the payload of that
/// second panic is leaked, not dropped.
pub(crate) fn last_words(panic: Box<dyn Any + Send>) -> String {
    let words = words_of(&*panic).to_owned();
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(again);
    }
    words
}
