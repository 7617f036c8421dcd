//! Tokens: how many, and who says so.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::settings::{Given, Setting, decimal, required};

/// Where a number of tokens comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UsageSource {
    /// No model was asked, so there is nothing to count.
    #[default]
    None,
    /// The provider said so, and nothing was said after its number.
    Provider,
    /// Counted here, wholly or in part, at four bytes of UTF-8 a token: a cancelled stream ends before the provider
    /// says its number.
    Estimate,
}

/// An amount of money, in millionths of whatever currency the prices are in. Plain integers, so that sums are exact.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Money(u64);

impl Money {
    /// So many millionths.
    pub const fn from_millionths(millionths: u64) -> Money {
        Money(millionths)
    }

    /// So many hundredths: cents, where the currency has them.
    pub const fn from_cents(cents: u64) -> Money {
        Money(cents.saturating_mul(10_000))
    }

    /// Millionths.
    pub const fn as_millionths(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

impl Setting for Money {
    const EXPECTED: &'static str = r#"an amount such as "0.25", with at most six decimals"#;

    fn read(given: Given<'_>) -> Option<Money> {
        match given {
            Given::Text(text) => {
                let millionths = u64::try_from(decimal(text, 1_000_000)?).ok()?;
                Some(Money::from_millionths(millionths))
            }
            Given::Number(_) => None,
        }
    }

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// What a model costs, for a million tokens of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// For a million tokens that go to the model.
    #[serde(with = "required")]
    pub input: Money,
    /// For a million tokens that come from it.
    #[serde(with = "required")]
    pub output: Money,
}

impl Prices {
    /// What `usage` costs, rounded up.
    pub fn cost(&self, usage: &Usage) -> Money {
        let input = u128::from(self.input.0) * u128::from(usage.input_tokens);
        let output = u128::from(self.output.0) * u128::from(usage.output_tokens);
        let cost = input.saturating_add(output).div_ceil(1_000_000);
        Money(u64::try_from(cost).unwrap_or(u64::MAX))
    }
}

/// Tokens used, by one request or by a run over all its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens that went to the model.
    pub input_tokens: u64,
    /// Tokens that came from it.
    pub output_tokens: u64,
    /// Those of the input that the provider had read before, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_tokens: Option<u64>,
    /// Those of the input that the provider has kept for later requests, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// Those of the output that the model thought and did not say, where the provider says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Where the numbers of input and output come from.
    pub source: UsageSource,
}

impl Usage {
    /// So many tokens in and out, and nothing known of what they were.
    pub const fn new(input_tokens: u64, output_tokens: u64, source: UsageSource) -> Usage {
        Usage {
            input_tokens,
            output_tokens,
            cached_input_tokens: None,
            cache_write_tokens: None,
            reasoning_tokens: None,
            source,
        }
    }

    /// Both together. It is an estimate where one of the two is.
    pub const fn plus(self, other: Usage) -> Usage {
        Usage {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cached_input_tokens: sum(self.cached_input_tokens, other.cached_input_tokens),
            cache_write_tokens: sum(self.cache_write_tokens, other.cache_write_tokens),
            reasoning_tokens: sum(self.reasoning_tokens, other.reasoning_tokens),
            source: match (self.source, other.source) {
                (UsageSource::None, source) | (source, UsageSource::None) => source,
                (UsageSource::Provider, UsageSource::Provider) => UsageSource::Provider,
                (UsageSource::Estimate, _) | (_, UsageSource::Estimate) => UsageSource::Estimate,
            },
        }
    }

    /// All tokens, in and out.
    pub const fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

/// A sum of numbers of which each may be unknown.
const fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (known, None) | (None, known) => known,
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            UsageSource::None => return f.write_str("none: no model was asked"),
            UsageSource::Provider => "by the provider's count",
            UsageSource::Estimate => "estimated",
        };
        let (input, output) = (self.input_tokens, self.output_tokens);
        write!(f, "{input} in, {output} out, {source}")
    }
}
