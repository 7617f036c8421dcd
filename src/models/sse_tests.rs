use std::time::Duration;

use futures::{executor::block_on, stream};
use proptest::prelude::*;

use super::*;

/// The events of these bytes, which come in pieces of these sizes, and at last why there are no more.
fn decode(bytes: &[u8], limit: usize, sizes: &[usize]) -> Vec<String> {
    let mut sizes = sizes.iter().copied().cycle();
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
        pieces.push(Ok(Bytes::copy_from_slice(piece)));
        rest = after;
    }
    let body = Body::of(stream::iter(pieces), Duration::MAX);
    let mut events = Events::new(body, limit);
    let mut told = Vec::new();
    while let Some(event) = block_on(events.next()) {
        match event {
            Ok(Sse {
                data: Some(data),
                event,
                ..
            }) => {
                told.push(event.map_or(String::new(), |name| name + "/") + &data);
            }
            Ok(_) => {}
            Err(error) => told.push(format!("! {error}")),
        }
    }
    told
}

#[track_caller]
fn check(bytes: impl AsRef<[u8]>, expected: &[&str]) {
    let bytes = bytes.as_ref();
    for sizes in [&[usize::MAX][..], &[1], &[2], &[3, 1, 4]] {
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!(
            decode(bytes, 64, sizes),
            expected,
            "{shown:?} in pieces of {sizes:?}"
        );
    }
}

#[test]
fn lines_end_in_lf_crlf_or_cr_also_split_over_pieces() {
    check("data: a\n\ndata: b\n\n", &["a", "b"]);
    check("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]);
    check("data: a\r\rdata: b\r\r", &["a", "b"]);
    check("data: a\r\n\ndata: b\r\r\n", &["a", "b"]);
}

#[test]
fn a_last_event_needs_no_blank_line() {
    for end in ["", "\n", "\r", "\r\n", "\n\n"] {
        check(format!("data: a\n\ndata: b{end}"), &["a", "b"]);
    }
}

#[test]
fn odd_but_valid_events() {
    check("\u{feff}data: a\n\n", &["a"]);
    check("data:a\n\ndata:  b\n\n", &["a", " b"]);
    check("data: a\ndata: b\n\n", &["a\nb"]);
    check("data: \u{e9}\u{1f30a}\n\n", &["\u{e9}\u{1f30a}"]);
    check(
        ": hi\n\ndata: a\n: between\n\n:\n\n: OPENROUTER PROCESSING\n\ndata: b\n\n: after",
        &["a", "b"],
    );
    check(
        "event: ping\n\nid: 7\n\nretry: 5\n\nevent: ping\ndata: {}\n\ndata: a\n\n",
        &["ping/{}", "a"],
    );
    check("", &[]);
    check("\n\n\r\r", &[]);
    check("nonsense\nno: field\n\ndata: a\n\n", &["a"]);
}

#[test]
fn a_line_that_says_error_is_heard_after_what_came_before_it() {
    check(
        "data: a\n\nerror: {\"m\":1}\n\ndata: b\n\n",
        &["a", "! {\"m\":1}"],
    );
    check("data: a\nerror: boom\r\n", &["a", "! boom"]);
    check("error: boom", &["! boom"]);
    check(
        "error:\n\nerror: null\n\nerrors: x\n\n error: x\n\nerro\n\ndata: a\n\n",
        &["a"],
    );
    check("data: error: x\n\n: error: x\n\n", &["error: x"]);
}

#[test]
fn invalid_utf8_is_the_end() {
    check(
        b"data: a\n\ndata: \xff\n\ndata: b\n\n",
        &["a", "! the stream of events is not UTF-8"],
    );
    check(b"data: \xe2\x82", &["! the stream of events is not UTF-8"]);
}

#[test]
fn one_event_may_be_as_large_as_allowed_and_no_larger() {
    let too_large = "! one event is larger than 64 bytes";
    let fits = "x".repeat(64 - "data:".len());
    check(
        format!("data: a\n\ndata:{fits}\n\ndata: b\n\n"),
        &["a", &fits, "b"],
    );
    check(
        format!("data: a\n\ndata:{fits}x\n\ndata: b\n\n"),
        &["a", too_large],
    );
    // In many lines; a line end between two lines counts as one byte.
    check("data: a\n".repeat(9), &[too_large]);
    check(
        format!("{}\n", "data: a\n".repeat(8)),
        &["a\na\na\na\na\na\na\na"],
    );
    check(
        format!("{}\n", "data: a\r\n".repeat(8)),
        &["a\na\na\na\na\na\na\na"],
    );
    // Whatever kind of line it is.
    check(format!("error: {}", "x".repeat(100)), &[too_large]);
    check(format!(": {}", "x".repeat(100)), &[too_large]);
    check(format!("id: {}\n\n", "x".repeat(100)), &[too_large]);
    // Nothing is kept of comments, so any number may come.
    check(format!("{}data: a\n\n", ": ping\n".repeat(100)), &["a"]);
}

#[test]
fn a_megabyte_in_one_event_passes_whole() {
    let text = "x".repeat(1 << 20);
    let told = decode(format!("data: {text}\n\n").as_bytes(), 8 << 20, &[1460]);
    assert!(told.len() == 1 && told[0] == text);
}

proptest! {
    #[test]
    fn splits_change_nothing(
        parts in prop::collection::vec(prop::sample::select(vec![
            "data: a", "data:b", "data", ": c", "event: e", "error: x", "\n", "\r", "\r\n", "\n\n", "\u{feff}", "\u{e9}", "xxxxxxxxxxxxxxxx",
        ]), 0..40),
        sizes in prop::collection::vec(1usize..9, 1..8),
    ) {
        let bytes = parts.concat().into_bytes();
        prop_assert_eq!(decode(&bytes, 64, &sizes), decode(&bytes, 64, &[usize::MAX]));
    }

    #[test]
    fn garbage_is_decoded_or_refused_and_never_kept(
        bytes in prop::collection::vec(prop_oneof![3 => any::<u8>(), 1 => prop::sample::select(b"\n\r:dataerror ".to_vec())], 0..600),
        sizes in prop::collection::vec(1usize..50, 1..8),
    ) {
        for event in decode(&bytes, 64, &sizes) {
            prop_assert!(event.len() <= 2 * 64, "{event:?}");
        }
    }
}
