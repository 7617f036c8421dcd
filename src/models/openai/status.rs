//! What a status other than success means, and when to come back.

use std::time::{Duration, SystemTime};

use quell_actors::model::Retry;
use reqwest::{StatusCode, header::HeaderMap};
use serde_json::Value;

use super::complaint::{Complaint, passing_status};

/// What the provider said with a status, without the place, and whether to ask again.
pub(super) fn refusal(
    status: StatusCode,
    headers: &HeaderMap,
    body: &str,
    now: SystemTime,
) -> (String, Retry) {
    if status.is_redirection() {
        let message = format!("{status}: redirects are not followed");
        return (message, Retry::Never);
    }
    let json = serde_json::from_str::<Value>(body).ok();
    let complaint = json.as_ref().map(Complaint::read).unwrap_or_default();
    let said = complaint.text().unwrap_or_else(|| body.to_owned());
    let message = match said.trim() {
        "" => status.to_string(),
        said => format!("{status}: {said}"),
    };
    (message, retry(status.as_u16(), headers, &complaint, now))
}

fn retry(status: u16, headers: &HeaderMap, complaint: &Complaint, now: SystemTime) -> Retry {
    let may = match text(headers, "x-should-retry") {
        _ if complaint.is_quota() => false,
        Some("true") => true,
        Some("false") => false,
        _ => passing_status(status),
    };
    let after = || {
        retry_after(headers, now)
            .or_else(|| (status == 429).then(|| reset_after(headers)).flatten())
    };
    match may.then(after) {
        None => Retry::Never,
        Some(None) => Retry::Backoff,
        Some(Some(pause)) => Retry::After(pause),
    }
}

/// `retry-after-ms`, or `retry-after` in seconds or as a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let millis = text(headers, "retry-after-ms").and_then(|ms| ms.parse::<f64>().ok());
    if let Some(pause) = millis.and_then(|ms| seconds(ms / 1000.0)) {
        return Some(pause);
    }
    let value = text(headers, "retry-after")?;
    match value.parse::<f64>() {
        Ok(value) => seconds(value),
        Err(_) => {
            let date = httpdate::parse_http_date(value).ok()?;
            Some(date.duration_since(now).unwrap_or(Duration::ZERO))
        }
    }
}

/// When the limit that is used up is filled again: `x-ratelimit-reset-requests` or `-tokens`, the later one of those
/// whose `x-ratelimit-remaining-..` is 0.
fn reset_after(headers: &HeaderMap) -> Option<Duration> {
    let resets = ["requests", "tokens"].map(|what| {
        let left = text(headers, &format!("x-ratelimit-remaining-{what}"))?;
        let used_up = left.parse::<f64>().is_ok_and(|left| left <= 0.0);
        let reset = text(headers, &format!("x-ratelimit-reset-{what}"))?;
        used_up.then(|| spoken_duration(reset)).flatten()
    });
    resets.into_iter().flatten().max()
}

/// A duration as Go prints it: `6m0s`, `1s`, `20ms`, `1h2m3.5s`.
fn spoken_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let factor = match unit {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "\u{b5}s" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    seconds(total)
}

fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, headers: &[(&'static str, &str)], body: &str, expected: Retry) {
        let pairs = headers.iter().map(|(name, value)| {
            let name = reqwest::header::HeaderName::from_static(name);
            (name, value.parse().unwrap())
        });
        let now = httpdate::parse_http_date("Fri, 15 May 2015 15:34:21 GMT").unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        let (_, retry) = refusal(status, &pairs.collect(), body, now);
        assert_eq!(retry, expected, "{status} {headers:?} {body}");
    }

    fn after(millis: u64) -> Retry {
        Retry::After(Duration::from_millis(millis))
    }

    #[test]
    fn a_status_decides_whether_to_retry() {
        for status in [408, 409, 429, 500, 502, 503, 504, 529] {
            check(status, &[], "", Retry::Backoff);
        }
        for status in [
            301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 413, 422, 451,
        ] {
            check(status, &[], "", Retry::Never);
        }
    }

    #[test]
    fn a_word_on_retrying_beats_the_status_and_a_lack_of_money_both() {
        let quota = r#"{"error":{"code":"insufficient_quota"}}"#;
        check(400, &[("x-should-retry", "true")], "", Retry::Backoff);
        check(503, &[("x-should-retry", "false")], "", Retry::Never);
        check(503, &[("x-should-retry", "perhaps")], "", Retry::Backoff);
        check(429, &[("retry-after", "1")], quota, Retry::Never);
        check(429, &[("x-should-retry", "true")], quota, Retry::Never);
        check(
            503,
            &[("x-should-retry", "false"), ("retry-after", "1")],
            "",
            Retry::Never,
        );
    }

    #[test]
    fn the_provider_says_when() {
        check(
            429,
            &[("retry-after-ms", "1500"), ("retry-after", "9")],
            "",
            after(1500),
        );
        check(503, &[("retry-after", "2")], "", after(2000));
        check(503, &[("retry-after", "0.25")], "", after(250));
        check(
            503,
            &[("retry-after", "Fri, 15 May 2015 15:34:31 GMT")],
            "",
            after(10_000),
        );
        check(
            503,
            &[("retry-after", "Fri, 15 May 2015 15:34:01 GMT")],
            "",
            after(0),
        );
        for nonsense in ["", "-1", "NaN", "inf", "1e300", "tomorrow"] {
            check(503, &[("retry-after", nonsense)], "", Retry::Backoff);
            check(
                503,
                &[("retry-after-ms", nonsense), ("retry-after", "1")],
                "",
                after(1000),
            );
        }
        // Not a status to retry, whatever it says.
        check(400, &[("retry-after", "2")], "", Retry::Never);
    }

    #[test]
    fn a_limit_that_is_used_up_says_when_it_is_filled() {
        let none_left = ("x-ratelimit-remaining-requests", "0");
        for (reset, expected) in [
            ("6m0s", after(360_000)),
            ("1s", after(1000)),
            ("20ms", after(20)),
            ("1h2m3.5s", after(3_723_500)),
            ("soon", Retry::Backoff),
            ("1", Retry::Backoff),
            ("1x", Retry::Backoff),
            ("..s", Retry::Backoff),
        ] {
            check(
                429,
                &[none_left, ("x-ratelimit-reset-requests", reset)],
                "",
                expected,
            );
        }
        let reset_tokens = ("x-ratelimit-reset-tokens", "7s");
        let reset_requests = ("x-ratelimit-reset-requests", "1s");
        check(
            429,
            &[none_left, reset_requests, reset_tokens],
            "",
            after(1000),
        );
        check(
            429,
            &[
                none_left,
                reset_requests,
                reset_tokens,
                ("x-ratelimit-remaining-tokens", "0"),
            ],
            "",
            after(7000),
        );
        check(
            429,
            &[reset_requests, ("x-ratelimit-remaining-requests", "3")],
            "",
            Retry::Backoff,
        );
        check(503, &[none_left, reset_requests], "", Retry::Backoff);
        check(
            429,
            &[none_left, reset_requests, ("retry-after", "3")],
            "",
            after(3000),
        );
    }
}
