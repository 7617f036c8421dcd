//! The output of a program, bounded in size.

use std::{collections::VecDeque, os::unix::process::ExitStatusExt, process::ExitStatus};

use serde::Serialize;

/// The result of a program, as the model gets it.
#[derive(Debug, Serialize)]
pub(super) struct Output {
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    /// The signal that ended the program, in place of an exit code.
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    stdout: String,
    stderr: String,
    /// How many bytes are left out.
    #[serde(skip_serializing_if = "is_zero")]
    stdout_left_out: u64,
    #[serde(skip_serializing_if = "is_zero")]
    stderr_left_out: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Output {
    pub(super) fn new(status: Option<ExitStatus>, stdout: Kept, stderr: Kept) -> Output {
        let (stdout, stdout_left_out) = stdout.into_text();
        let (stderr, stderr_left_out) = stderr.into_text();
        Output {
            exit_code: status.and_then(|status| status.code()),
            signal: status.and_then(|status| status.signal()),
            stdout,
            stderr,
            stdout_left_out,
            stderr_left_out,
        }
    }
}

/// The first and the last bytes of a stream. Those between are counted and dropped, so that a program may write as much
/// as it likes.
#[derive(Debug)]
pub(super) struct Kept {
    most_of_each: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: u64,
}

impl Kept {
    pub(super) fn at_most(bytes: usize) -> Kept {
        Kept {
            most_of_each: bytes / 2,
            head: Vec::new(),
            tail: VecDeque::new(),
            left_out: 0,
        }
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(self.most_of_each - self.head.len()));
        self.head.extend_from_slice(head);
        // Bytes that the tail could not keep anyway are skipped, and not copied first.
        let (skipped, rest) = rest.split_at(rest.len().saturating_sub(self.most_of_each));
        let over = (self.tail.len() + rest.len()).saturating_sub(self.most_of_each);
        self.tail.drain(..over);
        self.tail.extend(rest);
        self.left_out += (skipped.len() + over) as u64;
    }

    /// The text, with a note where bytes were left out, and how many. Bytes that are not UTF-8 become replacement
    /// characters; a character that was cut in two is left out.
    fn into_text(self) -> (String, u64) {
        let (mut head, mut tail) = (self.head, Vec::from(self.tail));
        if self.left_out == 0 {
            head.append(&mut tail);
            return (String::from_utf8_lossy(&head).into_owned(), 0);
        }
        let end = end_of_whole(&head);
        let start = tail
            .iter()
            .take(3)
            .take_while(|byte| is_inside(**byte))
            .count();
        let left_out = self.left_out + (head.len() - end + start) as u64;
        let text = format!(
            "{}\n[.. {left_out} bytes left out ..]\n{}",
            String::from_utf8_lossy(&head[..end]),
            String::from_utf8_lossy(&tail[start..])
        );
        (text, left_out)
    }
}

/// Whether a byte of UTF-8 is a continuation byte.
fn is_inside(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// Where the last complete character ends.
fn end_of_whole(bytes: &[u8]) -> usize {
    let inside = bytes
        .iter()
        .rev()
        .take(3)
        .take_while(|byte| is_inside(**byte))
        .count();
    let Some(first) = (bytes.len() - inside).checked_sub(1) else {
        return bytes.len();
    };
    let whole = match bytes[first] {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    };
    if 1 + inside < whole {
        first
    } else {
        bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(most: usize, pieces: &[&str]) -> (String, u64) {
        let mut kept = Kept::at_most(most);
        for piece in pieces {
            kept.take(piece.as_bytes());
            assert!(kept.head.len() + kept.tail.len() <= most);
        }
        kept.into_text()
    }

    #[test]
    fn output_that_fits_is_kept_whole() {
        assert_eq!(kept(8, &["abcd", "efgh"]), ("abcdefgh".into(), 0));
        assert_eq!(kept(8, &["abcdefgh"]), ("abcdefgh".into(), 0));
        assert_eq!(kept(8, &[]), (String::new(), 0));
        assert_eq!(kept(8, &["aäaäa"]), ("aäaäa".into(), 0));
    }

    #[test]
    fn of_longer_output_the_beginning_and_the_end_are_kept() {
        let told = |bytes| (format!("abcd\n[.. {bytes} bytes left out ..]\nwxyz"), bytes);
        assert_eq!(kept(8, &["abcdefghwxyz"]), told(4));
        assert_eq!(kept(8, &["ab", "cdefgh", "w", "xyz"]), told(4));
        assert_eq!(kept(8, &["abcd", "0123456789", "wxyz"]), told(10));
        assert_eq!(
            kept(0, &["abc"]),
            ("\n[.. 3 bytes left out ..]\n".into(), 3)
        );
    }

    #[test]
    fn no_character_is_cut_in_half() {
        let told = |head, bytes, tail| {
            (
                format!("{head}\n[.. {bytes} bytes left out ..]\n{tail}"),
                bytes,
            )
        };
        assert_eq!(kept(8, &["abcä....äxyz"]), told("abc", 8, "xyz"));
        assert_eq!(kept(8, &["abc€....€xyz"]), told("abc", 10, "xyz"));
        assert_eq!(kept(8, &["ab🌊....🌊yz"]), told("ab", 12, "yz"));
        assert_eq!(kept(8, &["🌊....🌊"]), told("🌊", 4, "🌊"));
    }
}
