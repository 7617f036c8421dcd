//! All that a run said, over all its answers.

use crate::event::EventKind;

/// What the model of one run said, and what it thought aloud. It receives the run's events one by one, from the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Words {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    /// Where the answer under way began.
    answer: Option<(usize, usize)>,
}

impl Words {
    /// Records the run's next event.
    pub(crate) fn event(&mut self, kind: &EventKind) {
        match kind {
            EventKind::Content { text } => self.text.push_str(text),
            EventKind::ReasoningContent { text } => self.reasoning.push_str(text),
            EventKind::ModelRequestStarted { .. } => {
                self.answer = Some((self.text.len(), self.reasoning.len()));
            }
            EventKind::ModelRequestCompleted(_) => self.answer = None,
            // An answer that a crash has cut is asked for again, and not said twice: as in the transcript.
            EventKind::Continued(_) => {
                if let Some((said, thought)) = self.answer.take() {
                    self.text.truncate(said);
                    self.reasoning.truncate(thought);
                }
            }
            EventKind::Started(_)
            | EventKind::ToolCallStarted(_)
            | EventKind::ToolCallProgress(_)
            | EventKind::ToolCallProcess(_)
            | EventKind::ToolCallCompleted(_)
            | EventKind::ToolCallError(_)
            | EventKind::Steered { .. }
            | EventKind::CancelRequested { .. }
            | EventKind::Paused(_)
            | EventKind::Completed { .. }
            | EventKind::Cancelled { .. }
            | EventKind::Error { .. } => {}
        }
    }
}
