//! What a run may use: the log counts as it writes, and cancels the run that has had enough.

use std::sync::{Arc, MutexGuard};

use super::Verdict;
use crate::{
    cancel::{CancelReason, CancelRequest},
    model::ModelUsage,
    run::log::{Inner, RunLog},
};

/// What an event counts towards `max_log_bytes`, beside its words.
pub(in crate::run) const EVENT_BYTES: u64 = 64;

/// The name of the limit on a log's size, as a cancel for it says.
pub(in crate::run) const MAX_LOG_BYTES: &str = "max_log_bytes";

impl RunLog {
    /// Whether the model may be asked in this turn.
    pub(in crate::run) fn has_turn(&self, turn: u32) -> bool {
        self.limits().max_turns.is_none_or(|most| turn <= most)
    }

    /// The limit on tokens or cost that the run is over, by what is counted so far.
    pub(in crate::run) fn spent(&self, inner: &Inner) -> Option<&'static str> {
        let limits = self.limits();
        if limits.max_tokens.is_none() && limits.max_cost.is_none() {
            return None;
        }
        let usage = inner.tally.total();
        if limits.max_tokens.is_some_and(|most| usage.tokens() > most) {
            return Some("max_tokens");
        }
        let cost = limits.prices?.cost(&usage);
        limits
            .max_cost
            .filter(|most| cost > *most)
            .map(|_| "max_cost")
    }

    /// Counts an event with so many bytes of words, if it still fits into the log.
    pub(in crate::run) fn charge(&self, inner: &mut Inner, words: usize) -> bool {
        let bytes = inner
            .bytes
            .saturating_add(words as u64)
            .saturating_add(EVENT_BYTES);
        let fits = bytes <= self.limits().max_bytes;
        if fits {
            inner.bytes = bytes;
        }
        fits
    }

    /// Cancels the run for a limit that it has reached.
    pub(in crate::run) fn over_budget(
        self: &Arc<Self>,
        inner: MutexGuard<'_, Inner>,
        limit: &'static str,
    ) -> Verdict {
        drop(inner);
        self.cancel(&CancelRequest::new(CancelReason::Budget).by(limit));
        Verdict::Stop
    }

    /// The provider gave a number of tokens.
    pub(crate) fn reported(self: &Arc<Self>, usage: ModelUsage) -> Verdict {
        let mut inner = self.lock();
        inner.tally.reported(usage);
        match self.spent(&inner) {
            Some(limit) => self.over_budget(inner, limit),
            None => Verdict::Go,
        }
    }
}
