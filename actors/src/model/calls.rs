//! The calls of one answer, put together from their pieces.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::ToolCallDelta;
use crate::message::ToolCall;

/// A model that calls more tools than this in one answer is at fault.
const MOST_CALLS: usize = 128;
/// The same for bytes: ids, names and arguments of one answer.
const MOST_BYTES: usize = 1024 * 1024;

/// An answer that asks for more than any answer should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooManyCalls {
    /// More than [`MOST_CALLS`].
    #[error("the model calls more than {MOST_CALLS} tools in one answer")]
    Calls,
    /// More than [`MOST_BYTES`].
    #[error("the model's tool calls have more than {MOST_BYTES} bytes in one answer")]
    Bytes,
}

/// Joins the pieces of one answer's calls.
///
/// An index is the place of a call among the others, and never a length: a model may say any.
#[derive(Debug, Default)]
pub(crate) struct CallsBuilder {
    calls: BTreeMap<u32, Pieces>,
    /// Bytes of everything that is kept.
    kept: usize,
    /// Bytes of names and arguments.
    said: usize,
}

#[derive(Debug, Default)]
struct Pieces {
    id: String,
    name: String,
    arguments: String,
}

impl CallsBuilder {
    /// Takes the next piece.
    ///
    /// # Errors
    ///
    /// When the answer asks for too much. The piece is not taken then, and the ones before it stand.
    pub(crate) fn push(&mut self, delta: ToolCallDelta) -> Result<(), TooManyCalls> {
        let known = self.calls.get(&delta.index);
        if known.is_none() && self.calls.len() == MOST_CALLS {
            return Err(TooManyCalls::Calls);
        }
        // An empty id or name is none: the first that says something counts.
        let missing = |has: fn(&Pieces) -> &str| known.is_none_or(|call| has(call).is_empty());
        let id = delta.id.filter(|_| missing(|call| &call.id));
        let name = delta.name.filter(|_| missing(|call| &call.name));
        let said = name.as_deref().map_or(0, str::len) + delta.arguments.len();
        let kept = id.as_deref().map_or(0, str::len) + said;
        if kept > MOST_BYTES - self.kept {
            return Err(TooManyCalls::Bytes);
        }
        self.kept += kept;
        self.said += said;
        let call = self.calls.entry(delta.index).or_default();
        if let Some(id) = id {
            call.id = id;
        }
        if let Some(name) = name {
            call.name = name;
        }
        call.arguments.push_str(&delta.arguments);
        Ok(())
    }

    /// How many bytes of names and arguments the model has said.
    pub(crate) fn said_bytes(&self) -> u64 {
        self.said as u64
    }

    /// Whether no tool is called.
    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The name of the first call, empty if it has none: shown to a person for an answer that is not obeyed.
    pub(crate) fn first_name(&self) -> Option<&str> {
        self.calls.values().next().map(|call| call.name.as_str())
    }

    /// The calls, in the model's order, each with an id that no other call of the run has.
    ///
    /// An id is made up where the model gave none, one that is in this answer already, or one of a call before
    /// (`used`, which must say no to all but finitely many): `call-<turn>-<place>`. A call without a name has an empty
    /// one, which is the name of no tool.
    pub(crate) fn finish(self, turn: u32, used: &dyn Fn(&str) -> bool) -> Vec<Arc<ToolCall>> {
        let mut taken: HashSet<Arc<str>> = HashSet::new();
        let mut calls: Vec<ToolCall> = Vec::with_capacity(self.calls.len());
        for pieces in self.calls.into_values() {
            let id: Arc<str> = pieces.id.into();
            let good = !id.is_empty() && !used(&id) && taken.insert(id.clone());
            calls.push(ToolCall {
                id: if good { id } else { Arc::default() },
                name: pieces.name.into(),
                arguments: pieces.arguments.into(),
            });
        }
        // Made up only now, since a later call may have given itself the id that would be made up for an earlier one.
        for (place, call) in calls.iter_mut().enumerate() {
            if call.id.is_empty() {
                call.id = unused(turn, place, |id| used(id) || taken.contains(id));
                taken.insert(call.id.clone());
            }
        }
        calls.into_iter().map(Arc::new).collect()
    }
}

