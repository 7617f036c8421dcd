//! Printing a model's text piece by piece.

use std::{
    borrow::Cow,
    io::{self, Write},
};

/// Prints a piece and flushes it: standard output would keep it back until the end of the line.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(printable(text).as_bytes())?;
    out.flush()
}

/// The text without control characters, which a terminal would obey: a model's text cannot be trusted.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let obeyed = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.contains(obeyed) {
        Cow::Owned(text.replace(obeyed, ""))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_given_nothing_to_obey() {
        for (text, expected) in [
            ("and\tthe\nsea", "and\tthe\nsea"),
            ("\u{1b}[2Jgone\r\n", "[2Jgone\n"),
            ("\u{9b}31mred\u{7}", "31mred"),
        ] {
            assert_eq!(printable(text), expected);
        }
    }
}
