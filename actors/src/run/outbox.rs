//! How far the store has what is decided of one run: the law of its appends.
//!
//! Pure, like [`machine`](crate::machine): it holds numbers and says what is to be appended. The flusher performs it.
//!
//! Invariants, checked over every history of inputs up to a length in the tests below:
//!
//! * `stored <= sent <= decided`, and none of the three ever goes back;
//! * one append is in flight at most; an append that got no answer is repeated as it was, and nothing else is sent before;
//! * after the store was lost only a late append moves the mark, and only [`Input::Back`] ends the loss, when all is stored;
//! * each [`Input::Acquire`] is in exactly one append that the store confirms, and the epoch goes up by one with it.

#![deny(
    clippy::wildcard_enum_match_arm,
    clippy::match_wildcard_for_single_variants
)]

use crate::store::{AppendError, Expected};

/// How many events may be decided and not stored before the model is not read further.
const MAX_BACKLOG: u64 = 1024;

/// What is decided of a run's log, and how far the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outbox {
    decided: u64,
    /// The position that the last append went up to. It is in flight, or without an answer, while it is ahead of `stored`.
    sent: u64,
    stored: u64,
    /// The generation of ownership that the store has confirmed.
    epoch: u64,
    claim: Claim,
    store: Standing,
}

/// Whether the run is ours in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// It is.
    Ours,
    /// The next append takes it over.
    Due,
    /// The append in flight does.
    Asked,
}

/// How the store stands to this run.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    Sound,
    /// It did not confirm the append in flight, and is asked again.
    Doubted,
    /// It was given up, for this reason.
    Lost(AppendError),
}

/// What can happen between a log and its store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// One more event is decided.
    Decided,
    /// The next append is to take the run over.
    Acquire,
    /// What is decided may be sent.
    Send,
    /// The store is lost, and is asked once more.
    SendLate,
    /// The store confirmed the append.
    Confirmed,
    /// The store did not confirm the append, and is asked again.
    Doubt,
    /// The store is given up.
    Lose(AppendError),
    /// The store, which was lost, has everything, and nothing of the run is under way.
    Back,
}

/// What has to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing: the input makes no sense now, and changes nothing.
    Refuse,
    /// It is noted.
    Note,
    /// Everything from here on up to what was sent is to be appended.
    Append { expected: Expected, last: u64 },
}

impl Outbox {
    /// Of a log whose events up to `position` are stored, in this epoch.
    pub(super) fn at(position: u64, epoch: u64) -> Outbox {
        Outbox {
            decided: position,
            sent: position,
            stored: position,
            epoch,
            claim: Claim::Ours,
            store: Standing::Sound,
        }
    }

    /// Takes `input`, and says what is to be done.
    pub(super) fn apply(&mut self, input: Input) -> Effect {
        use self::{Input as I, Standing as S};

        let in_flight = self.sent > self.stored;
        match (&self.store, input) {
            (S::Sound | S::Doubted | S::Lost(_), I::Decided) => {
                self.decided += 1;
                Effect::Note
            }
            (S::Sound | S::Doubted | S::Lost(_), I::Acquire) => {
                self.claim = match self.claim {
                    Claim::Ours | Claim::Due => Claim::Due,
                    // The append in flight takes the run over as well as another would.
                    Claim::Asked => Claim::Asked,
                };
                Effect::Note
            }
            (S::Sound, I::Send) if !in_flight => self.send(),
            (S::Lost(_), I::SendLate) if !in_flight => self.send(),
            (S::Lost(_), I::SendLate) => self.append(),
            (S::Sound | S::Doubted, I::Confirmed) if in_flight => {
                self.confirmed();
                self.store = S::Sound;
                Effect::Note
            }
            (S::Lost(_), I::Confirmed) if in_flight => {
                self.confirmed();
                Effect::Note
            }
            (S::Sound | S::Doubted, I::Doubt) if in_flight => {
                self.store = S::Doubted;
                Effect::Note
            }
            (S::Sound | S::Doubted, I::Lose(error)) if in_flight => {
                self.store = S::Lost(error);
                Effect::Note
            }
            (S::Lost(_), I::Back) if self.stored == self.decided => {
                self.store = S::Sound;
                Effect::Note
            }
            (S::Sound, I::Send | I::SendLate | I::Confirmed | I::Doubt | I::Lose(_) | I::Back)
            | (
                S::Doubted,
                I::Send | I::SendLate | I::Confirmed | I::Doubt | I::Lose(_) | I::Back,
            )
            | (S::Lost(_), I::Send | I::Confirmed | I::Doubt | I::Lose(_) | I::Back) => {
                Effect::Refuse
            }
        }
    }

    /// Sends what is decided, unless that is nothing.
    fn send(&mut self) -> Effect {
        if self.stored == self.decided {
            return Effect::Refuse;
        }
        self.sent = self.decided;
        if self.claim == Claim::Due {
            self.claim = Claim::Asked;
        }
        self.append()
    }

    /// The append that is in flight. It is the same whenever it is repeated.
    fn append(&self) -> Effect {
        Effect::Append {
            expected: Expected {
                epoch: self.epoch,
                last: self.stored,
                acquire: self.claim == Claim::Asked,
            },
            last: self.sent,
        }
    }

    fn confirmed(&mut self) {
        self.stored = self.sent;
        if self.claim == Claim::Asked {
            self.claim = Claim::Ours;
            self.epoch += 1;
        }
    }

    /// The last position that is decided.
    pub(super) fn decided(&self) -> u64 {
        self.decided
    }

    /// The last position that the store has. Readers see up to here.
    pub(super) fn stored(&self) -> u64 {
        self.stored
    }

    /// The last position of the append in flight, if one is.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether the store has everything.
    pub(super) fn is_stored(&self) -> bool {
        self.stored == self.decided
    }

    /// Why the store was given up, if it was.
    pub(super) fn lost(&self) -> Option<&AppendError> {
        match &self.store {
            Standing::Lost(error) => Some(error),
            Standing::Sound | Standing::Doubted => None,
        }
    }

    /// Whether the store refused the start of the run, since it has a run of this id.
    pub(super) fn is_refused(&self) -> bool {
        self.stored == 0 && self.lost().is_some_and(AppendError::is_final)
    }

    /// Whether the model may be asked and read further: the run's start is stored, the run is ours, the store is not in
    /// doubt, and not too much waits for it.
    pub(super) fn has_room(&self) -> bool {
        let backlog = self.decided - self.stored;
        let ours = match self.claim {
            Claim::Ours => true,
            // Once there is something to store, another may run it until the store has confirmed that it is taken over.
            Claim::Due => backlog == 0,
            Claim::Asked => false,
        };
        self.store == Standing::Sound && self.stored > 0 && ours && backlog <= MAX_BACKLOG
    }
}

#[cfg(test)]
mod tests;