/// An id for a call that has none.
fn unused(turn: u32, place: usize, used: impl Fn(&str) -> bool) -> Arc<str> {
    let mut id = format!("call-{turn}-{place}");
    let mut again: u64 = 1;
    while used(&id) {
        again += 1;
        id = format!("call-{turn}-{place}-{again}");
    }
    id.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Index, id, name and arguments of a piece; an empty id or name is left away.
    type Piece<'a> = (u32, &'a str, &'a str, &'a str);

    fn delta((index, id, name, arguments): Piece<'_>) -> ToolCallDelta {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        ToolCallDelta {
            index,
            id: given(id),
            name: given(name),
            arguments: arguments.to_owned(),
        }
    }

    /// Joins the pieces as turn 3 of a run in which the ids `old` and `call-3-9` stand already.
    fn check(pieces: &[Piece<'_>], expected: &[(&str, &str, &str)]) {
        let mut builder = CallsBuilder::default();
        for &piece in pieces {
            builder.push(delta(piece)).unwrap();
        }
        assert_eq!(builder.is_empty(), expected.is_empty());
        let said: usize = expected
            .iter()
            .map(|call| call.1.len() + call.2.len())
            .sum();
        assert_eq!(builder.said_bytes(), said as u64);
        let first = expected.first().map(|call| call.1);
        assert_eq!(builder.first_name(), first);
        let calls = builder.finish(3, &|id| ["old", "call-3-9"].contains(&id));
        let calls: Vec<_> = calls
            .iter()
            .map(|call| (&*call.id, &*call.name, &*call.arguments))
            .collect();
        assert_eq!(calls, expected);
    }

    #[test]
    fn pieces_are_joined_by_their_index() {
        check(&[], &[]);
        check(&[(0, "a", "f", "{}")], &[("a", "f", "{}")]);
        check(
            &[
                (0, "a", "f", "{\"x\""),
                (1, "b", "g", ""),
                (0, "", "", ":1}"),
                (1, "", "", "{}"),
            ],
            &[("a", "f", "{\"x\":1}"), ("b", "g", "{}")],
        );
        // Whatever the indexes are, they are the order.
        check(
            &[(u32::MAX, "a", "f", ""), (7, "b", "g", "")],
            &[("b", "g", ""), ("a", "f", "")],
        );
    }

    #[test]
    fn of_ids_and_names_the_first_that_says_something_counts() {
        check(
            &[(0, "", "", ""), (0, "a", "f", ""), (0, "b", "g", "{}")],
            &[("a", "f", "{}")],
        );
        let empty = ToolCallDelta {
            id: Some(String::new()),
            name: Some(String::new()),
            ..ToolCallDelta::default()
        };
        let mut builder = CallsBuilder::default();
        builder.push(empty).unwrap();
        builder.push(delta((0, "a", "f", ""))).unwrap();
        let calls = builder.finish(1, &|_| false);
        assert_eq!((&*calls[0].id, &*calls[0].name), ("a", "f"));
    }

    #[test]
    fn a_call_without_an_id_of_its_own_gets_one_that_no_other_call_has() {
        // None at all, and no name either.
        check(&[(0, "", "", "{}")], &[("call-3-0", "", "{}")]);
        // Twice in an answer: the first keeps it.
        check(
            &[(0, "a", "f", ""), (1, "a", "f", "")],
            &[("a", "f", ""), ("call-3-1", "f", "")],
        );
        // That of a call before.
        check(&[(0, "old", "f", "")], &[("call-3-0", "f", "")]);
        // The made-up one is the model's for a later call.
        check(
            &[(0, "", "f", ""), (1, "call-3-0", "g", "")],
            &[("call-3-0-2", "f", ""), ("call-3-0", "g", "")],
        );
        // The made-up one stands in the run already.
        let pieces: Vec<Piece<'_>> = (0..10).map(|index| (index, "", "f", "")).collect();
        let mut builder = CallsBuilder::default();
        for piece in pieces {
            builder.push(delta(piece)).unwrap();
        }
        let calls = builder.finish(3, &|id| ["call-3-9", "call-3-9-2"].contains(&id));
        assert_eq!(&*calls[9].id, "call-3-9-3");
    }

    #[test]
    fn an_answer_that_calls_too_much_is_refused_and_what_stood_stands() {
        let mut builder = CallsBuilder::default();
        for index in 0..MOST_CALLS as u32 {
            builder.push(delta((index * 1_000, "", "f", ""))).unwrap();
        }
        let more = builder.push(delta((1, "", "f", "")));
        assert_eq!(more, Err(TooManyCalls::Calls));
        assert_eq!(builder.push(delta((0, "", "", "{}"))), Ok(()));
        assert_eq!(builder.finish(1, &|_| false).len(), MOST_CALLS);

        let whole = "x".repeat(MOST_BYTES - 2);
        for piece in [(0, "", "", "xx"), (0, "aa", "", ""), (1, "a", "f", "")] {
            let mut builder = CallsBuilder::default();
            builder.push(delta((0, "", "", &whole))).unwrap();
            assert_eq!(builder.push(delta(piece)), Ok(()), "{piece:?}");
            let more = builder.push(delta((0, "", "f", "")));
            assert_eq!(more, Err(TooManyCalls::Bytes), "{piece:?}");
            assert_eq!(builder.push(ToolCallDelta::default()), Ok(()));
        }
    }
}
