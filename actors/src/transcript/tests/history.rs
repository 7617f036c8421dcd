//! What a later run is shown, case by case.

use super::*;

#[test]
fn a_later_run_is_shown_what_the_run_came_to() {
    let check = |events: Vec<EventKind>, marked: &[&str], omitted: &[&str]| {
        let what = format!("{events:?}");
        let transcript = fold(events);
        let shown = |marked| lines(&transcript.clone().into_history(marked));
        assert_eq!(shown(true), marked, "marked: {what}");
        assert_eq!(shown(false), omitted, "omitted: {what}");
    };
    let interrupted = "model: [This answer was interrupted.]";
    let unfinished = "model: [This answer is not finished.]";

    // Completed: all of it.
    let all = ["model:  a({})", "a: 1", "model: One."];
    let events = vec![
        asks(),
        answered(&["a"]),
        done("a", "1"),
        asks(),
        says("One."),
        answered(&[]),
        completed(),
    ];
    check(events, &all, &all);
    check(vec![asks(), answered(&[]), completed()], &[], &[]);
    let unsaid = vec![asks(), says("Here."), completed()];
    check(unsaid, &["model: Here."], &["model: Here."]);

    // Cut in an answer, before one, in a retry, and in the tools.
    for ending in [Vec::from(cancelled()), vec![error()]] {
        let cut = |events: Vec<EventKind>| [events, ending.clone()].concat();
        check(
            cut(vec![asks(), says("I was say"), says("ing")]),
            &["model: I was saying\n\n[This answer was interrupted.]"],
            &[],
        );
        check(cut(vec![]), &[interrupted], &[]);
        check(cut(vec![asks()]), &[interrupted], &[]);
        check(cut(vec![asks(), says("\n")]), &[interrupted], &[]);
        check(cut(vec![asks(), thinks("hm")]), &[interrupted], &[]);
        check(cut(vec![asks(), failed_attempt()]), &[interrupted], &[]);
        // What was said before a crash, or in an attempt that failed, is no part of any answer.
        for then in [continued(), failed_attempt()] {
            check(cut(vec![asks(), says("I was"), then]), &[interrupted], &[]);
        }
        let gone = request(vec![], Some("gone"), None);
        check(
            cut(vec![asks(), says("I was"), gone]),
            &["model: I was\n\n[This answer was interrupted.]"],
            &[],
        );
        let results = ["model: Look. a({}) b({})", "a: 1", "b: cancelled"];
        let closed = vec![
            asks(),
            says("Look."),
            answered(&["a", "b"]),
            broke("b", ToolFault::Cancelled, "cancelled"),
            done("a", "1"),
        ];
        check(cut(closed.clone()), &results, &results);
        check(
            cut([closed.clone(), vec![asks(), says("On")]].concat()),
            &[
                &results[..],
                &["model: On\n\n[This answer was interrupted.]"],
            ]
            .concat(),
            &results,
        );
        check(
            cut([closed, vec![steered("Hurry."), asks()]].concat()),
            &[&results[..], &["user: Hurry.", interrupted]].concat(),
            &[&results[..], &["user: Hurry."]].concat(),
        );
        check(
            cut(vec![asks(), says("Here."), answered(&[])]),
            &["model: Here."],
            &["model: Here."],
        );
        check(
            cut(vec![asks(), says("Here."), answered(&[]), steered("More.")]),
            &["model: Here.", "user: More.", interrupted],
            &["model: Here.", "user: More."],
        );
    }

    // Not ended: paused, at work, and in an answer.
    let open = || vec![asks(), answered(&["a", "b"]), begun("a"), done("a", "1")];
    let waits = ["model:  a({}) b({})", "a: 1", "b: awaiting approval"];
    check([open(), vec![paused(&["b"])]].concat(), &waits, &waits);
    let works = ["model:  a({}) b({})", "a: 1", "b: not finished"];
    check(open(), &works, &works);
    let goes_on = [open(), vec![paused(&["b"]), continued()]].concat();
    check(goes_on, &works, &works);
    check(
        vec![asks(), says("I am")],
        &["model: I am\n\n[This answer is not finished.]"],
        &[],
    );
    check(
        vec![asks(), says("I am"), steered("Hurry.")],
        &[
            "model: I am\n\n[This answer is not finished.]",
            "user: Hurry.",
        ],
        &["user: Hurry."],
    );
    check(vec![], &[unfinished], &[]);
}
