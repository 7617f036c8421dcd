use super::*;

/// What a parser makes of these events: chunks in short, then the finish or the fault.
fn hear(events: &[&str]) -> String {
    let (mut parser, mut chunks) = (Parser::default(), VecDeque::new());
    let read = events
        .iter()
        .try_for_each(|data| parser.event(None, data, &mut chunks));
    let mut told: Vec<String> = chunks.into_iter().map(short).collect();
    told.push(match (read, parser.finish()) {
        (Err(fault), _) => format!("{fault:?}"),
        (Ok(()), Some(reason)) => format!("{reason:?}"),
        (Ok(()), None) => "open".to_owned(),
    });
    told.join(" | ")
}

fn short(chunk: ModelChunk) -> String {
    match chunk {
        ModelChunk::Text(text) => format!("text {text}"),
        ModelChunk::Reasoning(text) => format!("thought {text}"),
        ModelChunk::Usage(usage) => {
            let count = |n: Option<u64>| n.map_or("?".to_owned(), |n| n.to_string());
            format!(
                "usage {}/{}",
                count(usage.input_tokens),
                count(usage.output_tokens)
            )
        }
        ModelChunk::ToolCall(call) => format!(
            "call {} {} {} {}",
            call.index,
            call.id.unwrap_or("-".into()),
            call.name.unwrap_or("-".into()),
            call.arguments
        ),
        other => format!("{other:?}"),
    }
}

fn delta(delta: &str) -> String {
    format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#)
}

#[track_caller]
fn check_deltas(deltas: &[&str], expected: &str) {
    let events: Vec<String> = deltas.iter().map(|text| delta(text)).collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    assert_eq!(hear(&events), expected, "{deltas:?}");
}

