//! The law of a run: which states it has, and what each input does to it.
//!
//! Pure: no clock, no task, no lock, no store. [`step`] takes an input and says what somebody else has to do. The
//! [`RunLog`](crate::run::log) asks it under its lock, so what is lawful does not depend on who is scheduled when.
//!
//! Invariants, checked over every history of inputs up to a length in the tests below:
//!
//! * [`Effect::End`] comes once at most, and nothing but [`Effect::Refuse`] comes after it;
//! * after an accepted cancel nothing is recorded, and the end is [`End::Cancelled`];
//! * a run that has spoken is never put to rest for a retry;
//! * from every state that has not ended, a cancel leads to the end without any word from a model.

#![deny(
    clippy::wildcard_enum_match_arm,
    clippy::match_wildcard_for_single_variants
)]

/// Where a run stands, as the law sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// Accepted; no slot yet.
    Queued,
    /// It has a slot; no model was asked.
    Ready,
    /// A model was asked.
    Connecting,
    /// The model has answered, and said nothing yet.
    Waiting,
    /// The model has spoken.
    Streaming,
    /// Asleep before the model is asked again.
    Resting,
    /// A cancel was accepted; what was at work is being dropped.
    Cancelling,
    /// It is over.
    Ended(End),
}

/// How a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Completed,
    Cancelled,
    Error,
}

/// What can happen to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Input {
    /// It got a slot.
    Admitted,
    /// The model is about to be asked.
    Asks,
    /// The model has answered.
    Connected,
    /// The model said something.
    Spoke,
    /// The model finished its answer.
    Finished,
    /// The request failed, and may be repeated.
    Broke,
    /// Something failed for good.
    Failed,
    /// A cancel.
    Cancel,
    /// Everything that was at work has been dropped.
    Quiet,
}

/// What has to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Effect {
    /// Nothing: the input came too late, or at the wrong time, and changes nothing.
    Refuse,
    /// Write down what happened, and go on.
    Record,
    /// Drop what is at work, then say [`Input::Quiet`].
    Drop,
    /// Write the ending down.
    End(End),
}

