//! The rows of the table.

mod burst;
mod cancel_all;
mod cancels;
mod chunk;
#[cfg(feature = "http-models")]
mod close;
mod fair;
#[cfg(feature = "http-models")]
mod http;
mod memory;
#[cfg(feature = "sqlite")]
mod recover;
#[cfg(feature = "sqlite")]
mod stored;
mod subscribers;

use crate::{Result, options::Options, table::Table};

/// Measures one row, or a few that go together.
type Row = fn(&Options, &mut Table) -> Result<()>;

/// All rows, by the name they are chosen by.
pub(crate) const ALL: &[(&str, Row)] = &[
    ("chunk", chunk::row),
    ("linked", chunk::linked),
    #[cfg(feature = "http-models")]
    ("http", http::row),
    ("cancel", cancels::streaming),
    ("silent", cancels::silent),
    #[cfg(feature = "http-models")]
    ("close", close::row),
    ("fair", fair::row),
    ("burst", burst::row),
    ("all", cancel_all::row),
    ("memory", memory::row),
    ("many", cancels::many),
    ("subscribers", subscribers::row),
    #[cfg(feature = "sqlite")]
    ("stored", stored::row),
    #[cfg(feature = "sqlite")]
    ("token", stored::token),
    #[cfg(feature = "sqlite")]
    ("cancel-stored", stored::cancel),
    #[cfg(feature = "sqlite")]
    ("recover", recover::row),
];

/// What a child process does, by its arguments.
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.split_first() {
        Some((&"cancels", rest)) => cancels::child(rest),
        Some((&"run-memory", rest)) => memory::run_child(rest),
        Some((&"event-memory", rest)) => memory::event_child(rest),
        #[cfg(feature = "sqlite")]
        Some((&"recover", rest)) => recover::child(rest),
        #[cfg(feature = "http-models")]
        Some((&"sse-server", _)) => crate::sse_server::child(),
        #[cfg(feature = "http-models")]
        Some((&"http", rest)) => http::child(rest),
        #[cfg(feature = "http-models")]
        Some((&"close", rest)) => close::child(rest),
        Some(_) | None => Err(format!("no child does {arguments:?}").into()),
    }
}
