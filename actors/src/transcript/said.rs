//! Messages, and where in the log of their run they were said.

use crate::{id::Timestamp, message::Message, usage::Usage};

/// Where a message was said, and what it cost: the event that made it whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Place {
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    pub(super) usage: Option<Usage>,
}

/// A message of a run, as a model is shown it, and where it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Said {
    /// The position of the event that made it whole, or the last one of an answer that is not.
    pub seq: u64,
    /// The time of that event.
    pub at: Timestamp,
    /// The message.
    pub message: Message,
    /// Tokens of the request that it answers, for an answer that is whole.
    pub usage: Option<Usage>,
}

impl Place {
    pub(super) fn said(self, message: Message) -> Said {
        Said {
            seq: self.seq,
            at: self.at,
            message,
            usage: self.usage,
        }
    }
}
