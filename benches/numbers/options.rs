//! What was asked for on the command line.

use crate::{Result, rows};

/// What to measure, and how long.
pub(crate) struct Options {
    /// Small and short: to see that it works.
    pub(crate) quick: bool,
    /// The rows that were named; all when none was.
    names: Vec<String>,
}

impl Options {
    pub(crate) fn read(arguments: &[String]) -> Result<Options> {
        let mut options = Options {
            quick: false,
            names: Vec::new(),
        };
        for argument in arguments {
            match argument.as_str() {
                "--quick" => options.quick = true,
                // Cargo adds it to whatever it is given.
                "--bench" => {}
                name if rows::ALL.iter().any(|(known, _)| *known == name) => {
                    options.names.push(name.to_owned());
                }
                unknown => {
                    let known: Vec<&str> = rows::ALL.iter().map(|(name, _)| *name).collect();
                    let known = known.join(", ");
                    return Err(format!("{unknown:?} is none of: --quick, {known}").into());
                }
            }
        }
        Ok(options)
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }

    /// How many interleaved pairs.
    pub(crate) const fn pairs(&self) -> usize {
        self.pick(2, 9)
    }

    /// The first in a quick run, else the second.
    pub(crate) const fn pick(&self, quick: usize, full: usize) -> usize {
        if self.quick { quick } else { full }
    }
}
