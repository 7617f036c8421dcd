//! Where a run stands, and what each event does to that.

#![deny(
    clippy::wildcard_enum_match_arm,
    clippy::match_wildcard_for_single_variants
)]

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::runtime) enum Phase {
    /// It waits for its session.
    Waiting,
    /// It has its turn, and waits for a slot.
    Ready,
    /// It has a slot, and its session.
    Live,
    /// It is paused, and that is not stored yet: its slot is free, its session is not.
    Pausing,
    /// It is paused, and occupies nothing.
    Paused,
    /// It has ended, and that is not stored yet.
    Ended {
        /// It holds its session: the next run is to read how it ended.
        holds: bool,
    },
}

/// What can happen to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Event {
    /// Its session is free for it.
    Turn,
    /// A run that needs no slot takes the session first.
    Yields,
    /// It gets a slot.
    Slot,
    /// It has ended.
    Ends,
    /// It is paused.
    Pauses,
    /// That it is paused is stored.
    PauseStored,
    /// It comes in, or continues after a pause.
    Enters,
    /// Nothing of it is under way any more.
    Settles,
}

impl Phase {
    /// The phase after `event`; the same one when it comes too late, or at the wrong time.
    pub(super) const fn after(self, event: Event) -> Phase {
        use self::{Event as E, Phase as P};

        match (self, event) {
            (P::Waiting, E::Turn) => P::Ready,
            (P::Ready, E::Yields) => P::Waiting,
            // A child needs no turn where its ancestors have the session, and waits for no slot.
            (P::Waiting | P::Ready, E::Slot) => P::Live,
            (P::Live, E::Pauses) => P::Pausing,
            // The store may confirm a pause before the registry hears that it was decided.
            (P::Live | P::Pausing, E::PauseStored) => P::Paused,
            (P::Paused, E::Enters) => P::Waiting,
            // It occupies nothing, and is forgotten in the same step.
            (
                P::Waiting | P::Ready | P::Live | P::Pausing | P::Paused | P::Ended { .. },
                E::Settles,
            ) => P::Paused,
            (P::Waiting | P::Ready | P::Paused, E::Ends) => P::Ended { holds: false },
            (P::Live | P::Pausing, E::Ends) => P::Ended { holds: true },

            (P::Waiting, E::Yields | E::Pauses | E::PauseStored | E::Enters)
            | (P::Ready, E::Turn | E::Pauses | E::PauseStored | E::Enters)
            | (P::Live, E::Turn | E::Yields | E::Slot | E::Enters)
            | (P::Pausing, E::Turn | E::Yields | E::Slot | E::Pauses | E::Enters)
            | (P::Paused, E::Turn | E::Yields | E::Slot | E::Pauses | E::PauseStored)
            | (
                P::Ended { .. },
                E::Turn | E::Yields | E::Slot | E::Ends | E::Pauses | E::PauseStored | E::Enters,
            ) => self,
        }
    }

    /// Whether a run of this phase has its session.
    pub(super) const fn holds(self) -> bool {
        match self {
            Phase::Live | Phase::Pausing | Phase::Ended { holds: true } => true,
            Phase::Waiting | Phase::Ready | Phase::Paused | Phase::Ended { holds: false } => false,
        }
    }
}
