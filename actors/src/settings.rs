//! Settings as people write them in a file: `"5m"`, `"1.5s"`, `"none"`.
//!
//! [`Limits`](crate::agent::Limits), [`RetryPolicy`](crate::agent::RetryPolicy),
//! [`ToolSettings`](crate::tool::ToolSettings), [`RuntimeConfig`](crate::runtime::RuntimeConfig) and
//! [`Shutdown`](crate::runtime::Shutdown) are plain data that serde reads and writes, from TOML too. What is left out
//! has its default, an unknown field is refused, and zero means zero. TOML has no null, so a limit is switched off by
//! the word `"none"`.
//!
//! A duration is a number and a unit, or several of them: `"250ms"`, `"30s"`, `"1h 30m"`. The units are `d`, `h`, `m`
//! (minutes), `s`, `ms`, `us` and `ns`. A bare number is refused, because it does not say of what.
//!
//! The same two forms are here for settings of your own:
//!
//! ```
//! use std::time::Duration;
//!
//! use quell_actors::settings;
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Mine {
//!     #[serde(with = "settings::required")]
//!     pause: Duration,
//!     #[serde(with = "settings::optional")]
//!     limit: Option<Duration>,
//! }
//!
//! let mine: Mine = serde_json::from_str(r#"{ "pause": "250ms", "limit": "none" }"#)?;
//! assert_eq!(mine.pause, Duration::from_millis(250));
//! assert_eq!(mine.limit, None);
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::{fmt, marker::PhantomData, time::Duration};

use serde::{
    Serializer,
    de::{Error, Unexpected, Visitor},
};

/// The word for no limit.
const NONE: &str = "none";

/// What stands in the place of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given<'a> {
    /// A text.
    Text(&'a str),
    /// A bare number.
    Number(u64),
}

/// A value that people write as a text or as a number.
pub trait Setting: Sized {
    /// What is expected, for the message of an error.
    const EXPECTED: &'static str;

    /// The value that was given, if it is one.
    fn read(given: Given<'_>) -> Option<Self>;

    /// Writes the value as [`read`](Setting::read) reads it.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error>;
}

impl Setting for Duration {
    const EXPECTED: &'static str = r#"a duration such as "250ms", "30s" or "1h 30m""#;

    fn read(given: Given<'_>) -> Option<Duration> {
        match given {
            Given::Text(text) => duration(text),
            Given::Number(_) => None,
        }
    }

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&Written(*self))
    }
}

impl Setting for u32 {
    const EXPECTED: &'static str = "a number from 0 to 4294967295";

    fn read(given: Given<'_>) -> Option<u32> {
        match given {
            Given::Text(_) => None,
            Given::Number(number) => u32::try_from(number).ok(),
        }
    }

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(*self)
    }
}

impl Setting for u64 {
    const EXPECTED: &'static str = "a number from 0 on";

    fn read(given: Given<'_>) -> Option<u64> {
        match given {
            Given::Text(_) => None,
            Given::Number(number) => Some(number),
        }
    }

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(*self)
    }
}

/// For a field that has a value: `#[serde(with = "quell_actors::settings::required")]`.
pub mod required {
    use std::marker::PhantomData;

    use serde::{Deserializer, Serializer, de::Error};

    use super::{Reader, Setting};

    /// Writes the value.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<T: Setting, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        value.write(to)
    }

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// When something else stands in its place; the error says what was expected.
    pub fn deserialize<'de, T: Setting, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        let reader = Reader {
            none: false,
            of: PhantomData,
        };
        let value = from.deserialize_any(reader)?;
        value.ok_or_else(|| D::Error::custom(format!("expected {}", T::EXPECTED)))
    }
}

/// For a field that may have no value, which is written `"none"`:
/// `#[serde(with = "quell_actors::settings::optional")]`.
pub mod optional {
    use std::marker::PhantomData;

    use serde::{Deserializer, Serializer};

    use super::{NONE, Reader, Setting};

    /// Writes the value, or `"none"`.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<T: Setting, S: Serializer>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => value.write(to),
            None => to.serialize_str(NONE),
        }
    }

    /// Reads a value, or `"none"`.
    ///
    /// # Errors
    ///
    /// When something else stands in its place; the error says what was expected.
    pub fn deserialize<'de, T: Setting, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<T>, D::Error> {
        from.deserialize_any(Reader {
            none: true,
            of: PhantomData,
        })
    }
}

struct Reader<T> {
    /// Whether the word for no limit is allowed.
    none: bool,
    of: PhantomData<T>,
}

impl<T: Setting> Reader<T> {
    fn read<E: Error>(self, given: Given<'_>) -> Result<Option<T>, E> {
        if self.none && given == Given::Text(NONE) {
            return Ok(None);
        }
        match T::read(given) {
            Some(value) => Ok(Some(value)),
            None => Err(match given {
                Given::Text(text) => E::invalid_value(Unexpected::Str(text), &self),
                Given::Number(number) => E::invalid_value(Unexpected::Unsigned(number), &self),
            }),
        }
    }
}

impl<T: Setting> Visitor<'_> for Reader<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)?;
        if self.none {
            write!(f, ", or {NONE:?}")?;
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<T>, E> {
        self.read(Given::Text(text))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<T>, E> {
        self.read(Given::Number(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<T>, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }
}

/// The units of time, the longest first, in nanoseconds.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A duration in the form that [`duration`] reads.
struct Written(Duration);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.as_nanos();
        if left == 0 {
            return f.write_str("0s");
        }
        let mut space = "";
        for (unit, size) in UNITS {
            let number = left / size;
            left %= size;
            if number > 0 {
                write!(f, "{space}{number}{unit}")?;
                space = " ";
            }
        }
        Ok(())
    }
}

/// The duration that `text` says: numbers, each with its unit.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut nanos: u128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(at);
        let after = after.trim_start();
        let end = after.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
        nanos = nanos.checked_add(decimal(number, *size)?)?;
        rest = after.trim_start();
    }
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    let nanos = u32::try_from(nanos % 1_000_000_000).ok()?;
    Some(Duration::new(seconds, nanos))
}

/// A decimal number times `size`, if that is a whole number.
pub(crate) fn decimal(number: &str, size: u128) -> Option<u128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(part) {
        return None;
    }
    let whole = u128::from(whole.parse::<u64>().ok()?).checked_mul(size)?;
    let tens = 10_u128.checked_pow(u32::try_from(part.len()).ok()?)?;
    let part = u128::from(part.parse::<u64>().ok()?).checked_mul(size)?;
    if part % tens != 0 {
        return None;
    }
    whole.checked_add(part / tens)
}
