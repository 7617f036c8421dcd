//! The report at the end of a run.

use std::fmt;

use quell::{Outcome, RunId, cancel::Receipt};

use super::chunk;

/// How much of the text the report repeats, in characters.
const PREVIEW: usize = 72;

/// How a run ended, in lines of `name: value`.
pub(super) struct Report<'a> {
    run: RunId,
    outcome: &'a Outcome,
}

impl Report<'_> {
    pub(super) fn new(run: RunId, outcome: &Outcome) -> Report<'_> {
        Report { run, outcome }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { run, outcome } = self;
        let cancelled = matches!(outcome, Outcome::Cancelled(_));
        writeln!(f, "status: {}", outcome.status())?;
        writeln!(f, "run id: {run}")?;
        writeln!(f, "was cancelled: {}", if cancelled { "yes" } else { "no" })?;
        writeln!(f, "content preview: {}", preview(outcome.text()))?;
        match outcome {
            Outcome::Cancelled(partial) => receipt(f, &partial.receipt),
            Outcome::Completed(_) | Outcome::Error(_) => {
                writeln!(f, "tokens: {}", outcome.usage())
            }
        }
    }
}

fn receipt(f: &mut fmt::Formatter<'_>, receipt: &Receipt) -> fmt::Result {
    let by = receipt.by.as_deref().unwrap_or("an unknown caller");
    writeln!(f, "receipt:")?;
    writeln!(f, "  why: {}, by {by}", receipt.reason)?;
    writeln!(f, "  cut while: {}", receipt.cut)?;
    writeln!(f, "  from request to quiet: {:.1?}", receipt.took)?;
    writeln!(f, "  tokens: {}", receipt.usage)?;
    match &receipt.fault {
        Some(fault) => writeln!(f, "  failed while cancelling: {}", chunk::printable(fault)),
        None => Ok(()),
    }
}

/// The beginning of a text, on one line.
fn preview(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = chunk::printable(&words);
    match words.char_indices().nth(PREVIEW) {
        Some((end, _)) => format!("{}... ({} bytes in all)", &words[..end], text.len()),
        None if words.is_empty() => "(nothing was said)".to_owned(),
        None => words.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_one_short_line() {
        let sea = "and the\nsea ".repeat(9);
        let shown = "and the sea ".repeat(6);
        for (text, expected) in [
            ("", "(nothing was said)"),
            (" \n", "(nothing was said)"),
            ("and the\n\nsea ", "and the sea"),
            (&*sea, &*format!("{shown}... (108 bytes in all)")),
            (&"é".repeat(72), &"é".repeat(72)),
        ] {
            assert_eq!(preview(text), expected);
        }
    }
}
