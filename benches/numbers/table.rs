//! The one table.

use std::fmt;

use crate::samples::{Pairs, ratio};

/// What was measured, row by row.
#[derive(Default)]
pub(crate) struct Table(Vec<[String; 6]>);

/// Whether a row reaches what it has to.
pub(crate) enum Verdict {
    Judged(bool),
    /// There is nothing to reach: it is to be stated.
    Stated,
}

const HEAD: [&str; 6] = ["what", "reach", "Quell", "control", "ratio", "verdict"];

impl Table {
    pub(crate) fn row(
        &mut self,
        what: impl Into<String>,
        reach: impl Into<String>,
        [quell, control, ratio]: [String; 3],
        verdict: Verdict,
    ) {
        let verdict = match verdict {
            Verdict::Judged(true) => "ok",
            Verdict::Judged(false) => "**short**",
            Verdict::Stated => "",
        };
        let row = [
            what.into(),
            reach.into(),
            quell,
            control,
            ratio,
            verdict.into(),
        ];
        // Shown at once as well, since the whole takes minutes.
        eprintln!("  {}", row.join(" | "));
        self.0.push(row);
    }

    /// A row of pairs, in a unit.
    pub(crate) fn pairs(
        &mut self,
        what: impl Into<String>,
        reach: impl Into<String>,
        pairs: &Pairs,
        unit: impl Fn(f64) -> String,
        verdict: Verdict,
    ) {
        let cells = [
            pairs.quell().say(&unit),
            pairs.control().say(&unit),
            pairs.ratios().say(ratio),
        ];
        self.row(what, reach, cells, verdict);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = HEAD.map(str::to_owned);
        let widths: [usize; 6] = std::array::from_fn(|column| {
            let cells = self.0.iter().chain([&head]);
            let widths = cells.map(|row| row[column].chars().count());
            widths.max().unwrap_or_default()
        });
        let mut line = |cells: &[String; 6]| {
            for (cell, width) in cells.iter().zip(widths) {
                write!(f, "| {cell:width$} ")?;
            }
            writeln!(f, "|")
        };
        line(&head)?;
        line(&widths.map(|width| "-".repeat(width)))?;
        self.0.iter().try_for_each(line)
    }
}
