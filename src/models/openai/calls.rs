//! Which call of a tool a piece belongs to.
//!
//! The protocol says: by its `index`. Servers leave the index away, always say 0, leave gaps, or say numbers that no
//! list should be as long as. So an index is a name here and never a length, and calls are numbered as they come.

/// More calls than this in one answer are refused.
const MOST_CALLS: usize = 128;

/// The calls of one answer.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Call>);

#[derive(Debug)]
struct Call {
    index: Option<u64>,
    id: Option<String>,
}

/// More than [`MOST_CALLS`] calls.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model calls more than {MOST_CALLS} tools in one answer")]
pub(super) struct TooManyCalls;

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number, from 0, of the call that a piece with these belongs to.
    pub(super) fn number(
        &mut self,
        index: Option<u64>,
        id: Option<&str>,
        name: Option<&str>,
    ) -> Result<u32, TooManyCalls> {
        let same_index = |call: &Call| index.is_none() || call.index == index;
        let known = match (id, index) {
            // An id decides; but one that comes late belongs to the call whose index it shares.
            (Some(id), _) => {
                let same_id = |call: &Call| call.id.as_deref() == Some(id) && same_index(call);
                self.0.iter().rposition(same_id).or_else(|| {
                    let nameless = |call: &Call| call.id.is_none() && call.index == index;
                    index.and_then(|_| self.0.iter().rposition(nameless))
                })
            }
            // The last one, for some servers say 0 for every call and an id with the first piece of each.
            (None, Some(_)) => self.0.iter().rposition(same_index),
            // Neither: a name begins a call, and anything else continues the one before.
            (None, None) if name.is_none() => self.0.len().checked_sub(1),
            (None, None) => None,
        };
        let number = match known {
            Some(number) => number,
            None if self.0.len() == MOST_CALLS => return Err(TooManyCalls),
            None => {
                self.0.push(Call { index, id: None });
                self.0.len() - 1
            }
        };
        if let Some(id) = id {
            self.0[number].id.get_or_insert_with(|| id.to_owned());
        }
        Ok(number as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Index, id and name of a piece, and the number of its call.
    type Piece = (Option<u64>, Option<&'static str>, Option<&'static str>, u32);

    fn check(pieces: &[Piece]) {
        let mut calls = Calls::default();
        for (at, &(index, id, name, expected)) in pieces.iter().enumerate() {
            assert_eq!(
                calls.number(index, id, name),
                Ok(expected),
                "piece {at} of {pieces:?}"
            );
        }
    }

    #[test]
    fn pieces_find_their_call() {
        let (a, b) = (Some("a"), Some("b"));
        let (f, g) = (Some("f"), Some("g"));
        // By the book, also interleaved.
        check(&[
            (Some(0), a, f, 0),
            (Some(0), None, None, 0),
            (Some(1), b, g, 1),
            (Some(1), None, None, 1),
        ]);
        check(&[
            (Some(0), a, f, 0),
            (Some(1), b, g, 1),
            (Some(0), None, None, 0),
            (Some(1), None, None, 1),
        ]);
        // Id and name repeated with every piece.
        check(&[
            (Some(0), a, f, 0),
            (Some(0), a, f, 0),
            (Some(1), b, g, 1),
            (Some(0), a, f, 0),
        ]);
        // Index missing, with ids and without.
        check(&[
            (None, a, f, 0),
            (None, None, None, 0),
            (None, b, g, 1),
            (None, None, None, 1),
            (None, a, None, 0),
        ]);
        check(&[
            (None, None, f, 0),
            (None, None, f, 1),
            (None, None, None, 1),
        ]);
        check(&[(None, None, None, 0)]);
        // Always 0, with different ids.
        check(&[
            (Some(0), a, f, 0),
            (Some(0), None, None, 0),
            (Some(0), b, g, 1),
            (Some(0), None, None, 1),
        ]);
        // Gaps, huge numbers, backwards.
        check(&[
            (Some(0), a, f, 0),
            (Some(2), b, g, 1),
            (Some(2), None, None, 1),
            (Some(0), None, None, 0),
        ]);
        check(&[
            (Some(u64::MAX), a, f, 0),
            (Some(7), b, g, 1),
            (Some(u64::MAX), None, None, 0),
        ]);
        // The id comes late, or is the same for every call.
        check(&[
            (Some(0), None, f, 0),
            (Some(0), a, None, 0),
            (Some(0), b, None, 1),
        ]);
        check(&[
            (Some(0), a, f, 0),
            (Some(1), a, g, 1),
            (Some(0), None, None, 0),
        ]);
    }

    #[test]
    fn more_calls_than_allowed_are_refused() {
        let mut calls = Calls::default();
        for index in 0..MOST_CALLS as u64 {
            assert!(
                calls
                    .number(Some(index * 1_000_000), None, Some("f"))
                    .is_ok()
            );
        }
        assert_eq!(calls.number(Some(1), None, Some("f")), Err(TooManyCalls));
        assert_eq!(calls.number(Some(0), None, None), Ok(0));
    }
}
