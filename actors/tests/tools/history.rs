//! What must hold for every history with tool calls.

use std::collections::HashMap;

use quell_actors::{
    EventKind, NewRun, RunEvent, Runtime, cancel::ToolEnd, event::ToolFault, sim::Storyteller,
};

#[derive(Clone, Copy, Debug, Default)]
struct Call {
    started: bool,
    result: Option<Option<ToolFault>>,
    /// Whether it had no result when the cancel was accepted.
    open_at_cancel: bool,
}

/// Checks that every requested call has exactly one result, in the order requested, started, result, and no event after
/// it; that the model is never asked while a call is open; and that the receipt names each open call, and how it ended.
pub(crate) fn check(events: &[RunEvent]) {
    let mut calls: HashMap<String, Call> = HashMap::new();
    for event in events {
        let at = event.seq;
        match &event.kind {
            EventKind::ModelRequestStarted { .. } => {
                let open = calls.values().filter(|call| call.result.is_none()).count();
                assert_eq!(
                    open, 0,
                    "the model is asked at {at} with open calls: {events:#?}"
                );
            }
            EventKind::ModelRequestCompleted(completed) => {
                for call in &completed.calls {
                    let before = calls.insert(call.id.to_string(), Call::default());
                    assert!(
                        before.is_none(),
                        "the id {} comes twice: {events:#?}",
                        call.id
                    );
                }
            }
            EventKind::ToolCallStarted(call) => {
                let known = calls
                    .get_mut(&*call.id)
                    .expect("only what was asked for is started");
                assert!(
                    known.result.is_none(),
                    "{} is started after its result",
                    call.id
                );
                assert!(!known.started, "{} is started twice", call.id);
                known.started = true;
            }
            EventKind::ToolCallProgress(told) => at_work(&calls, &told.id, events),
            EventKind::ToolCallProcess(told) => at_work(&calls, &told.id, events),
            EventKind::ToolCallCompleted(done) => result(&mut calls, &done.id, None, events),
            EventKind::ToolCallError(failed) => {
                result(&mut calls, &failed.id, Some(failed.kind), events);
            }
            EventKind::CancelRequested { .. } => {
                for call in calls.values_mut() {
                    call.open_at_cancel = call.result.is_none();
                }
            }
            EventKind::Cancelled { partial } => {
                let tools = &partial.receipt.tools;
                let open = calls.values().filter(|call| call.open_at_cancel).count();
                assert_eq!(
                    tools.len(),
                    open,
                    "the receipt names each open call: {events:#?}"
                );
                for tool in tools {
                    let call = calls[&*tool.id];
                    assert!(call.open_at_cancel, "{} was not open", tool.id);
                    let fault = call.result.expect("it has a result before the ending");
                    let fits = match tool.end {
                        ToolEnd::Finished => {
                            !matches!(fault, Some(ToolFault::Cancelled | ToolFault::NotStarted))
                        }
                        ToolEnd::Stopped | ToolEnd::Abandoned => {
                            fault == Some(ToolFault::Cancelled)
                        }
                        ToolEnd::NotStarted => fault == Some(ToolFault::NotStarted),
                        ToolEnd::Unknown => fault == Some(ToolFault::UnknownOutcome),
                        other => panic!("nothing is known of {other:?}"),
                    };
                    assert!(fits, "{tool:?} has the result {fault:?}");
                }
            }
            _ => {}
        }
    }
    for (id, call) in calls {
        assert!(call.result.is_some(), "{id} has no result: {events:#?}");
    }
}

fn at_work(calls: &HashMap<String, Call>, id: &str, events: &[RunEvent]) {
    let call = calls[id];
    let at_work = call.started && call.result.is_none();
    assert!(
        at_work,
        "{id} says something while it is not at work: {events:#?}"
    );
}

fn result(
    calls: &mut HashMap<String, Call>,
    id: &str,
    fault: Option<ToolFault>,
    events: &[RunEvent],
) {
    let call = calls
        .get_mut(id)
        .expect("only what was asked for has a result");
    assert!(call.result.is_none(), "{id} has two results: {events:#?}");
    let never_begun = matches!(
        fault,
        Some(ToolFault::UnknownTool | ToolFault::NotStarted | ToolFault::Rejected)
    );
    assert!(
        call.started || never_begun,
        "{id} has a result and was not started: {events:#?}"
    );
    call.result = Some(fault);
}

/// Checks that a model as strict as a provider accepts the history of this session.
pub(crate) async fn goes_on(runtime: &Runtime, session: &str) {
    let strict = super::clerk(Storyteller::new("fine")).build().unwrap();
    let next = NewRun::new("And now?").session(session);
    let run = runtime.start(&strict, next).await.unwrap();
    let outcome = super::ended(&run).await;
    assert_eq!(outcome.text(), "fine", "{outcome:?}");
}
