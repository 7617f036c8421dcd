//! Settings as people write them in a file.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{fmt::Debug, time::Duration};

use proptest::prelude::*;
use quell_actors::{
    agent::{Limits, RetryPolicy},
    runtime::{RuntimeConfig, Shutdown},
    settings,
    tool::{OnCancel, ToolSettings},
    usage::{Money, Prices},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Of<T: settings::Setting> {
    #[serde(with = "settings::required")]
    value: T,
    #[serde(with = "settings::optional")]
    limit: Option<T>,
}

/// Parses `text` in place of a required duration.
fn read(text: &str) -> Result<Duration, String> {
    let file = format!("value = {text}\nlimit = \"none\"");
    let read: Result<Of<Duration>, _> = toml::from_str(&file);
    read.map(|of| of.value).map_err(|error| error.to_string())
}

#[test]
fn a_duration_is_written_as_people_write_it() {
    let ms = Duration::from_millis;
    for (text, expected) in [
        (r#""5m""#, ms(300_000)),
        (r#""250ms""#, ms(250)),
        (r#""1.5s""#, ms(1_500)),
        (r#""1h 30m""#, ms(5_400_000)),
        (r#""1h30m""#, ms(5_400_000)),
        (r#"" 2 d ""#, ms(172_800_000)),
        (r#""0.5m""#, ms(30_000)),
        (r#""0s""#, ms(0)),
        (r#""7us""#, Duration::from_micros(7)),
        (r#""1ns""#, Duration::from_nanos(1)),
        (r#""18446744073709551615s 999999999ns""#, Duration::MAX),
    ] {
        assert_eq!(read(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_duration_is_refused_with_what_was_expected() {
    for text in [
        "5",
        "0",
        "-1",
        "1.5",
        "true",
        "{ secs = 5, nanos = 0 }",
        r#""""#,
        r#""5""#,
        r#""s""#,
        r#""5 parsecs""#,
        r#""5M""#,
        r#""-5s""#,
        r#""1.2.3s""#,
        r#"".5s""#,
        r#""5.s""#,
        r#""0.1ns""#,
        r#""5s!""#,
        r#""none""#,
        r#""99999999999999999999s""#,
        r#""18446744073709551615s 1000ms""#,
        r#""0.0000000000000000000000000000000000000000001s""#,
    ] {
        let error = read(text).unwrap_err();
        let expected = r#"expected a duration such as "250ms", "30s" or "1h 30m""#;
        assert!(error.contains(expected), "{text}: {error}");
        assert!(error.contains("line 1"), "{text}: {error}");
    }
}

#[test]
fn a_limit_is_switched_off_by_a_word_and_zero_means_zero() {
    let limits: Limits = toml::from_str(
        r#"
        deadline = "10m"
        first_token = "none"
        silence = "0s"
        max_turns = "none"
        max_tool_calls = 0
        max_tokens = 100000
        max_cost = "0.25"
        cancel_limit = "0s"
        pause_expiry = "7d"
        "#,
    )
    .unwrap();
    let expected = Limits {
        deadline: Some(Duration::from_secs(600)),
        first_token: None,
        silence: Some(Duration::ZERO),
        max_turns: None,
        max_tool_calls: Some(0),
        max_tokens: Some(100_000),
        max_cost: Some(Money::from_cents(25)),
        cancel_limit: Duration::ZERO,
        pause_expiry: Some(Duration::from_secs(7 * 86_400)),
        ..Limits::default()
    };
    assert_eq!(limits, expected);
    let error = toml::from_str::<Limits>(r#"max_turns = "off""#).unwrap_err();
    let expected = r#"expected a number from 0 to 4294967295, or "none""#;
    assert!(error.to_string().contains(expected), "{error}");
    let error = toml::from_str::<Limits>("max_tokens = -1").unwrap_err();
    assert!(error.to_string().contains("integer `-1`"), "{error}");
    assert!(toml::from_str::<Limits>("max_turns = 4294967296").is_err());
}

/// Missing fields get their defaults, everything can be written and read again, and unknown fields are refused.
fn check<T: Serialize + DeserializeOwned + Default + PartialEq + Debug>() {
    assert_eq!(toml::from_str::<T>("").unwrap(), T::default());
    let file = toml::to_string(&T::default()).unwrap();
    assert_eq!(toml::from_str::<T>(&file).unwrap(), T::default(), "{file}");
    let json = serde_json::to_string(&T::default()).unwrap();
    assert_eq!(serde_json::from_str::<T>(&json).unwrap(), T::default());
    let error = toml::from_str::<T>("colour = \"red\"").unwrap_err();
    assert!(error.to_string().contains("unknown field"), "{error}");
}

#[test]
fn all_settings_stand_in_a_file_whole_and_unknown_ones_are_refused() {
    check::<Limits>();
    check::<RetryPolicy>();
    check::<ToolSettings>();
    check::<RuntimeConfig>();
    check::<Shutdown>();
}

#[test]
fn settings_read_well_in_a_file() {
    let file = toml::to_string(&RuntimeConfig::default()).unwrap();
    assert!(file.contains("session_wait = \"10m\"\n"), "{file}");
    assert!(file.contains("store_patience = \"10s\"\n"), "{file}");
    let file = toml::to_string(&Limits::default()).unwrap();
    assert!(file.contains("deadline = \"none\"\n"), "{file}");
    let tool: ToolSettings = toml::from_str(r#"on_cancel = { grace = "250ms" }"#).unwrap();
    assert_eq!(tool.on_cancel, OnCancel::Grace(Duration::from_millis(250)));
    let tool: ToolSettings = toml::from_str(r#"on_cancel = "finish""#).unwrap();
    assert_eq!(tool.on_cancel, OnCancel::Finish);
    let prices: Prices = toml::from_str("input = \"0.25\"\noutput = \"2\"").unwrap();
    assert_eq!(prices.input, Money::from_cents(25));
    assert_eq!(prices.output, Money::from_cents(200));
}

proptest! {
    #[test]
    fn every_duration_is_read_as_it_was_written(seconds: u64, nanos in 0u32..1_000_000_000, none: bool) {
        let value = Duration::new(seconds, nanos);
        let of = Of { value, limit: (!none).then_some(value) };
        let file = toml::to_string(&of).unwrap();
        prop_assert_eq!(toml::from_str::<Of<Duration>>(&file).unwrap(), of);
    }

    #[test]
    fn every_amount_is_read_as_it_was_written(millionths: u64) {
        let value = Money::from_millionths(millionths);
        let of = Of { value, limit: Some(value) };
        let file = toml::to_string(&of).unwrap();
        prop_assert_eq!(toml::from_str::<Of<Money>>(&file).unwrap(), of);
    }

    #[test]
    fn no_text_does_worse_than_being_refused(text in "[0-9.dhmsun ]{0,40}|\\PC{0,20}") {
        let file = serde_json::json!({ "value": text, "limit": text });
        let _ = serde_json::from_value::<Of<Duration>>(file.clone());
        let _ = serde_json::from_value::<Of<Money>>(file);
    }
}
