//! What people are shown of a run: the fold of its events, as far as they were read.

use std::sync::Arc;

pub use crate::transcript::Said;
use crate::{
    cancel::{Activity, Receipt},
    event::{
        Continued, Decision, EventKind, ModelRequestCompleted, RunEvent, Started, ToolFault,
        WaitingCall,
    },
    id::{RunId, Timestamp},
    message::{Message, ToolCall},
    outcome::{FinishReason, Outcome},
    status::RunStatus,
    transcript::{Transcript, Words},
    usage::Usage,
};

/// A run as its events tell it, as far as they were read: where it stands, what was asked, said and done, and what it
/// cost.
///
/// It is a fold, and nothing else: the same events give the same view, live or from the store, here or in another
/// process, whether they come at once or one by one.
///
/// ```
/// use quell_actors::{Agent, Runtime, sim::Storyteller, view::RunView};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let poet = Agent::new("poet", Storyteller::new("and the sea"));
/// let run = Runtime::new().start(&poet, "Sing.").await?;
/// let (mut view, mut events) = (RunView::new(), run.events());
/// while let Some(event) = events.next().await {
///     view.event(&event?);
/// }
/// assert_eq!(view.text(), "and the sea");
/// assert_eq!(view.messages().len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RunView {
    /// The position of the last event that was taken in; 0 before the first.
    pub seq: u64,
    /// Which run, from its first event on.
    pub run_id: Option<RunId>,
    /// What was accepted.
    pub started: Option<Arc<Started>>,
    /// When it was accepted.
    pub created_at: Option<Timestamp>,
    /// Where the run stands.
    pub status: RunStatus,
    /// What it is doing, as far as events say: neither that a model has answered and not spoken, nor that it has fallen
    /// silent, is an event. `None` once the run has ended.
    pub phase: Option<Activity>,
    /// The requests to the model, in their order.
    pub turns: Vec<Turn>,
    /// The calls of tools, in the order in which the model asked for them.
    pub calls: Vec<CallView>,
    /// The calls that the run waits with, while it is paused.
    pub waiting: Vec<WaitingCall>,
    /// When the run is cancelled unless it continues before, while it is paused.
    pub expires_at: Option<Timestamp>,
    /// Tokens used by the requests that are over; by all, once the run has ended.
    pub usage: Usage,
    /// How the run ended.
    pub outcome: Option<Outcome>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    transcript: Transcript,
    words: Words,
}

/// One request to the model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turn {
    /// Which turn of the run, from 1.
    pub turn: u32,
    /// Which attempt of the turn, from 1.
    pub attempt: u32,
    /// When the model was asked.
    pub asked_at: Timestamp,
    /// When it first said something, or thought it aloud. An answer that only calls tools has no first word.
    pub first_word_at: Option<Timestamp>,
    /// When its answer was over. `None`: it is not, or the run's ending or a crash has cut it.
    pub over_at: Option<Timestamp>,
    /// Tokens of the request, once it is over.
    pub usage: Option<Usage>,
    /// Why the model stopped.
    pub finish: Option<FinishReason>,
    /// How the request failed, if it did and was made again.
    pub fault: Option<String>,
}

/// One call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallView {
    /// The call: as it was made, or as the model asked for it.
    pub call: Arc<ToolCall>,
    /// When the model had asked for it.
    pub asked_at: Timestamp,
    /// When it was begun, the last time.
    pub begun_at: Option<Timestamp>,
    /// When it had its result.
    pub ended_at: Option<Timestamp>,
    /// Its result.
    pub outcome: Option<CallOutcome>,
    /// What its tool said last of how far it was.
    pub progress: Option<Arc<str>>,
    /// What was decided of it, if it waited for a decision.
    pub decision: Option<Decision>,
    /// Who decided that, when it is known.
    pub decided_by: Option<Arc<str>>,
}

/// The result of a tool call: what the model receives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallOutcome {
    /// Its output.
    Output(Arc<str>),
    /// It has none.
    Fault {
        /// What kind of failure.
        kind: ToolFault,
        /// What the model receives.
        words: Arc<str>,
    },
}

impl Default for RunView {
    fn default() -> RunView {
        RunView::new()
    }
}

impl RunView {
    /// Of a run of which nothing was read yet.
    pub fn new() -> RunView {
        RunView {
            seq: 0,
            run_id: None,
            started: None,
            created_at: None,
            status: RunStatus::Pending,
            phase: Some(Activity::Pending),
            turns: Vec::new(),
            calls: Vec::new(),
            waiting: Vec::new(),
            expires_at: None,
            usage: Usage::default(),
            outcome: None,
            ended_at: None,
            transcript: Transcript::new(),
            words: Words::default(),
        }
    }

    /// What was asked, without the agent's own instructions.
    pub fn input(&self) -> &[Message] {
        let started = self.started.as_ref();
        started.map_or(&[], |started| &started.input)
    }

    /// What the model has said, in all its turns. An answer that a crash had cut, and that was asked for again, is not
    /// part of it.
    pub fn text(&self) -> &str {
        &self.words.text
    }

    /// What it has thought aloud.
    pub fn reasoning(&self) -> &str {
        &self.words.reasoning
    }

