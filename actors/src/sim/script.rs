//! Which tools the storyteller calls, and when.

use std::sync::Arc;

use super::story::Source;
use crate::{message::Message, model::ToolCallDelta, outcome::FinishReason};

/// How many characters of arguments come in one piece, unless set otherwise: few, so that even short ones come in several.
const PIECE: usize = 8;

/// The tools to be called before the story is told: a list of turns, each with the calls of one answer.
#[derive(Clone, Debug)]
pub(super) struct Script {
    turns: Vec<Turn>,
    /// What is added next begins a turn of its own.
    turned: bool,
    pub(super) for_ever: bool,
    pub(super) without_ids: bool,
    /// Characters of arguments in one piece.
    pub(super) piece: usize,
}

#[derive(Clone, Debug)]
struct Turn {
    /// What is said before the calls.
    words: Source,
    /// Name and arguments.
    calls: Vec<(Arc<str>, Arc<str>)>,
}

/// What one answer is.
#[derive(Debug)]
pub(super) struct Part {
    /// Which turn it is, from 1, since a person has spoken.
    pub(super) turn: u64,
    pub(super) words: Source,
    /// What follows the words.
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
    /// What is added from here on is of the next turn.
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

    /// The answer to a conversation: the next turn of calls, or `story` when all of them have been made.
    pub(super) fn answer(&self, messages: &[Message], story: &Source) -> Part {
        let is_user = |message: &Message| matches!(message, Message::User { .. });
        let asked = messages.iter().rposition(is_user).map_or(0, |at| at + 1);
        let made = turns_made(&messages[asked..]);
        // A turn in which nothing was called is none.
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
                // Numbered through the conversation, so that no id comes twice in it.
                pieces: self.pieces(turn, turns_made(messages) + 1),
                finish: FinishReason::ToolCalls,
            },
        }
    }

    /// All pieces of the calls of one answer: of each call one with its id and name, then its arguments.
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

/// How many of these are answers with calls.
fn turns_made(messages: &[Message]) -> usize {
    let calls = |message: &&Message| !message.calls().is_empty();
    messages.iter().filter(calls).count()
}
