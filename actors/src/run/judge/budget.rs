//! What a run may use: the log counts as it writes, and cancels the run that has had enough.

use std::sync::{Arc, MutexGuard};

use crate::{
    cancel::{CancelReason, CancelRequest},
    model::ModelUsage,
    run::{
        facts::{NO_MORE_PROGRESS, cost},
        log::{Inner, RunLog},
        verdict::Verdict,
    },
    usage::Usage,
};

/// The name of the limit on a log's size, as a cancel for it says.
pub(super) const MAX_LOG_BYTES: &str = "max_log_bytes";

impl RunLog {
    /// Whether the model may be asked in this turn.
    pub(in crate::run) fn has_turn(&self, turn: u32) -> bool {
        let most = self.limits().and_then(|limits| limits.max_turns);
        most.is_none_or(|most| turn <= most)
    }

    /// The limit on tokens or cost that the run is over, by what is counted so far.
    pub(in crate::run) fn spent(&self, inner: &Inner) -> Option<&'static str> {
        let limits = self.limits()?;
        if limits.max_tokens.is_none() && limits.max_cost.is_none() {
            return None;
        }
        self.limit_over(&inner.facts.tally().total())
    }

    /// The limit on tokens or cost that `usage` is over.
    pub(super) fn limit_over(&self, usage: &Usage) -> Option<&'static str> {
        let limits = self.limits()?;
        if limits.max_tokens.is_some_and(|most| usage.tokens() > most) {
            return Some("max_tokens");
        }
        let most = limits.max_cost?;
        let cost = self.prices()?.cost(usage);
        (cost > most).then_some("max_cost")
    }

    /// Whether another event with so many bytes of text fits into the log, beside the messages that wait for their place.
    pub(in crate::run) fn fits(&self, inner: &Inner, text: usize) -> bool {
        self.fits_bytes(inner, cost(text))
    }

    /// Whether so many bytes more do, as events count them.
    pub(super) fn fits_bytes(&self, inner: &Inner, bytes: u64) -> bool {
        let taken = inner.facts.bytes().saturating_add(inner.steers.reserved());
        self.limits()
            .is_none_or(|limits| taken.saturating_add(bytes) <= limits.max_log_bytes)
    }

    /// A line of progress, if there is room for it in its half of the log; the first that has none is replaced by a line
    /// that says so, and is the last. The other half is left for what the run is about.
    pub(super) fn progress_that_fits(&self, inner: &Inner, text: Arc<str>) -> Option<Arc<str>> {
        let half = self.limits().map(|limits| limits.max_log_bytes / 2);
        let taken = inner.facts.progress()?;
        let fits = |text: &str| {
            let bytes = cost(text.len());
            let in_half = half.is_none_or(|half| taken.saturating_add(bytes) <= half);
            in_half && self.fits_bytes(inner, bytes)
        };
        if fits(&text) {
            return Some(text);
        }
        let last = cost(NO_MORE_PROGRESS.len());
        self.fits_bytes(inner, last)
            .then(|| NO_MORE_PROGRESS.into())
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
        inner.facts.reported(usage);
        match self.spent(&inner) {
            Some(limit) => self.over_budget(inner, limit),
            None => Verdict::Go,
        }
    }
}