#[test]
fn deltas_say_what_they_say() {
    for (deltas, expected) in [
        // The first one: content null or "", the role only there.
        (
            &[
                r#"{"role":"assistant","content":null}"#,
                r#"{"content":"a"}"#,
            ][..],
            "text a | open",
        ),
        (
            &[r#"{"role":"assistant","content":""}"#, r#"{"content":"a"}"#],
            "text a | open",
        ),
        (
            &[
                r#"{"role":"assistant"}"#,
                r#"{"content":"a"}"#,
                r#"{"content":"b"}"#,
            ],
            "text a | text b | open",
        ),
        (&["{}", "null", "7", r#""x""#, "[]"], "open"),
        (
            &[r#"{"content":"\u00e9\n\"q\""}"#],
            "text \u{e9}\n\"q\" | open",
        ),
        // Fields of an unexpected type, or unknown.
        (
            &[
                r#"{"content":7}"#,
                r#"{"content":{"a":[1]}}"#,
                r#"{"content":true}"#,
                r#"{"content":-1.5}"#,
            ],
            "open",
        ),
        (
            &[r#"{"content":[{"type":"text","text":"a"},{"type":"image"},{"text":"b"},7]}"#],
            "text ab | open",
        ),
        (
            &[r#"{"content":"a","obfuscation":"xyz","annotations":[{"b":{}}],"audio":null}"#],
            "text a | open",
        ),
        // Thoughts, in both spellings, and not twice.
        (
            &[
                r#"{"reasoning_content":"hm","content":null}"#,
                r#"{"reasoning":"so"}"#,
            ],
            "thought hm | thought so | open",
        ),
        (
            &[r#"{"reasoning_content":"hm","reasoning":"hm","content":""}"#],
            "thought hm | open",
        ),
        (
            &[r#"{"reasoning_content":null,"reasoning":"hm","reasoning_details":[{}]}"#],
            "thought hm | open",
        ),
        // A refusal.
        (&[r#"{"refusal":null,"content":"a"}"#], "text a | open"),
        (
            &[r#"{"refusal":"I will not","content":null}"#],
            "text I will not | open",
        ),
    ] {
        check_deltas(deltas, expected);
    }
}

#[test]
fn tool_calls_come_in_every_shape() {
    for (deltas, expected) in [
        // By the book: id and name only in the first, arguments in pieces, several interleaved.
        (
            &[
                r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#,
                r#"{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"{"}}]}"#,
                r#"{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}"#,
                r#"{"tool_calls":[{"index":1,"function":{"arguments":"}"}}]}"#,
            ][..],
            "call 0 a f  | call 1 b g { | call 0 - - {} | call 1 - - } | open",
        ),
        // Index missing; arguments whole, or as the object itself.
        (
            &[
                r#"{"tool_calls":[{"function":{"name":"f","arguments":"{}"}},{"function":{"name":"f","arguments":{"x":1}}}]}"#,
            ],
            r#"call 0 - f {} | call 1 - f {"x":1} | open"#,
        ),
        // Always 0, with different ids.
        (
            &[
                r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"1"}},{"index":0,"id":"b","function":{"name":"g","arguments":"2"}}]}"#,
            ],
            "call 0 a f 1 | call 1 b g 2 | open",
        ),
        // Gaps, and numbers that no list should be as long as.
        (
            &[r#"{"tool_calls":[{"index":0,"id":"a"},{"index":2,"id":"b"}]}"#],
            "call 0 a -  | call 1 b -  | open",
        ),
        (
            &[
                r#"{"tool_calls":[{"index":18446744073709551615,"id":"a"},{"index":1e300,"id":"b"},{"index":-1,"id":"c"},{"index":1.0,"id":"d"}]}"#,
            ],
            "call 0 a -  | call 1 b -  | call 2 c -  | call 3 d -  | open",
        ),
        // Name repeated; empty id and name with later pieces.
        (
            &[
                r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]}"#,
                r#"{"tool_calls":[{"index":0,"id":"","function":{"name":"","arguments":"}"}}]}"#,
                r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":null}}]}"#,
            ],
            "call 0 a f { | call 0 - - } | call 0 a f  | open",
        ),
        (
            &[
                r#"{"tool_calls":null}"#,
                r#"{"tool_calls":[]}"#,
                r#"{"tool_calls":[null,7]}"#,
            ],
            "open",
        ),
    ] {
        check_deltas(deltas, expected);
    }
    let many = format!(
        r#"{{"tool_calls":[{}{{"id":"x"}}]}}"#,
        r#"{"function":{"name":"f"}},"#.repeat(128)
    );
    let told = hear(&[&delta(&many)]);
    assert!(
        told.ends_with(r#"TooLarge("the model calls more than 128 tools in one answer")"#),
        "{told}"
    );
}

#[test]
fn an_answer_ends_for_a_reason() {
    let call = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a"}]}}]}"#;
    let refusal = r#"{"choices":[{"delta":{"refusal":"no"}}]}"#;
    let text = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":null}]}"#;
    let stop = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    for (events, expected) in [
        (&[text][..], "text a | open"),
        (&[text, stop], "text a | Stop"),
        (&[text, "[DONE]"], "text a | Stop"),
        (&[text, " [DONE] "], "text a | Stop"),
        (&["[DONE]"], "open"),
        (
            &[text, r#"{"choices":[{"delta":{},"finish_reason":""}]}"#],
            "text a | open",
        ),
        (
            &[text, r#"{"choices":[{"finish_reason":"length"}]}"#],
            "text a | Length",
        ),
        (
            &[text, r#"{"choices":[{"finish_reason":"content_filter"}]}"#],
            "text a | ContentFilter",
        ),
        (
            &[text, r#"{"choices":[{"finish_reason":"eos"}]}"#],
            r#"text a | Other("eos")"#,
        ),
        (
            &[r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#],
            "text a | Stop",
        ),
        // "stop" though tools were called.
        (&[call, stop], "call 0 a -  | ToolCalls"),
        (&[call, "[DONE]"], "call 0 a -  | ToolCalls"),
        (
            &[call, r#"{"choices":[{"finish_reason":"tool_calls"}]}"#],
            "call 0 a -  | ToolCalls",
        ),
        (
            &[call, r#"{"choices":[{"finish_reason":"length"}]}"#],
            "call 0 a -  | Length",
        ),
        (&[refusal, stop], "text no | Refusal"),
        // "error", with a word on it or none.
        (
            &[r#"{"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#],
            r#"Provider { message: "the provider ended its answer with an error it did not name", retry: Never }"#,
        ),
        (
            &[
                r#"{"error":{"code":502,"message":"down"},"choices":[{"delta":{"content":"b"},"finish_reason":"error"}]}"#,
            ],
            r#"text b | Provider { message: "down (502)", retry: Backoff }"#,
        ),
        // Another answer than the one that was asked for.
        (
            &[
                text,
                r#"{"choices":[{"index":1,"delta":{"content":"x"},"finish_reason":"stop"}]}"#,
            ],
            "text a | open",
        ),
        // In one piece.
        (
            &[
                r#"{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
            ],
            "text a | usage 1/2 | Stop",
        ),
    ] {
        assert_eq!(hear(events), expected, "{events:?}");
    }
}

#[test]
fn usage_comes_anywhere() {
    let text =
        |usage: &str| format!(r#"{{"choices":[{{"delta":{{"content":"a"}}}}],"usage":{usage}}}"#);
    for (events, expected) in [
        // In a chunk of its own, in the last with a choice, in each; `choices: []` alone is no answer.
        (
            vec![r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#.to_owned()],
            "usage 1/2 | open",
        ),
        (
            vec![r#"{"choices":[],"prompt_filter_results":[{}]}"#.to_owned()],
            "open",
        ),
        (
            vec![
                text("null"),
                text(r#"{"prompt_tokens":1,"completion_tokens":2}"#),
            ],
            "text a | text a | usage 1/2 | open",
        ),
        (
            vec![
                text(r#"{"prompt_tokens":1,"completion_tokens":1}"#),
                text(r#"{"prompt_tokens":1,"completion_tokens":2}"#),
            ],
            "text a | usage 1/1 | text a | usage 1/2 | open",
        ),
        (
            vec![r#"{"choices":[{"delta":{},"usage":{"prompt_tokens":3.0}}]}"#.to_owned()],
            "usage 3/? | open",
        ),
        // Nothing that counts is unknown, and not 0.
        (
            vec![
                text("{}"),
                text(r#""many""#),
                text(r#"{"prompt_tokens":null,"completion_tokens":"2"}"#),
            ],
            "text a | text a | text a | open",
        ),
    ] {
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        assert_eq!(hear(&events), expected, "{events:?}");
    }
}

#[test]
fn errors_and_what_is_no_answer() {
    for (event, expected) in [
        (
            r#"{"error":{"message":"m","code":"server_error"}}"#,
            r#"Provider { message: "m (server_error)", retry: Backoff }"#,
        ),
        (
            r#"{"error":"m"}"#,
            r#"Provider { message: "m", retry: Never }"#,
        ),
        (
            r#"{"object":"error","message":"m","code":400}"#,
            r#"Provider { message: "m (400)", retry: Never }"#,
        ),
        (r#"{"error":null,"choices":[]}"#, "open"),
        (
            r#"{"error":{},"choices":[{"delta":{"content":"a"}}]}"#,
            "text a | open",
        ),
        (r#"{"type":"ping"}"#, "open"),
        ("", "open"),
        ("  ", "open"),
    ] {
        assert_eq!(hear(&[event]), expected, "{event}");
    }
    for event in [
        "{",
        "null",
        "[1]",
        "\"x\"",
        "keepalive",
        r#"{"choices":7}"#,
        r#"{"choices":{"0":{}}}"#,
    ] {
        let told = hear(&[event]);
        assert!(told.starts_with("Protocol("), "{event}: {told}");
    }
}

#[test]
fn named_events() {
    let mut chunks = VecDeque::new();
    for (name, data, expected) in [
        ("ping", "{not json", Ok(())),
        ("error", "", Ok(())),
        ("error", "boom", Err("boom")),
        ("error", r#"{"message":"boom"}"#, Err("boom")),
        ("error", r#"{"error":{"message":"boom"}}"#, Err("boom")),
        ("message", r#"{"choices":[]}"#, Ok(())),
    ] {
        let read = Parser::default().event(Some(name), data, &mut chunks);
        let expected = expected.map_err(|message: &str| Fault::Provider {
            message: message.to_owned(),
            retry: Retry::Never,
        });
        assert_eq!(read, expected, "{name} {data}");
    }
}

#[test]
fn usage_says_what_the_tokens_were_where_the_server_does() {
    let counted = |usage: &str| {
        let (mut parser, mut chunks) = (Parser::default(), VecDeque::new());
        let event = format!(r#"{{"choices":[],"usage":{usage}}}"#);
        parser.event(None, &event, &mut chunks).unwrap();
        let Some(ModelChunk::Usage(usage)) = chunks.pop_front() else {
            panic!("{event}");
        };
        let reasoning = usage.reasoning_tokens;
        (
            usage.cached_input_tokens,
            usage.cache_write_tokens,
            reasoning,
        )
    };
    let openai = r#"{"prompt_tokens":9,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":2},"completion_tokens_details":{"reasoning_tokens":3}}"#;
    assert_eq!(counted(openai), (Some(4), Some(2), Some(3)));
    let deepseek =
        r#"{"prompt_tokens":9,"prompt_cache_hit_tokens":7,"prompt_cache_miss_tokens":2}"#;
    assert_eq!(counted(deepseek), (Some(7), None, None));
    let none = r#"{"prompt_tokens":9,"prompt_tokens_details":null,"completion_tokens_details":[]}"#;
    assert_eq!(counted(none), (None, None, None));
}