    /// What the cancel did that has ended the run.
    pub fn receipt(&self) -> Option<&Receipt> {
        match self.outcome.as_ref()? {
            Outcome::Cancelled(partial) => Some(&partial.receipt),
            Outcome::Completed(_) | Outcome::Error(_) => None,
        }
    }

    /// The conversation so far, as the run's model is shown it, but for the agent's instructions and the history of the
    /// session: what was asked, answered, called and returned, an answer under way as far as it goes.
    pub fn messages(&self) -> Vec<Said> {
        self.transcript.said()
    }

    /// Records the run's next event. One that it has already is ignored, so that streams may overlap.
    pub fn event(&mut self, event: &RunEvent) {
        if event.seq <= self.seq {
            return;
        }
        self.seq = event.seq;
        self.run_id.get_or_insert(event.run_id);
        self.transcript.event_at(event);
        self.words.event(&event.kind);
        self.status = event.kind.status().unwrap_or(self.status);
        let at = event.at;
        match &event.kind {
            EventKind::Started(started) => {
                self.started = Some(started.clone());
                self.created_at = Some(at);
            }
            EventKind::ModelRequestStarted { turn, attempt, .. } => {
                self.phase = Some(Activity::Connecting);
                self.turns.push(Turn {
                    turn: *turn,
                    attempt: *attempt,
                    asked_at: at,
                    first_word_at: None,
                    over_at: None,
                    usage: None,
                    finish: None,
                    fault: None,
                });
            }
            EventKind::Content { .. } | EventKind::ReasoningContent { .. } => self.spoke(at),
            EventKind::ModelRequestCompleted(completed) => self.answered(completed, at),
            EventKind::ToolCallStarted(call) => {
                self.phase = Some(Activity::Tool);
                if let Some(open) = self.call(&call.id) {
                    open.call = call.clone();
                    open.begun_at = Some(at);
                }
            }
            EventKind::ToolCallProgress(told) => {
                if let Some(open) = self.call(&told.id) {
                    open.progress = Some(told.text.clone());
                }
            }
            EventKind::ToolCallCompleted(done) => {
                let output = CallOutcome::Output(done.output.clone());
                self.returned(&done.id, output, at);
            }
            EventKind::ToolCallError(failed) => {
                let (kind, words) = (failed.kind, failed.error.clone());
                self.returned(&failed.id, CallOutcome::Fault { kind, words }, at);
            }
            EventKind::Paused(paused) => {
                self.phase = Some(Activity::Paused);
                self.waiting = paused.calls.clone();
                self.expires_at = paused.expires_at;
            }
            EventKind::Continued(continued) => self.continued(continued),
            EventKind::Completed { .. } | EventKind::Cancelled { .. } | EventKind::Error { .. } => {
                self.phase = None;
                self.outcome = event.kind.outcome();
                self.ended_at = Some(at);
                self.usage = self.outcome.as_ref().map_or(self.usage, Outcome::usage);
                self.not_waiting();
            }
            EventKind::CancelRequested { .. } => self.not_waiting(),
            EventKind::ToolCallProcess(_) | EventKind::Steered { .. } => {}
        }
    }

    fn spoke(&mut self, at: Timestamp) {
        self.phase = Some(Activity::Streaming);
        if let Some(turn) = self.turns.last_mut() {
            turn.first_word_at.get_or_insert(at);
        }
    }

    fn answered(&mut self, completed: &ModelRequestCompleted, at: Timestamp) {
        self.usage = self.usage.plus(completed.usage);
        self.phase = Some(match (completed.retry_in_ms, &completed.calls[..]) {
            (Some(_), _) => Activity::Retrying,
            (None, []) => Activity::Starting,
            (None, _) => Activity::Tool,
        });
        if let Some(turn) = self.turns.last_mut() {
            turn.over_at = Some(at);
            turn.usage = Some(completed.usage);
            turn.finish = Some(completed.finish.clone());
            turn.fault = completed.fault.clone();
        }
        let asked = completed.calls.iter().map(|call| CallView {
            call: call.clone(),
            asked_at: at,
            begun_at: None,
            ended_at: None,
            outcome: None,
            progress: None,
            decision: None,
            decided_by: None,
        });
        self.calls.extend(asked);
    }

    fn returned(&mut self, id: &str, outcome: CallOutcome, at: Timestamp) {
        if let Some(open) = self.call(id) {
            open.outcome = Some(outcome);
            open.ended_at = Some(at);
        }
    }

    fn continued(&mut self, continued: &Continued) {
        self.phase = Some(Activity::Pending);
        self.not_waiting();
        for (id, decision) in &continued.decisions {
            if let Some(open) = self.call(id) {
                open.decision = Some(decision.clone());
                open.decided_by = continued.by.clone();
            }
        }
    }

    fn not_waiting(&mut self) {
        self.waiting.clear();
        self.expires_at = None;
    }

    /// The call of this id that has no result. The last ones are asked for most.
    fn call(&mut self, id: &str) -> Option<&mut CallView> {
        let mut calls = self.calls.iter_mut().rev();
        calls.find(|open| *open.call.id == *id && open.outcome.is_none())
    }
}

#[cfg(test)]
mod tests;
