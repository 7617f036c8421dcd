//! Tokens: how many, and who says so.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a number of tokens comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// Tokens used by a run, over all its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens that went to the model.
    pub input_tokens: u64,
    /// Tokens that came from it.
    pub output_tokens: u64,
    /// Where the two numbers come from.
    pub source: UsageSource,
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
