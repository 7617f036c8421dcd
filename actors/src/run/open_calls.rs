//! The calls of a run that have no result yet.

use std::sync::Arc;

use crate::{
    cancel::{ToolEnd, ToolReceipt},
    event::{Decision, EventKind, ToolCallError, ToolCallProcess, ToolFault},
    message::ToolCall,
};

/// What a model is told of a call that was running when the process ended.
pub(super) const UNKNOWN_OUTCOME: &str =
    "It is not known whether the call was done: the process ended while it was at work.";

/// The calls of one run that have no result, and, after a cancel, how those ended that had none then.
#[derive(Debug, Default)]
pub(super) struct OpenCalls {
    calls: Vec<OpenCall>,
    /// How many calls there were in all.
    count: u32,
    /// Those that finished after the cancel, with their places.
    finished: Vec<(u32, ToolReceipt)>,
}

/// A call without a result.
#[derive(Debug)]
struct OpenCall {
    /// Its place among all calls of the run.
    place: u32,
    call: Arc<ToolCall>,
    stage: CallStage,
    /// The programs that it runs.
    processes: Vec<Arc<ToolCallProcess>>,
}

/// How far a call is.
#[derive(Debug)]
enum CallStage {
    /// The model asked for it. A person may have decided of it.
    Asked(Option<Decision>),
    /// It is written down that it begins. Until that is stored, it does not.
    Noted,
    Running,
    /// The cancel of its run ended it so.
    Cut(ToolEnd),
}

impl OpenCall {
    fn has_begun(&self) -> bool {
        !matches!(self.stage, CallStage::Asked(_))
    }
}

impl OpenCalls {
    /// The model asks for a call.
    pub(super) fn ask(&mut self, call: Arc<ToolCall>) {
        self.count = self.count.saturating_add(1);
        self.calls.push(OpenCall {
            place: self.count,
            call,
            stage: CallStage::Asked(None),
            processes: Vec::new(),
        });
    }

    /// It is written down that a call begins, perhaps with other arguments than the model asked for. Returns how many
    /// bytes those have.
    pub(super) fn note(&mut self, call: &Arc<ToolCall>) -> usize {
        let mut calls = self.calls.iter_mut();
        let Some(open) = calls.find(|open| open.call.id == call.id) else {
            return 0;
        };
        open.stage = CallStage::Noted;
        let is_other = open.call.arguments != call.arguments;
        open.call = call.clone();
        if is_other { call.arguments.len() } else { 0 }
    }

    /// A call is running.
    pub(super) fn run(&mut self, id: &str) {
        self.set(id, CallStage::Running);
    }

    /// What was written down to begin is running, for all that is known.
    pub(super) fn noted_run(&mut self) {
        for open in &mut self.calls {
            if matches!(open.stage, CallStage::Noted) {
                open.stage = CallStage::Running;
            }
        }
    }

    /// A call was cut with its run.
    pub(super) fn cut(&mut self, id: &str, end: ToolEnd) {
        self.set(id, CallStage::Cut(end));
    }

    fn set(&mut self, id: &str, stage: CallStage) {
        if let Some(open) = self.calls.iter_mut().find(|open| *open.call.id == *id) {
            open.stage = stage;
        }
    }

    /// A call runs a program.
    pub(super) fn runs(&mut self, process: Arc<ToolCallProcess>) {
        let mut calls = self.calls.iter_mut();
        if let Some(open) = calls.find(|open| open.call.id == process.id) {
            open.processes.push(process);
        }
    }

    /// The run goes on, after a person's decisions or after a crash. A call that had begun is made again: its approval
    /// stands.
    pub(super) fn go_on(&mut self, decisions: &[(Arc<str>, Decision)]) {
        for open in &mut self.calls {
            let decided = decisions.iter().rfind(|(id, _)| *id == open.call.id);
            if open.has_begun() {
                open.stage = CallStage::Asked(Some(Decision::Approve));
            } else if let Some((_, decision)) = decided {
                open.stage = CallStage::Asked(Some(decision.clone()));
            }
        }
    }

    /// A call has its result: an output, or a fault of this kind.
    pub(super) fn close(&mut self, id: &str, fault: Option<ToolFault>, is_cancelled: bool) {
        let Some(at) = self.calls.iter().position(|open| *open.call.id == *id) else {
            return;
        };
        let open = self.calls.remove(at);
        if is_cancelled {
            let end = match fault {
                Some(ToolFault::NotStarted) => ToolEnd::NotStarted,
                Some(_) | None => ToolEnd::Finished,
            };
            self.finished.push((open.place, receipt(&open.call, end)));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// How many calls there were in all.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Whether a call has no result.
    pub(super) fn is_open(&self, id: &str) -> bool {
        self.calls.iter().any(|open| *open.call.id == *id)
    }

    /// Whether a call is running, so that it may say something.
    pub(super) fn is_running(&self, id: &str) -> bool {
        let mut calls = self.calls.iter();
        calls.any(|open| *open.call.id == *id && matches!(open.stage, CallStage::Running))
    }

    /// Those that have begun.
    pub(super) fn begun(&self) -> impl Iterator<Item = &Arc<ToolCall>> {
        let begun = self.calls.iter().filter(|open| open.has_begun());
        begun.map(|open| &open.call)
    }

    /// Those that have not begun, and what a person has decided of them.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&Arc<ToolCall>, Option<&Decision>)> {
        self.calls.iter().filter_map(|open| match &open.stage {
            CallStage::Asked(decision) => Some((&open.call, decision.as_ref())),
            CallStage::Noted | CallStage::Running | CallStage::Cut(_) => None,
        })
    }

    /// The programs that open calls run.
    pub(super) fn processes(&self) -> impl Iterator<Item = &Arc<ToolCallProcess>> {
        self.calls.iter().flat_map(|open| &open.processes)
    }

    /// What the end of the run makes of the calls that are left: the results that they could not give themselves, and,
    /// for a receipt, how each ended. `fault` is what became of those that were running, in words for the model.
    pub(super) fn results(
        &self,
        cancelled: bool,
        fault: (ToolFault, &str),
    ) -> (Vec<EventKind>, Vec<ToolReceipt>) {
        let mut receipts = self.finished.clone();
        let mut results = Vec::with_capacity(self.calls.len());
        for open in &self.calls {
            let end = match &open.stage {
                CallStage::Asked(_) | CallStage::Noted => ToolEnd::NotStarted,
                CallStage::Running if fault.0 == ToolFault::UnknownOutcome => ToolEnd::Unknown,
                CallStage::Running => ToolEnd::Abandoned,
                CallStage::Cut(end) => *end,
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
