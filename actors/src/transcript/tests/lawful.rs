//! Every run, and every list of events that is none, is shown as a conversation that a provider takes.

use std::collections::HashSet;

use proptest::{collection::vec, prelude::*};

use super::*;

/// One turn of a run: an answer in words and calls, and what becomes of the calls.
#[derive(Clone, Debug)]
struct Turn {
    attempts: usize,
    words: Vec<String>,
    calls: Vec<Planned>,
    /// Calls in this order of results.
    order: Vec<usize>,
    pauses: bool,
    crashes: bool,
    steered: Vec<String>,
}

#[derive(Clone, Debug)]
struct Planned {
    arguments: String,
    begun: bool,
    fails: bool,
}

fn planned() -> impl Strategy<Value = Planned> {
    let arguments = prop_oneof![
        Just("{}"),
        Just(""),
        Just("[]"),
        Just(r#"{"a":1}"#),
        Just("{")
    ];
    (arguments, any::<bool>(), any::<bool>()).prop_map(|(arguments, begun, fails)| Planned {
        arguments: arguments.to_owned(),
        begun,
        fails,
    })
}

fn turn() -> impl Strategy<Value = Turn> {
    let word = prop_oneof![Just(""), Just("word "), Just("\n")].prop_map(str::to_owned);
    let what = (
        1..3usize,
        vec(word, 0..4),
        vec(planned(), 0..4),
        any::<bool>(),
        prop::bool::weighted(0.2),
        vec("[a-z]{1,5}", 0..2),
    );
    what.prop_flat_map(|(attempts, words, calls, pauses, crashes, steered)| {
        let order = Just((0..calls.len()).collect::<Vec<_>>()).prop_shuffle();
        order.prop_map(move |order| Turn {
            attempts,
            words: words.clone(),
            calls: calls.clone(),
            order,
            pauses,
            crashes,
            steered: steered.clone(),
        })
    })
}

/// The events of a turn. The last one of a run asks for nothing.
fn events_of(number: usize, turn: &Turn, last: bool) -> Vec<EventKind> {
    let mut events = Vec::new();
    for _ in 1..turn.attempts {
        events.extend([asks(), failed_attempt()]);
    }
    events.push(asks());
    events.extend(turn.words.iter().map(|word| says(word)));
    if turn.crashes {
        events.extend([continued(), asks()]);
        events.extend(turn.words.iter().map(|word| says(word)));
    }
    if last {
        events.extend([request(vec![], None, None), completed()]);
        return events;
    }
    let id = |index: usize| format!("call-{number}-{index}");
    let calls: Vec<_> = turn.calls.iter().enumerate().collect();
    let asked = calls
        .iter()
        .map(|(index, call)| call_with(&id(*index), &call.arguments));
    let asked: Vec<_> = asked.collect();
    events.push(request(asked.clone(), None, None));
    if turn.pauses && !asked.is_empty() {
        let waits = Arc::new(Paused {
            calls: asked.into_iter().map(waits).collect(),
            expires_at: None,
        });
        events.extend([EventKind::Paused(waits), continued()]);
    }
    for (index, call) in &calls {
        if call.begun {
            events.push(begun(&id(*index)));
        }
    }
    for index in &turn.order {
        events.push(if turn.calls[*index].fails {
            broke(&id(*index), ToolFault::Failed, "failed")
        } else {
            done(&id(*index), "")
        });
    }
    events.extend(turn.steered.iter().map(|text| steered(text)));
    events
}

fn run() -> impl Strategy<Value = Vec<EventKind>> {
    vec(turn(), 1..5).prop_map(|turns| {
        let last = turns.len() - 1;
        let mut events = vec![started()];
        for (number, turn) in turns.iter().enumerate() {
            events.extend(events_of(number, turn, number == last));
        }
        events
    })
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Close {
    Not,
    Cancelled,
    Error,
}

/// A run that was cut somewhere, and how it was ended.
pub(crate) fn cut_run() -> impl Strategy<Value = (Vec<EventKind>, Close)> {
    let close = prop_oneof![Just(Close::Not), Just(Close::Cancelled), Just(Close::Error)];
    (run(), any::<prop::sample::Index>(), close).prop_map(|(mut events, at, close)| {
        events.truncate(1 + at.index(events.len()));
        if events.last().is_some_and(EventKind::is_last) {
            return (events, Close::Not);
        }
        let transcript = fold_all(&events);
        if !matches!(close, Close::Not) {
            for call in transcript.open_calls() {
                events.push(broke(&call.id, ToolFault::Cancelled, "cancelled"));
            }
        }
        match close {
            Close::Not => {}
            Close::Cancelled => events.extend(cancelled()),
            Close::Error => events.push(error()),
        }
        (events, close)
    })
}

/// Events in any order, most of which no run says.
fn nonsense() -> impl Strategy<Value = Vec<EventKind>> {
    let ids = || prop_oneof![Just("a"), Just("b"), Just("c")];
    let event = prop_oneof![
        Just(asks()),
        Just(says("word ")),
        Just(failed_attempt()),
        prop::sample::subsequence(vec!["a", "b", "c"], 0..=3).prop_map(|ids| answered(&ids)),
        ids().prop_map(begun),
        ids().prop_map(|id| done(id, "1")),
        ids().prop_map(|id| broke(id, ToolFault::Failed, "2")),
        Just(steered("Hurry.")),
        Just(paused(&["a"])),
        Just(continued()),
        Just(completed()),
        Just(error()),
    ];
    vec(event, 0..20)
}

/// What the strictest of providers and templates insist on.
fn check_format(messages: &[Message]) -> Result<(), String> {
    let mut rest = messages.iter();
    while let Some(message) = rest.next() {
        match message {
            Message::System { .. } | Message::User { .. } => {}
            Message::Tool { call_id, .. } => {
                return Err(format!("the result of {call_id} follows no call"));
            }
            Message::Assistant { text, calls, .. } => {
                if text.trim().is_empty() && calls.is_empty() {
                    return Err("an answer is empty".to_owned());
                }
                let mut ids = HashSet::new();
                for call in calls {
                    let arguments = serde_json::from_str::<serde_json::Value>(&call.arguments);
                    if !arguments.is_ok_and(|arguments| arguments.is_object()) {
                        return Err(format!("{} has arguments {:?}", call.id, call.arguments));
                    }
                    if !ids.insert(call.id.clone()) {
                        return Err(format!("{} is called twice", call.id));
                    }
                    match rest.next() {
                        Some(Message::Tool { call_id, .. }) if *call_id == call.id => {}
                        other => return Err(format!("{} is followed by {other:?}", call.id)),
                    }
                }
            }
        }
    }
    Ok(())
}

/// How often a question follows a question. What is steered comes in between others, and counts for none.
fn unanswered(messages: &[Message]) -> usize {
    let asks = |message: &Message| matches!(message, Message::User { .. });
    messages
        .windows(2)
        .filter(|pair| asks(&pair[0]) && asks(&pair[1]))
        .count()
}

fn fold_all(events: &[EventKind]) -> Transcript {
    let mut transcript = Transcript::new();
    for kind in events {
        transcript.event(kind);
    }
    transcript
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_is_a_conversation_that_a_provider_takes(
        (events, close) in cut_run(),
        marked: bool,
    ) {
        let transcript = fold_all(&events);
        let steered = events.iter().filter(|kind| matches!(kind, EventKind::Steered { .. })).count();
        let silent = matches!(events.last(), Some(EventKind::Completed { .. }));
        let mut history = transcript.into_history(marked);
        history.push(Message::user("And now?"));
        prop_assert_eq!(check_format(&history), Ok(()), "{:?} {:#?}", close, history);
        if marked && !silent {
            prop_assert!(unanswered(&history) <= steered, "{:#?}", history);
            let before = &history[history.len() - 2];
            let asks = matches!(before, Message::User { .. });
            prop_assert!(!asks, "the last question has no answer: {:#?}", history);
        }
        if !marked {
            let text: String = history.iter().map(Message::text).collect();
            prop_assert!(!text.contains("[This answer"), "{:#?}", history);
        }
    }

    #[test]
    fn at_every_position_a_turn_is_shown_a_conversation_that_a_provider_takes(
        (events, _) in cut_run(),
    ) {
        let mut transcript = Transcript::new();
        for kind in &events {
            transcript.event(kind);
            prop_assert_eq!(check_format(transcript.clone().messages()), Ok(()));
        }
    }

    #[test]
    fn whatever_events_come_a_provider_takes_what_is_shown(events in nonsense(), marked: bool) {
        let transcript = fold_all(&events);
        prop_assert_eq!(check_format(transcript.clone().messages()), Ok(()));
        prop_assert_eq!(check_format(&transcript.into_history(marked)), Ok(()));
    }

    /// All that was said and all results are shown, each once.
    #[test]
    fn of_a_completed_run_nothing_is_left_out(events in run(), marked: bool) {
        let transcript = fold_all(&events);
        let shown = transcript.into_history(marked);
        let results = |kind: &&EventKind| matches!(
            kind,
            EventKind::ToolCallCompleted(_) | EventKind::ToolCallError(_)
        );
        let tools = shown.iter().filter(|message| matches!(message, Message::Tool { .. }));
        prop_assert_eq!(tools.count(), events.iter().filter(results).count());
        let steered = events.iter().filter(|kind| matches!(kind, EventKind::Steered { .. }));
        let users = shown.iter().filter(|message| matches!(message, Message::User { .. }));
        prop_assert_eq!(users.count(), 1 + steered.count());
    }
}
