//! What the next turn of a run is shown, case by case.

use super::*;

#[test]
fn a_turn_is_shown_what_was_said_and_done_before_it() {
    let check = |events: Vec<EventKind>, expected: &[&str]| {
        let what = format!("{events:?}");
        assert_eq!(lines(fold(events).messages()), expected, "{what}");
    };
    check(vec![], &[]);
    check(vec![asks()], &[]);
    check(vec![asks(), says("I am ab")], &[]);
    check(
        vec![asks(), says("I "), thinks("hm"), says("am."), answered(&[])],
        &["model: I am."],
    );
    check(vec![asks(), answered(&[])], &[]);
    check(vec![asks(), says(" \n"), answered(&[])], &[]);
    check(
        vec![
            asks(),
            failed_attempt(),
            asks(),
            says("Here."),
            answered(&[]),
        ],
        &["model: Here."],
    );
    check(
        vec![asks(), answered(&["a"]), begun("a"), done("a", "1")],
        &["model:  a({})", "a: 1"],
    );
    check(
        vec![
            asks(),
            says("Wait."),
            answered(&["a", "b", "c"]),
            begun("c"),
            begun("a"),
            done("c", "3"),
            broke("b", ToolFault::UnknownTool, "no such tool"),
            done("a", "1"),
        ],
        &[
            "model: Wait. a({}) b({}) c({})",
            "a: 1",
            "b: no such tool",
            "c: 3",
        ],
    );
    check(
        vec![
            asks(),
            answered(&["a"]),
            done("a", "1"),
            asks(),
            says("One."),
            answered(&["b"]),
            done("b", "2"),
        ],
        &["model:  a({})", "a: 1", "model: One. b({})", "b: 2"],
    );
}

#[test]
fn what_is_steered_stands_after_the_results_before_it() {
    let after = |events: Vec<EventKind>| lines(fold(events).messages());
    let expected = ["model:  a({})", "a: 1", "user: Hurry."];
    let head = || vec![asks(), answered(&["a"])];
    assert_eq!(
        after([head(), vec![done("a", "1"), steered("Hurry.")]].concat()),
        expected
    );
    // Should it ever come too early, it waits for the results.
    assert_eq!(
        after([head(), vec![steered("Hurry."), done("a", "1")]].concat()),
        expected
    );
    assert_eq!(
        after(vec![
            asks(),
            says("I am"),
            steered("Hurry."),
            says(" here."),
            answered(&[]),
            steered("More."),
        ]),
        ["model: I am here.", "user: Hurry.", "user: More."]
    );
    assert_eq!(
        after(vec![
            asks(),
            says("I"),
            steered("Hurry."),
            asks(),
            says("Yes."),
            answered(&[])
        ]),
        ["user: Hurry.", "model: Yes."]
    );
}

#[test]
fn a_result_that_nobody_asked_for_is_not_shown() {
    let events = vec![
        asks(),
        answered(&["a", "b"]),
        done("a", "1"),
        done("a", "again"),
        done("z", "?"),
        done("b", "2"),
        done("b", "again"),
    ];
    assert_eq!(
        lines(fold(events).messages()),
        ["model:  a({}) b({})", "a: 1", "b: 2"]
    );
}

#[test]
fn arguments_that_are_no_object_are_shown_in_one() {
    for (arguments, shown) in [
        (r#"{"city":"Oslo"}"#, r#"{"city":"Oslo"}"#),
        (" {} ", " {} "),
        ("", "{}"),
        ("null", "{}"),
        ("[1]", r#"{"invalid_arguments":"[1]"}"#),
        (
            r#"{"city":"Os"#,
            r#"{"invalid_arguments":"{\"city\":\"Os"}"#,
        ),
    ] {
        let asked = call_with("a", arguments);
        let transcript = fold([asks(), request(vec![asked.clone()], None, None)]);
        assert_eq!(transcript.open_calls().collect::<Vec<_>>(), [&asked]);
        let messages = transcript.clone().messages().to_vec();
        assert_eq!(*messages[1].calls()[0].arguments, *shown, "{arguments:?}");
    }
}

#[test]
fn open_calls_are_told_in_their_order_and_whether_they_were_begun() {
    let mut transcript = fold([asks(), answered(&["a", "b", "c"]), begun("c"), begun("b")]);
    let open = |transcript: &Transcript| -> Vec<(String, bool)> {
        transcript
            .open_calls()
            .map(|call| (call.id.to_string(), transcript.is_begun(&call.id)))
            .collect()
    };
    let told = |id: &str, begun| (id.to_owned(), begun);
    assert_eq!(
        open(&transcript),
        [told("a", false), told("b", true), told("c", true)]
    );
    transcript.event(&done("b", "2"));
    assert_eq!(open(&transcript), [told("a", false), told("c", true)]);
    for kind in [paused(&["a"]), continued()] {
        transcript.event(&kind);
        assert_eq!(open(&transcript), [told("a", false), told("c", true)]);
    }
    transcript.event(&done("c", "3"));
    transcript.event(&broke("a", ToolFault::Rejected, "no"));
    assert_eq!(open(&transcript), []);
    assert_eq!(
        lines(transcript.clone().messages()),
        ["model:  a({}) b({}) c({})", "a: no", "b: 2", "c: 3"]
    );
}

#[test]
fn a_run_that_goes_on_after_a_crash_drops_the_answer_it_was_at() {
    let events = || {
        vec![
            asks(),
            answered(&["a"]),
            done("a", "1"),
            asks(),
            says("I was say"),
            continued(),
        ]
    };
    assert_eq!(lines(fold(events()).messages()), ["model:  a({})", "a: 1"]);
    let again = [events(), vec![asks(), says("Again."), answered(&[])]].concat();
    assert_eq!(
        lines(fold(again).messages()),
        ["model:  a({})", "a: 1", "model: Again."]
    );
}

#[test]
fn an_answer_without_a_request_of_its_own_takes_no_others_place() {
    let events = vec![asks(), answered(&["a"]), answered(&["b"]), done("b", "2")];
    assert_eq!(
        lines(fold(events).messages()),
        ["model:  a({})", "a: not finished", "model:  b({})", "b: 2"]
    );
}
