//! The calls of a run that have no result yet.

use std::sync::Arc;

use crate::{
    cancel::{ToolEnd, ToolReceipt},
    event::{Decision, EventKind, ToolCallError, ToolFault},
    message::ToolCall,
};

/// What a model is told of a call that was at work when the process ended.
pub(super) const UNKNOWN_OUTCOME: &str =
    "It is not known whether the call was done: the process ended while it was at work.";

/// The calls of one run that have no result, and, after a cancel, how those ended that had none then.
#[derive(Debug, Default)]
pub(super) struct OpenCalls {
    calls: Vec<OpenCall>,
    /// How many calls there were in all.
    pub(super) count: u32,
    /// Those that came to an end after the cancel, with their places.
    finished: Vec<(u32, ToolReceipt)>,
}

/// A call without a result.
#[derive(Debug)]
pub(super) struct OpenCall {
    /// Its place among all calls of the run.
    place: u32,
    pub(super) call: Arc<ToolCall>,
    /// It is written down that it begins. It is at work from when that is stored.
    pub(super) begun: bool,
    /// What a person has decided of it.
    pub(super) decision: Option<Decision>,
    /// How the cancel of its run ended it, as far as that is known.
    pub(super) end: Option<ToolEnd>,
}

impl OpenCall {
    /// The call is to be made again, since nobody knows what became of it. Whoever approved it has approved it.
    pub(super) fn again(&mut self) {
        self.begun = false;
        self.decision = Some(Decision::Approve);
    }
}

impl OpenCalls {
    /// The model asks for a call.
    pub(super) fn ask(&mut self, call: Arc<ToolCall>) {
        self.count = self.count.saturating_add(1);
        self.calls.push(OpenCall {
            place: self.count,
            call,
            begun: false,
            decision: None,
            end: None,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &OpenCall> {
        self.calls.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut OpenCall> {
        self.calls.iter_mut()
    }

    /// Writes down that a call begins. Until it does, what can be said of it is that it has not.
    pub(super) fn begin(&mut self, call: &Arc<ToolCall>) {
        if let Some(open) = self.get_mut(&call.id) {
            open.call = call.clone();
            open.begun = true;
            open.end = Some(ToolEnd::NotStarted);
        }
    }

    /// A call is at work.
    pub(super) fn at_work(&mut self, id: &str) {
        if let Some(open) = self.get_mut(id) {
            open.end = None;
        }
    }

    /// Whether a call is at work, so that it may say something.
    pub(super) fn is_at_work(&self, id: &str) -> bool {
        let mut calls = self.calls.iter();
        calls.any(|open| *open.call.id == *id && open.begun && open.end.is_none())
    }

    /// Those that have not begun.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &OpenCall> {
        self.calls.iter().filter(|open| !open.begun)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut OpenCall> {
        self.calls.iter_mut().find(|open| *open.call.id == *id)
    }

    /// A call has its result.
    pub(super) fn close(&mut self, id: &str) -> Option<OpenCall> {
        let at = self.calls.iter().position(|open| *open.call.id == *id)?;
        Some(self.calls.remove(at))
    }

    /// A call has come to its end after the cancel.
    pub(super) fn finished_late(&mut self, call: &OpenCall, end: ToolEnd) {
        self.finished.push((call.place, receipt(&call.call, end)));
    }

    /// Closes what is left when the run ends: the results that the calls could not give themselves, and, for a receipt,
    /// how each ended. `fault` is what became of those that were at work, in words for the model.
    pub(super) fn close_all(
        &mut self,
        cancelled: bool,
        fault: (ToolFault, &str),
    ) -> (Vec<EventKind>, Vec<ToolReceipt>) {
        let mut receipts = std::mem::take(&mut self.finished);
        let mut results = Vec::with_capacity(self.calls.len());
        for open in std::mem::take(&mut self.calls) {
            let end = match (open.begun, open.end) {
                (false, _) => ToolEnd::NotStarted,
                (true, Some(end)) => end,
                (true, None) if fault.0 == ToolFault::UnknownOutcome => ToolEnd::Unknown,
                (true, None) => ToolEnd::Abandoned,
            };
            let (kind, words) = match end {
                ToolEnd::NotStarted if cancelled => (
                    ToolFault::NotStarted,
                    "The call was not begun: the run was cancelled.",
                ),
                ToolEnd::NotStarted => (
                    ToolFault::NotStarted,
                    "The call was not begun: the run had failed.",
                ),
                ToolEnd::Unknown => (ToolFault::UnknownOutcome, UNKNOWN_OUTCOME),
                ToolEnd::Finished | ToolEnd::Stopped | ToolEnd::Abandoned => fault,
            };
            results.push(tool_error(&open.call, kind, words));
            receipts.push((open.place, receipt(&open.call, end)));
        }
        // In the order in which they were asked for.
        receipts.sort_by_key(|(place, _)| *place);
        let receipts = receipts.into_iter().map(|(_, receipt)| receipt).collect();
        (results, receipts)
    }
}

fn receipt(call: &ToolCall, end: ToolEnd) -> ToolReceipt {
    ToolReceipt {
        id: call.id.clone(),
        name: call.name.clone(),
        end,
    }
}

/// The result of a call that has no output.
pub(super) fn tool_error(
    call: &ToolCall,
    kind: ToolFault,
    words: impl Into<Arc<str>>,
) -> EventKind {
    EventKind::ToolCallError(Arc::new(ToolCallError {
        id: call.id.clone(),
        kind,
        error: words.into(),
    }))
}
