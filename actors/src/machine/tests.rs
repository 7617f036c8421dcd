use super::{Effect as E, Input as I, State as S, *};

const INPUTS: [Input; 15] = [
    I::Admitted,
    I::Asks,
    I::Connected,
    I::Spoke,
    I::Finished,
    I::Turned,
    I::Calls,
    I::Told,
    I::Returned,
    I::Pauses,
    I::Continues,
    I::Broke,
    I::Failed,
    I::Cancel,
    I::Quiet,
];

/// Long enough to be admitted, ask, speak, call, pause, continue, be admitted again, call, be cancelled and end.
const LENGTH: usize = 10;

/// An input with the state before it, the state after it, and what it did.
type Step = (State, Input, State, Effect);

/// Passes every history of up to `LENGTH` inputs to `check`. A refused input appears only as the last of a history: it
/// changes nothing (checked here), so a history that continued after it would equal one without it.
fn every_history(check: impl Fn(&[Step])) {
    fn extend(state: State, history: &mut Vec<Step>, check: &impl Fn(&[Step])) {
        for input in INPUTS {
            let (next, effect) = step(state, input);
            history.push((state, input, next, effect));
            check(history);
            if effect == E::Refuse {
                assert_eq!(next, state, "{history:?}");
            } else if history.len() < LENGTH {
                extend(next, history, check);
            }
            history.pop();
        }
    }
    extend(State::Queued, &mut Vec::new(), &check);
}

fn last(history: &[Step]) -> Step {
    *history.last().expect("a history has a step")
}

/// The position of the last accepted input that is one of `wanted`.
fn accepted(history: &[Step], wanted: &[Input]) -> Option<usize> {
    history
        .iter()
        .rposition(|(_, input, _, effect)| wanted.contains(input) && *effect != E::Refuse)
}

#[test]
fn a_run_ends_once_and_nothing_comes_after() {
    every_history(|history| {
        let (before, _, after, effect) = last(history);
        match effect {
            E::Refuse => {}
            E::End(end) => {
                assert_eq!(after, S::Ended(end), "{history:?}");
                assert!(!matches!(before, S::Ended(_)), "{history:?}");
            }
            E::Record | E::Drop => {
                assert!(!matches!(before, S::Ended(_)), "{history:?}");
                assert!(!matches!(after, S::Ended(_)), "{history:?}");
            }
        }
    });
}

#[test]
fn after_an_accepted_cancel_only_results_are_recorded_and_the_end_is_cancelled() {
    every_history(|history| {
        let Some(cancelled) = accepted(history, &[I::Cancel]) else {
            return;
        };
        for (_, input, _, effect) in &history[cancelled..] {
            let lawful = match effect {
                E::Refuse | E::Drop | E::End(End::Cancelled) => true,
                E::Record => *input == I::Returned,
                E::End(End::Completed | End::Error) => false,
            };
            assert!(lawful, "{history:?}");
        }
    });
}

#[test]
fn only_a_cancel_ends_cancelled() {
    every_history(|history| {
        if last(history).3 == E::End(End::Cancelled) {
            assert!(accepted(history, &[I::Cancel]).is_some(), "{history:?}");
        }
    });
}

#[test]
fn an_answer_that_has_spoken_is_never_repeated() {
    every_history(|history| {
        let (_, input, after, effect) = last(history);
        let spoke = accepted(history, &[I::Spoke]);
        let over = accepted(history, &[I::Turned, I::Calls]);
        if spoke > over {
            assert_ne!(after, S::Resting, "{history:?}");
            assert!(input != I::Asks || effect == E::Refuse, "{history:?}");
        }
    });
}

#[test]
fn nothing_is_asked_and_nothing_is_called_without_a_slot() {
    every_history(|history| {
        let (_, input, _, effect) = last(history);
        let admitted = accepted(history, &[I::Admitted]);
        let left = accepted(history, &[I::Pauses]);
        if admitted <= left && effect != E::Refuse {
            let lawful = matches!(input, I::Pauses | I::Continues | I::Cancel | I::Failed);
            assert!(lawful, "{history:?}");
        }
    });
}

#[test]
fn a_cancel_leads_to_the_end_from_every_state() {
    every_history(|history| {
        let (_, _, state, _) = last(history);
        let ended = matches!(state, S::Ended(_));
        let (next, effect) = step(state, I::Cancel);
        match effect {
            E::Refuse => assert!(ended || state == S::Cancelling, "{history:?}"),
            E::Drop => {
                let (last, effect) = step(next, I::Quiet);
                assert_eq!(last, S::Ended(End::Cancelled), "{history:?}");
                assert_eq!(effect, E::End(End::Cancelled), "{history:?}");
            }
            E::End(end) => assert_eq!(end, End::Cancelled, "{history:?}"),
            E::Record => panic!("a cancel is no news of the model: {history:?}"),
        }
    });
}

#[test]
fn a_paused_run_is_only_continued_or_cancelled() {
    for input in INPUTS {
        let (_, effect) = step(S::Paused, input);
        let lawful = matches!(input, I::Continues | I::Cancel);
        assert_eq!(effect != E::Refuse, lawful, "{input:?}");
    }
}

#[test]
fn a_slot_an_answer_tools_and_a_person_complete_a_run() {
    let mut state = S::Queued;
    for (input, expected) in [
        (I::Admitted, S::Ready),
        (I::Asks, S::Connecting),
        (I::Connected, S::Waiting),
        (I::Broke, S::Resting),
        (I::Asks, S::Connecting),
        (I::Connected, S::Waiting),
        (I::Spoke, S::Streaming),
        (I::Calls, S::Calling),
        (I::Told, S::Calling),
        (I::Returned, S::Calling),
        (I::Pauses, S::Paused),
        (I::Continues, S::Queued),
        (I::Admitted, S::Ready),
        (I::Calls, S::Calling),
        (I::Returned, S::Calling),
        (I::Asks, S::Connecting),
        (I::Spoke, S::Streaming),
        (I::Turned, S::Ready),
        (I::Asks, S::Connecting),
        (I::Finished, S::Ended(End::Completed)),
    ] {
        state = step(state, input).0;
        assert_eq!(state, expected, "after {input:?}");
    }
}
