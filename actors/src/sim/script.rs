//! Which tools the storyteller calls, and when.

use std::sync::Arc;

use super::story::Source;
use crate::{message::Message, model::ToolCallDelta, outcome::FinishReason};

/// How many characters of arguments one piece has by default: few, so that even short arguments come in several pieces.
const PIECE: usize = 8;

/// The calls to make before the story is told: a list of turns, each with the calls of one answer.
#[derive(Clone, Debug)]
pub(super) struct Script {
    turns: Vec<Turn>,
    /// Whether the next addition starts a new turn.
    turned: bool,
    pub(super) for_ever: bool,
    pub(super) without_ids: bool,
    /// Characters of arguments in one piece.
    pub(super) piece: usize,
}

#[derive(Clone, Debug)]
struct Turn {
    /// The text before the calls.
    words: Source,
    /// Name and arguments.
    calls: Vec<(Arc<str>, Arc<str>)>,
}

/// The content of one answer.
#[derive(Debug)]
pub(super) struct Part {
    /// The number of this turn, from 1, since the last user message.
    pub(super) turn: u64,
    pub(super) words: Source,
    /// The pieces of calls after the words.
    pub(super) pieces: Vec<ToolCallDelta>,
    pub(super) finish: FinishReason,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            turns: Vec::new(),
            turned: true,
            for_ever: false,
            without_ids: false,
            piece: PIECE,
        }
    }
}

impl Script {
    /// Later additions belong to the next turn.
    pub(super) fn turn(&mut self) {
        self.turned = true;
    }

    pub(super) fn call(&mut self, name: &str, arguments: &str) {
        let call = (name.into(), arguments.into());
        self.current().calls.push(call);
    }

    pub(super) fn say(&mut self, text: &str) {
        self.current().words = Source::text(text);
    }

    fn current(&mut self) -> &mut Turn {
        if self.turned || self.turns.is_empty() {
            self.turned = false;
            self.turns.push(Turn {
                words: Source::text(""),
                calls: Vec::new(),
            });
        }
        let last = self.turns.len() - 1;
        &mut self.turns[last]
    }

    /// The answer to a conversation: the next turn of calls, or `story` once all of them have been made.
    pub(super) fn answer(&self, messages: &[Message], story: &Source) -> Part {
        let is_user = |message: &Message| matches!(message, Message::User { .. });
        let asked = messages.iter().rposition(is_user).map_or(0, |at| at + 1);
        let made = turns_made(&messages[asked..]);
        // A turn without calls does not count.
        let mut turns = self.turns.iter().filter(|turn| !turn.calls.is_empty());
        let turn = match turns.clone().nth(made) {
            None if self.for_ever => turns.next_back(),
            turn => turn,
        };
        let number = made as u64 + 1;
        match turn {
            None => Part {
                turn: number,
                words: story.clone(),
                pieces: Vec::new(),
                finish: FinishReason::Stop,
            },
            Some(turn) => Part {
                turn: number,
                words: turn.words.clone(),
                // Numbered over the whole conversation, so that ids are unique in it.
                pieces: self.pieces(turn, turns_made(messages) + 1),
                finish: FinishReason::ToolCalls,
            },
        }
    }

    /// All pieces of the calls of one answer: for each call, a piece with its id and name, then its arguments.
    fn pieces(&self, turn: &Turn, number: usize) -> Vec<ToolCallDelta> {
        let mut pieces = Vec::new();
        for (index, (name, arguments)) in (0..).zip(&turn.calls) {
            pieces.push(ToolCallDelta {
                index,
                id: (!self.without_ids).then(|| format!("call-{number}-{index}")),
                name: Some(name.to_string()),
                arguments: String::new(),
            });
            let mut rest = &**arguments;
            while !rest.is_empty() {
                let end = rest.char_indices().nth(self.piece.max(1));
                let (piece, tail) = rest.split_at(end.map_or(rest.len(), |(end, _)| end));
                pieces.push(ToolCallDelta {
                    index,
                    arguments: piece.to_owned(),
                    ..ToolCallDelta::default()
                });
                rest = tail;
            }
        }
        pieces
    }
}

/// How many of these messages are answers with calls.
fn turns_made(messages: &[Message]) -> usize {
    let calls = |message: &&Message| !message.calls().is_empty();
    messages.iter().filter(calls).count()
}
