//! How often a request that failed is repeated.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{model::Retry, settings::required};

/// How often a request that failed is repeated, and how long the run sleeps before. Only requests of which nothing was
/// heard yet are repeated, and only for errors that allow it.
///
/// The pause before the n-th repetition is `base` x 2^(n-1), at most `cap`, less up to a quarter of it at random; a
/// pause that the provider asks for takes its place. These are the rules of the official OpenAI clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// How many times at most. Default: 2.
    pub max_retries: u32,
    /// The first pause. Default: 0.5 s.
    #[serde(with = "required")]
    pub base: Duration,
    /// The longest pause. Default: 8 s.
    #[serde(with = "required")]
    pub cap: Duration,
    /// The longest pause that a provider may ask for; one that asks for more has failed. Default: 120 s.
    #[serde(with = "required")]
    pub longest_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            max_retries: 2,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(8),
            longest_wait: Duration::from_secs(120),
        }
    }
}

impl RetryPolicy {
    /// No request is repeated.
    pub fn none() -> RetryPolicy {
        RetryPolicy {
            max_retries: 0,
            ..RetryPolicy::default()
        }
    }

    /// How long to sleep before attempt `attempt + 1`, when attempt number `attempt` (from 1) failed; `None` when that
    /// was the last. `noise` decides the jitter, so that the same noise gives the same pause.
    pub(crate) fn pause(&self, attempt: u32, retry: Retry, noise: u64) -> Option<Duration> {
        if attempt > self.max_retries {
            return None;
        }
        match retry {
            Retry::Never => None,
            Retry::After(wait) => (wait <= self.longest_wait).then_some(wait),
            Retry::Backoff => {
                let doubled = 1u32.checked_shl(attempt - 1).unwrap_or(u32::MAX);
                let pause = self.base.saturating_mul(doubled).min(self.cap);
                let share = u32::try_from(noise % 1024).unwrap_or(0);
                Some(pause - (pause / 4).saturating_mul(share) / 1024)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_obey_the_provider() {
        let policy = RetryPolicy {
            max_retries: 9,
            ..RetryPolicy::default()
        };
        let seconds = |s: f64| Some(Duration::from_secs_f64(s));
        for (attempt, retry, noise, expected) in [
            (1, Retry::Backoff, 0, seconds(0.5)),
            (2, Retry::Backoff, 0, seconds(1.0)),
            (5, Retry::Backoff, 0, seconds(8.0)),
            (9, Retry::Backoff, 0, seconds(8.0)),
            (1, Retry::Backoff, 512, seconds(0.4375)),
            (1, Retry::After(Duration::from_secs(7)), 0, seconds(7.0)),
            (1, Retry::After(Duration::from_secs(120)), 0, seconds(120.0)),
            (1, Retry::After(Duration::from_secs(121)), 0, None),
            (1, Retry::Never, 0, None),
            (10, Retry::Backoff, 0, None),
        ] {
            assert_eq!(
                policy.pause(attempt, retry, noise),
                expected,
                "attempt {attempt}, {retry:?}"
            );
        }
        assert_eq!(RetryPolicy::none().pause(1, Retry::Backoff, 0), None);
    }
}
