//! The view of every run, cut anywhere, and of lists of events that no run says.

use proptest::prelude::*;

use super::*;
use crate::transcript::tests::lawful::cut_run;

/// The events of a run, a second apart.
fn events(kinds: &[EventKind]) -> Vec<RunEvent> {
    let run_id = RunId::new();
    let event = |(kind, seq): (&EventKind, u64)| RunEvent {
        run_id,
        seq,
        at: Timestamp::from_millis(seq * 1_000),
        kind: kind.clone(),
    };
    kinds.iter().zip(1..).map(event).collect()
}

fn view(events: &[RunEvent]) -> RunView {
    let mut view = RunView::new();
    for event in events {
        view.event(event);
    }
    view
}

/// The event as another process reads it.
fn read_again(event: &RunEvent) -> RunEvent {
    serde_json::from_str(&serde_json::to_string(event).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cut_anywhere_and_continued_a_view_is_that_of_the_whole(
        (kinds, _) in cut_run(),
        at in any::<prop::sample::Index>(),
        overlap in 0..4usize,
    ) {
        let events = events(&kinds);
        let cut = at.index(events.len() + 1);
        let mut continued = view(&events[..cut]);
        for event in &events[cut.saturating_sub(overlap)..] {
            continued.event(&read_again(event));
        }
        prop_assert_eq!(&continued, &view(&events));
        prop_assert_eq!(continued.messages(), view(&events).messages());
    }

    /// Each message was said where the view says so, at the time of that event.
    #[test]
    fn every_message_stands_at_the_event_that_said_it((kinds, _) in cut_run()) {
        let events = events(&kinds);
        for said in view(&events).messages() {
            let event = &events[said.seq as usize - 1];
            prop_assert_eq!(event.at, said.at);
            let usage = match (&said.message, &event.kind) {
                (Message::User { .. }, EventKind::Started(_) | EventKind::Steered { .. }) => None,
                (Message::Assistant { .. }, EventKind::Content { .. }) => None,
                (Message::Assistant { .. }, EventKind::ModelRequestCompleted(done)) => {
                    Some(done.usage)
                }
                (Message::Tool { call_id, .. }, EventKind::ToolCallCompleted(done))
                    if *call_id == done.id => None,
                (Message::Tool { call_id, .. }, EventKind::ToolCallError(failed))
                    if *call_id == failed.id => None,
                (message, kind) => return Err(TestCaseError::fail(
                    format!("{message:?} does not stand at {kind:?}"),
                )),
            };
            prop_assert_eq!(said.usage, usage);
        }
    }

    /// Of a run that has completed, people are shown what models are shown.
    #[test]
    fn people_are_shown_what_models_are_shown((kinds, _) in cut_run()) {
        let view = view(&events(&kinds));
        if view.status != RunStatus::Completed {
            return Ok(());
        }
        let shown: Vec<_> = view.messages().into_iter().map(|said| said.message).collect();
        let mut transcript = Transcript::new();
        for kind in &kinds {
            transcript.event(kind);
        }
        prop_assert_eq!(shown, transcript.into_history(true));
    }

    #[test]
    fn every_request_and_every_call_is_seen_once_and_those_with_an_end_have_one(
        (kinds, _) in cut_run(),
    ) {
        let view = view(&events(&kinds));
        let count = |wanted: fn(&EventKind) -> usize| kinds.iter().map(wanted).sum::<usize>();
        let asked = count(|kind| usize::from(matches!(kind, EventKind::ModelRequestStarted { .. })));
        prop_assert_eq!(view.turns.len(), asked);
        let answered = count(|kind| usize::from(matches!(kind, EventKind::ModelRequestCompleted(_))));
        let over = view.turns.iter().filter(|turn| turn.over_at.is_some()).count();
        prop_assert_eq!(over, answered);
        let called = count(|kind| match kind {
            EventKind::ModelRequestCompleted(completed) => completed.calls.len(),
            _ => 0,
        });
        prop_assert_eq!(view.calls.len(), called);
        let results = count(|kind| usize::from(matches!(
            kind,
            EventKind::ToolCallCompleted(_) | EventKind::ToolCallError(_)
        )));
        let ended = view.calls.iter().filter(|call| call.ended_at.is_some());
        prop_assert_eq!(ended.count(), results);
        prop_assert_eq!(view.phase.is_none(), view.status.is_ended());
        prop_assert_eq!(view.ended_at.is_some(), view.status.is_ended());
        prop_assert_eq!(view.waiting.is_empty(), view.status != RunStatus::Paused);
    }
}
