//! Durations on the command line.

use std::time::Duration;

/// Parses a number of seconds, or a number with one of the units `ms`, `s`, `m` and `h`.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(
        text.find(|c: char| c.is_ascii_alphabetic())
            .unwrap_or(text.len()),
    );
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("unknown unit {unit:?}: expected ms, s, m or h")),
    };
    let number: f64 = number.trim().parse().map_err(|_| {
        "invalid time: expected a number and a unit, such as 3s or 500ms".to_owned()
    })?;
    Duration::try_from_secs_f64(number * seconds)
        .map_err(|_| "time out of range: expected 0 or more, such as 3s or 500ms".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_perhaps_a_unit() {
        for (text, milliseconds) in [
            ("3", Some(3_000)),
            ("0", Some(0)),
            ("3s", Some(3_000)),
            ("0.5 s", Some(500)),
            ("500ms", Some(500)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("3 days", None),
            ("1e30", None),
            ("inf", None),
            ("soon", None),
        ] {
            assert_eq!(
                parse(text).ok(),
                milliseconds.map(Duration::from_millis),
                "{text:?}"
            );
        }
    }
}
