//! Counting tokens, also where no provider says how many there were.

use crate::{
    model::ModelUsage,
    usage::{Usage, UsageSource},
};

/// What a run has used so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// What closed requests used.
    closed: Usage,
    open: Option<Open>,
}

/// The request under way.
#[derive(Debug)]
struct Open {
    asked_bytes: u64,
    /// Bytes heard since the provider last gave a number.
    said_bytes: u64,
    connected: bool,
    reported: ModelUsage,
}

/// Tokens in `bytes` of text: four bytes each, which is about right for English and too many for most other text.
const fn estimate(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

impl Tally {
    /// A model is asked, with so many bytes of messages.
    pub(crate) fn ask(&mut self, bytes: u64) {
        self.open = Some(Open::asked(bytes));
    }

    /// The request under way is over, and used so much.
    pub(crate) fn close(&mut self, usage: Usage) {
        self.open = None;
        self.closed = self.closed.plus(usage);
    }

    /// The model has answered.
    pub(crate) fn connected(&mut self) {
        if let Some(open) = &mut self.open {
            open.connected = true;
        }
    }

    /// The model said so many bytes.
    pub(crate) fn said(&mut self, bytes: u64) {
        if let Some(open) = &mut self.open {
            open.connected = true;
            open.said_bytes += bytes;
        }
    }

    /// The provider gave a number.
    pub(crate) fn reported(&mut self, usage: ModelUsage) {
        if let Some(open) = &mut self.open {
            let before = open.reported;
            open.reported = ModelUsage {
                input_tokens: usage.input_tokens.or(before.input_tokens),
                output_tokens: usage.output_tokens.or(before.output_tokens),
                cached_input_tokens: usage.cached_input_tokens.or(before.cached_input_tokens),
                cache_write_tokens: usage.cache_write_tokens.or(before.cache_write_tokens),
                reasoning_tokens: usage.reasoning_tokens.or(before.reasoning_tokens),
            };
            if usage.output_tokens.is_some() {
                open.said_bytes = 0;
            }
        }
    }

    /// What the request under way has used, if one is.
    pub(crate) fn request(&self) -> Usage {
        self.open.as_ref().map_or(Usage::default(), Open::usage)
    }

    /// What it has used if it fails now: nothing, when it was never answered.
    pub(crate) fn broken(&self) -> Usage {
        let answered = self.open.as_ref().filter(|open| open.connected);
        answered.map_or(Usage::default(), Open::usage)
    }

    /// What the run has used so far.
    pub(crate) fn total(&self) -> Usage {
        self.closed.plus(self.request())
    }

    /// What it has used if the request under way fails now.
    pub(crate) fn total_if_broken(&self) -> Usage {
        self.closed.plus(self.broken())
    }

    /// What it has used as soon as a model is asked with so many bytes of messages.
    pub(crate) fn total_if_asked(&self, bytes: u64) -> Usage {
        self.closed.plus(Open::asked(bytes).usage())
    }
}

impl Open {
    fn asked(bytes: u64) -> Open {
        Open {
            asked_bytes: bytes,
            said_bytes: 0,
            connected: false,
            reported: ModelUsage::default(),
        }
    }

    fn usage(&self) -> Usage {
        let ModelUsage {
            input_tokens,
            output_tokens,
            cached_input_tokens,
            cache_write_tokens,
            reasoning_tokens,
        } = self.reported;
        let exact = input_tokens.is_some() && output_tokens.is_some() && self.said_bytes == 0;
        Usage {
            input_tokens: input_tokens.unwrap_or(estimate(self.asked_bytes)),
            output_tokens: output_tokens
                .unwrap_or(0)
                .saturating_add(estimate(self.said_bytes)),
            cached_input_tokens,
            cache_write_tokens,
            reasoning_tokens,
            source: if exact {
                UsageSource::Provider
            } else {
                UsageSource::Estimate
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input_tokens: u64, output_tokens: u64, source: UsageSource) -> Usage {
        Usage::new(input_tokens, output_tokens, source)
    }

    fn report(input: u64, output: u64) -> ModelUsage {
        ModelUsage::new(input, output)
    }

    #[test]
    fn nothing_asked_is_nothing_used() {
        let mut tally = Tally::default();
        tally.said(100);
        tally.reported(report(1, 1));
        assert_eq!(tally.total(), Usage::default());
    }

    #[test]
    fn without_a_number_of_the_provider_it_is_an_estimate() {
        let mut tally = Tally::default();
        tally.ask(40);
        tally.said(9);
        assert_eq!(tally.total(), usage(10, 3, UsageSource::Estimate));
    }

    #[test]
    fn the_providers_last_number_counts() {
        let mut tally = Tally::default();
        tally.ask(40);
        tally.said(9);
        tally.reported(report(12, 2));
        tally.reported(report(12, 5));
        assert_eq!(tally.total(), usage(12, 5, UsageSource::Provider));
    }

    #[test]
    fn words_after_the_providers_number_make_it_an_estimate() {
        let mut tally = Tally::default();
        tally.ask(40);
        tally.reported(report(12, 5));
        tally.said(8);
        assert_eq!(tally.total(), usage(12, 7, UsageSource::Estimate));
    }

    #[test]
    fn requests_add_up_and_one_that_was_not_answered_used_nothing() {
        let mut tally = Tally::default();
        tally.ask(400);
        assert_eq!(tally.broken(), Usage::default());
        assert_eq!(tally.total_if_broken(), Usage::default());
        tally.close(tally.broken());
        assert_eq!(tally.total_if_asked(4), usage(1, 0, UsageSource::Estimate));
        tally.ask(400);
        tally.said(1);
        tally.reported(report(90, 3));
        assert_eq!(tally.request(), usage(90, 3, UsageSource::Provider));
        tally.close(tally.request());
        tally.ask(4);
        tally.connected();
        assert_eq!(tally.total(), usage(91, 3, UsageSource::Estimate));
    }
}
