//! What every store must do, as a check to run against your own store.
//!
//! ```
//! use quell_actors::store::{MemoryStore, conformance};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), conformance::Violation> {
//! conformance::check(&MemoryStore::default()).await
//! # }
//! ```

mod acquire;
mod append;
mod delete;
mod ground;
mod known;
mod list;
mod session;
mod told;
mod trial;

use self::ground::Ground;
use super::{ReadError, Store};

/// A rule that a store broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {what}")]
pub struct Violation {
    /// The rule.
    pub rule: &'static str,
    /// What the store did instead.
    pub what: String,
}

type Checked = Result<(), Violation>;

/// Checks `store` against every rule, with runs and sessions of new ids, which are deleted in the end. It may hold
/// other runs, and may be in use. The runs of the check are old: created before the year 2005, as they say themselves.
///
/// What is in doubt is tried again, as the runtime does; a store that stays in doubt, or is unavailable, has not
/// passed.
///
/// # Errors
///
/// The first [`Violation`] found.
///
/// # Cancel safety
///
/// Runs of the check may be left in the store when its future is dropped.
pub async fn check<S: Store>(store: &S) -> Result<(), Violation> {
    let ground = Ground::new(store);
    let checked = check_all(&ground).await;
    ground.clear().await;
    checked
}

async fn check_all<S: Store>(ground: &Ground<'_, S>) -> Checked {
    append::check(ground).await?;
    acquire::check(ground).await?;
    list::check(ground).await?;
    told::check(ground).await?;
    session::check(ground).await?;
    delete::check(ground).await?;
    known::check(ground).await
}

impl Violation {
    fn unreadable(rule: &'static str, what: &str, error: &ReadError) -> Violation {
        let what = format!("{what} failed: {error}");
        Violation { rule, what }
    }
}
