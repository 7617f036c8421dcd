//! What the store forgets, and what it does not.

use super::*;

#[test]
fn the_run_that_ended_first_is_forgotten_first_and_a_live_one_never() {
    let store = MemoryStore::keeping(2);
    let live = run(&store, Some("a"), true);
    let ended: Vec<_> = (0..4).map(|_| run(&store, Some("a"), false)).collect();
    let there: Vec<_> = ended.iter().map(|run| is_there(&store, *run)).collect();
    assert_eq!(there, [false, false, true, true]);
    assert!(is_there(&store, live));
    let session = now(store.session("a".into())).unwrap().unwrap();
    assert_eq!(session.runs, 3);
    check_whole(&store);
}

#[test]
fn a_run_that_was_deleted_does_not_count_towards_those_that_are_kept() {
    let store = MemoryStore::keeping(2);
    let (one, other) = (run(&store, None, false), run(&store, None, false));
    assert_eq!(now(store.delete_run(other)), Ok(true));
    let last = run(&store, None, false);
    assert!(is_there(&store, one) && is_there(&store, last));
    check_whole(&store);
}

#[test]
fn a_run_that_began_anew_is_not_forgotten_for_its_ending_before() {
    let store = MemoryStore::keeping(1);
    for lives in [true, false] {
        let id = run(&store, Some("a"), false);
        assert_eq!(now(store.delete_run(id)), Ok(true));
        let mut log = Log::begin(id, Some("b"));
        log.append(&store, 1, (1, 1)).unwrap();
        run(&store, Some("c"), false);
        if !lives {
            // Now it ends itself, and is the youngest of the ended.
            log.decide(2, ending());
            log.append(&store, 1, (2, 2)).unwrap();
        }
        assert!(is_there(&store, id));
        check_whole(&store);
    }
}

#[test]
fn a_retried_ending_ends_a_run_once() {
    let store = MemoryStore::keeping(2);
    let other = run(&store, None, false);
    let mut log = Log::begin(RunId::new(), Some("a"));
    log.append(&store, 1, (1, 1)).unwrap();
    log.decide(2, ending());
    for _ in 0..3 {
        assert_eq!(log.append(&store, 1, (2, 2)), Ok(2));
        check_whole(&store);
    }
    assert!(is_there(&store, other));
}

#[test]
fn a_session_is_forgotten_with_its_last_run_unless_it_has_a_name() {
    let store = MemoryStore::keeping(1);
    name(&store, "named", Some("Sea songs"));
    run(&store, Some("named"), false);
    run(&store, Some("nameless"), false);
    assert_eq!(sessions(&store), ["named", "nameless"]);
    run(&store, None, false);
    assert_eq!(sessions(&store), ["named"]);
    check_whole(&store);
}

#[test]
fn of_sessions_without_runs_those_are_forgotten_that_had_none_for_longest() {
    let store = MemoryStore::keeping(3);
    let live = run(&store, Some("live"), true);
    let other = run(&store, Some("a"), true);
    for session in ["live", "a", "b", "c", "d"] {
        name(&store, session, Some("a name"));
    }
    assert_eq!(sessions(&store), ["a", "b", "c", "d", "live"]);
    // It has none from now on, and so it is the youngest of them.
    assert_eq!(now(store.delete_run(other)), Ok(true));
    assert_eq!(sessions(&store), ["a", "c", "d", "live"]);
    check_whole(&store);
    // A name that is given again, or taken away, makes none younger.
    name(&store, "c", None);
    name(&store, "e", None);
    assert_eq!(sessions(&store), ["a", "d", "e", "live"]);
    // Who gets a run is none of them any more.
    run(&store, Some("d"), true);
    name(&store, "f", None);
    assert_eq!(sessions(&store), ["a", "d", "e", "f", "live"]);
    assert_eq!(now(store.delete_session("a".into())), Ok(true));
    name(&store, "g", None);
    assert_eq!(sessions(&store), ["d", "e", "f", "g", "live"]);
    assert_eq!(now(store.delete_run(live)), Ok(true));
    assert_eq!(sessions(&store), ["d", "f", "g", "live"]);
    check_whole(&store);
}

#[test]
fn a_store_that_keeps_none_keeps_what_lives() {
    let store = MemoryStore::keeping(0);
    name(&store, "a", Some("a name"));
    assert_eq!(sessions(&store), [""; 0]);
    let live = run(&store, Some("a"), true);
    let ended = run(&store, Some("a"), false);
    assert!(is_there(&store, live) && !is_there(&store, ended));
    assert_eq!(sessions(&store), ["a"]);
    check_whole(&store);
}