/// What `input` does to a run in `state`.
pub(crate) const fn step(state: State, input: Input) -> (State, Effect) {
    use self::{Effect as E, Input as I, State as S};

    match (state, input) {
        // Nothing changes an ended run.
        (
            S::Ended(_),
            I::Admitted
            | I::Asks
            | I::Connected
            | I::Spoke
            | I::Finished
            | I::Broke
            | I::Failed
            | I::Cancel
            | I::Quiet,
        ) => (state, E::Refuse),

        // Nothing works for a queued run, so a cancel has nothing to wait for.
        (S::Queued, I::Admitted) => (S::Ready, E::Record),
        (S::Queued, I::Cancel) => (S::Ended(End::Cancelled), E::End(End::Cancelled)),

        // An accepted cancel lets the run end in one way only, and nothing be said before.
        (S::Cancelling, I::Quiet | I::Failed | I::Finished) => {
            (S::Ended(End::Cancelled), E::End(End::Cancelled))
        }
        (S::Cancelling, I::Admitted | I::Asks | I::Connected | I::Spoke | I::Broke | I::Cancel) => {
            (S::Cancelling, E::Refuse)
        }
        (S::Ready | S::Connecting | S::Waiting | S::Streaming | S::Resting, I::Cancel) => {
            (S::Cancelling, E::Drop)
        }

        (
            S::Queued | S::Ready | S::Connecting | S::Waiting | S::Streaming | S::Resting,
            I::Failed,
        ) => (S::Ended(End::Error), E::End(End::Error)),

        (S::Ready | S::Resting, I::Asks) => (S::Connecting, E::Record),
        (S::Connecting, I::Connected) => (S::Waiting, E::Record),
        (S::Connecting | S::Waiting | S::Streaming, I::Spoke) => (S::Streaming, E::Record),
        (S::Connecting | S::Waiting | S::Streaming, I::Finished) => {
            (S::Ended(End::Completed), E::End(End::Completed))
        }

        // A request may be repeated only while nobody has heard anything of its answer.
        (S::Connecting | S::Waiting, I::Broke) => (S::Resting, E::Record),
        (S::Streaming, I::Broke) => (S::Ended(End::Error), E::End(End::Error)),

        // What is left makes no sense where it comes, and therefore changes nothing.
        (S::Queued, I::Asks | I::Connected | I::Spoke | I::Finished | I::Broke | I::Quiet)
        | (
            S::Ready | S::Resting,
            I::Admitted | I::Connected | I::Spoke | I::Finished | I::Broke | I::Quiet,
        )
        | (S::Connecting, I::Admitted | I::Asks | I::Quiet)
        | (S::Waiting | S::Streaming, I::Admitted | I::Asks | I::Connected | I::Quiet) => {
            (state, E::Refuse)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Effect as E, Input as I, State as S, *};

    const INPUTS: [Input; 9] = [
        I::Admitted,
        I::Asks,
        I::Connected,
        I::Spoke,
        I::Finished,
        I::Broke,
        I::Failed,
        I::Cancel,
        I::Quiet,
    ];

    /// Long enough to be admitted, ask, connect, speak, be cancelled, end, and be offered one input more.
    const LENGTH: usize = 7;

    /// Shows `check` every history of `LENGTH` inputs: each input with the state before it and what it did.
    fn every_history(check: impl Fn(&[(State, Input, State, Effect)])) {
        fn extend(
            state: State,
            history: &mut Vec<(State, Input, State, Effect)>,
            check: &impl Fn(&[(State, Input, State, Effect)]),
        ) {
            if history.len() == LENGTH {
                return check(history);
            }
            for input in INPUTS {
                let (next, effect) = step(state, input);
                history.push((state, input, next, effect));
                extend(next, history, check);
                history.pop();
            }
        }
        extend(State::Queued, &mut Vec::new(), &check);
    }

    #[test]
    fn a_run_ends_once_and_nothing_comes_after() {
        every_history(|history| {
            let mut ended = None;
            for (before, _, after, effect) in history {
                match (ended, effect) {
                    (Some(end), effect) => {
                        assert_eq!(*effect, E::Refuse, "{history:?}");
                        assert_eq!(*after, S::Ended(end), "{history:?}");
                    }
                    (None, E::End(end)) => {
                        assert_eq!(*after, S::Ended(*end), "{history:?}");
                        ended = Some(*end);
                    }
                    (None, E::Refuse | E::Record | E::Drop) => {
                        assert!(!matches!(before, S::Ended(_)), "{history:?}");
                        assert!(!matches!(after, S::Ended(_)), "{history:?}");
                    }
                }
            }
        });
    }

    #[test]
    fn after_an_accepted_cancel_nothing_is_recorded_and_the_end_is_cancelled() {
        every_history(|history| {
            let cancelled = history
                .iter()
                .position(|(.., input, _, effect)| *input == I::Cancel && *effect != E::Refuse);
            for (.., effect) in cancelled.map_or(&[][..], |at| &history[at..]) {
                assert!(
                    matches!(effect, E::Refuse | E::Drop | E::End(End::Cancelled)),
                    "{history:?}"
                );
            }
        });
    }

    #[test]
    fn only_a_cancel_ends_cancelled() {
        every_history(|history| {
            if history
                .iter()
                .any(|(.., effect)| *effect == E::End(End::Cancelled))
            {
                assert!(
                    history
                        .iter()
                        .any(|(_, input, _, effect)| *input == I::Cancel && *effect != E::Refuse),
                    "{history:?}"
                );
            }
        });
    }

    #[test]
    fn a_run_that_has_spoken_is_never_repeated() {
        every_history(|history| {
            let spoke = history
                .iter()
                .position(|(_, input, _, effect)| *input == I::Spoke && *effect == E::Record);
            for (_, input, after, effect) in spoke.map_or(&[][..], |at| &history[at..]) {
                assert_ne!(*after, S::Resting, "{history:?}");
                assert!(*input != I::Asks || *effect == E::Refuse, "{history:?}");
            }
        });
    }

    #[test]
    fn nothing_is_asked_before_a_slot_is_there() {
        every_history(|history| {
            let admitted = history
                .iter()
                .position(|(_, input, ..)| *input == I::Admitted);
            for (_, input, _, effect) in &history[..admitted.unwrap_or(history.len())] {
                assert!(
                    matches!(effect, E::Refuse | E::End(End::Error | End::Cancelled)),
                    "{input:?} {history:?}"
                );
            }
        });
    }

    #[test]
    fn a_cancel_leads_to_the_end_from_every_state() {
        every_history(|history| {
            for (_, _, state, _) in history {
                let ended = matches!(state, S::Ended(_));
                let (next, effect) = step(*state, I::Cancel);
                match effect {
                    E::Refuse => assert!(ended || *state == S::Cancelling, "{history:?}"),
                    E::Drop => {
                        let (last, effect) = step(next, I::Quiet);
                        assert_eq!(last, S::Ended(End::Cancelled), "{history:?}");
                        assert_eq!(effect, E::End(End::Cancelled), "{history:?}");
                    }
                    E::End(end) => assert_eq!(end, End::Cancelled, "{history:?}"),
                    E::Record => panic!("a cancel is no news of the model: {history:?}"),
                }
            }
        });
    }

    #[test]
    fn a_slot_and_an_answer_complete_a_run() {
        let mut state = S::Queued;
        for (input, expected) in [
            (I::Admitted, S::Ready),
            (I::Asks, S::Connecting),
            (I::Connected, S::Waiting),
            (I::Broke, S::Resting),
            (I::Asks, S::Connecting),
            (I::Connected, S::Waiting),
            (I::Spoke, S::Streaming),
            (I::Spoke, S::Streaming),
            (I::Finished, S::Ended(End::Completed)),
        ] {
            state = step(state, input).0;
            assert_eq!(state, expected, "after {input:?}");
        }
    }
}
