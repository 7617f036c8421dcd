//! Secrets: how they are held, and how they are kept out of messages.

use std::fmt;

use reqwest::{Url, header::HeaderValue};

use super::OpenAiError;

/// The key a provider gave. `Debug` does not show it, and nothing here displays it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// A key. White space around it, as files and shells like to leave, is dropped.
    pub fn new(key: impl Into<String>) -> ApiKey {
        ApiKey(key.into().trim().to_owned())
    }

    pub(super) fn bearer(&self) -> Result<HeaderValue, OpenAiError> {
        if self.0.is_empty() {
            return Err(OpenAiError::InvalidKey);
        }
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0))
            .map_err(|_| OpenAiError::InvalidKey)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey([key])")
    }
}

impl From<String> for ApiKey {
    fn from(key: String) -> ApiKey {
        ApiKey::new(key)
    }
}

impl From<&str> for ApiKey {
    fn from(key: &str) -> ApiKey {
        ApiKey::new(key)
    }
}

/// What must not stand in a message, for providers like to repeat what they were sent.
#[derive(Clone, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// A key hides at any length, since it is one for sure.
    pub(super) fn add_key(&mut self, key: &ApiKey) {
        self.0.push(key.0.clone());
    }

    /// Anything else that may be a secret. Shorter than eight bytes is not worth masking.
    pub(super) fn add(&mut self, text: &str) {
        if text.len() >= 8 {
            self.0.push(text.to_owned());
        }
    }

    /// User, password and query of an address.
    pub(super) fn add_url(&mut self, url: &Url) {
        for text in [url.username(), url.password().unwrap_or_default()] {
            self.add(text);
            self.add(&percent_decoded(text));
        }
        self.add(url.query().unwrap_or_default());
        for (_, value) in url.query_pairs() {
            self.add(&value);
        }
    }

    /// The text without the secrets. The longest go first, as one may be a part of another.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut secrets: Vec<&String> = self.0.iter().filter(|s| !s.is_empty()).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.as_str(), "[key]")
        })
    }
}

/// User and password stand percent-encoded in an address, and plain in what a server makes of them.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) if byte == b'%' => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// At most `limit` bytes of a text on one line, without control characters.
pub(super) fn excerpt(text: &str, limit: usize) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > limit {
            line.truncate(line.floor_char_boundary(limit));
            line.push_str("...");
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_cut_at_a_character_and_stands_on_one_line() {
        for (text, limit, expected) in [
            ("", 8, ""),
            ("  a\r\n\tb\u{1b}[1m ", 16, "a b [1m"),
            ("12345678", 8, "12345678"),
            ("123456789", 8, "12345678..."),
            ("1234567\u{e9}", 8, "1234567..."),
        ] {
            assert_eq!(excerpt(text, limit), expected, "{text:?}");
        }
    }

    #[test]
    fn secrets_are_redacted_also_when_one_is_part_of_another() {
        let mut secrets = Secrets::default();
        secrets.add_key(&ApiKey::new("k1"));
        secrets.add("k1-and-more");
        secrets.add("short");
        assert_eq!(secrets.redact("k1 k1-and-more short"), "[key] [key] short");
    }
}
