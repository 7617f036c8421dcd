//! What must hold for the stored events of a run, whenever its process was killed.

use std::collections::{BTreeMap, BTreeSet};

use quell::{EventKind, RunEvent, RunStatus};

/// What is wrong with a history. If `settled`, its run must have ended or wait for a person.
pub(crate) fn faults_of(events: &[RunEvent], settled: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            faults.push(what.to_owned());
        }
    };
    let contiguous = events.iter().zip(1..).all(|(event, n)| event.seq == n);
    expect(contiguous, "a position is missing");
    let begins = matches!(
        events.first().map(|event| &event.kind),
        Some(EventKind::Started(_))
    );
    expect(begins, "it does not begin with its start");
    let endings = events.iter().filter(|event| event.is_last()).count();
    let ended = events.last().is_some_and(RunEvent::is_last);
    expect(endings <= 1, "it has two endings");
    expect((endings == 1) == ended, "something comes after its ending");
    let status = status_of(events);
    let rests = ended || status == Some(RunStatus::Paused);
    expect(rests || !settled, "it has no ending");

    let cancelled = events
        .iter()
        .position(|event| matches!(event.kind, EventKind::CancelRequested { .. }));
    if let Some(at) = cancelled {
        let produced = events[at..].iter().any(|event| is_produced(&event.kind));
        expect(!produced, "something was produced after its cancel");
    }
    let ends_cancelled = status == Some(RunStatus::Cancelled);
    expect(
        !ended || ends_cancelled == cancelled.is_some(),
        "its ending says another thing than its cancel",
    );
    for fault in faults_of_calls(events, ended) {
        expect(false, &fault);
    }
    faults
}

/// The fold of a run's events.
pub(crate) fn status_of(events: &[RunEvent]) -> Option<RunStatus> {
    events.iter().rev().find_map(|event| event.kind.status())
}

fn is_produced(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::Content { .. }
            | EventKind::ReasoningContent { .. }
            | EventKind::ModelRequestStarted { .. }
            | EventKind::ToolCallStarted(_)
            | EventKind::Continued(_)
    )
}

/// Each requested call of an ended run has exactly one result, and no other call has one.
fn faults_of_calls(events: &[RunEvent], ended: bool) -> Vec<String> {
    let mut results: BTreeMap<&str, u32> = BTreeMap::new();
    let mut faults = Vec::new();
    for event in events {
        let id = match &event.kind {
            EventKind::ModelRequestCompleted(completed) => {
                for call in &completed.calls {
                    if results.insert(&call.id, 0).is_some() {
                        faults.push(format!("two calls are {}", call.id));
                    }
                }
                continue;
            }
            EventKind::ToolCallStarted(call) => {
                if results.get(&*call.id) != Some(&0) {
                    faults.push(format!("call {} began out of turn", call.id));
                }
                continue;
            }
            EventKind::ToolCallCompleted(done) => &done.id,
            EventKind::ToolCallError(failed) => &failed.id,
            _ => continue,
        };
        match results.get_mut(&**id) {
            Some(results) => *results += 1,
            None => faults.push(format!("nobody asked for call {id}")),
        }
    }
    for (id, results) in results {
        if results > 1 || (ended && results == 0) {
            faults.push(format!("call {id} has {results} results"));
        }
    }
    faults
}

/// How many calls have started and have no result.
pub(crate) fn calls_at_work(events: &[RunEvent]) -> usize {
    let mut begun = BTreeSet::new();
    for event in events {
        match &event.kind {
            EventKind::ToolCallStarted(call) => begun.insert(&call.id),
            EventKind::ToolCallCompleted(done) => begun.remove(&done.id),
            EventKind::ToolCallError(failed) => begun.remove(&failed.id),
            _ => continue,
        };
    }
    begun.len()
}
