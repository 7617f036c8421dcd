//! The program's log: on standard error, warnings and errors unless `QUELL_LOG` asks for more.

use std::{
    env::{self, VarError},
    io::{self, IsTerminal},
};

use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, ParseError, Targets},
    fmt,
    layer::SubscriberExt,
    registry,
    util::{SubscriberInitExt, TryInitError},
};

const VARIABLE: &str = "QUELL_LOG";

pub(super) const HELP: &str = "Environment:\n  QUELL_LOG  What to log on standard error, as in `debug` or \
                               `quell_actors=debug,ractor=info` [default: warn]";

#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    #[error("QUELL_LOG is invalid: expected a filter such as `debug` or `quell_actors=debug`: {0}")]
    Filter(#[from] ParseError),
    #[error("QUELL_LOG is not valid Unicode: expected a filter such as `debug`")]
    NotUnicode,
    #[error("cannot start the log: {0}")]
    Start(#[from] TryInitError),
}

/// Starts the log with the filter that the environment asks for.
pub(super) fn start() -> Result<(), LogError> {
    let wanted = match env::var(VARIABLE) {
        Ok(text) => text,
        Err(VarError::NotPresent) => String::new(),
        Err(VarError::NotUnicode(_)) => return Err(LogError::NotUnicode),
    };
    let layer = fmt::layer().with_writer(io::stderr);
    let layer = if io::stderr().is_terminal() {
        layer
    } else {
        layer.with_ansi(false)
    };
    registry()
        .with(layer.with_filter(filter(&wanted)?))
        .try_init()?;
    Ok(())
}

/// Warnings, and what `wanted` adds. ractor logs every actor at `debug`, so it is left out unless it is named.
fn filter(wanted: &str) -> Result<Targets, ParseError> {
    let wanted: Targets = if wanted.trim().is_empty() {
        Targets::new()
    } else {
        wanted.parse()?
    };
    let level = wanted.default_level().unwrap_or(LevelFilter::WARN);
    let mut filter = Targets::new()
        .with_default(level)
        .with_target("ractor", level.min(LevelFilter::WARN));
    filter.extend(wanted);
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn ractor_is_quiet_unless_it_is_named() {
        for (wanted, target, level, expected) in [
            ("", "quell_actors", Level::WARN, true),
            ("", "quell_actors", Level::INFO, false),
            ("", "ractor", Level::WARN, true),
            ("debug", "quell_actors", Level::DEBUG, true),
            ("debug", "ractor", Level::INFO, false),
            ("off", "ractor", Level::ERROR, false),
            ("ractor=debug", "ractor", Level::DEBUG, true),
            ("ractor=debug", "quell_actors", Level::WARN, true),
            ("ractor=debug", "quell_actors", Level::INFO, false),
        ] {
            let filter = filter(wanted).unwrap();
            assert_eq!(
                filter.would_enable(target, &level),
                expected,
                "{wanted:?}: {target} at {level}"
            );
        }
        assert!(filter("quell=loud").is_err());
    }
}
