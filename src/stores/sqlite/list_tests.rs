use quell_actors::{RunId, RunStatus};
use rusqlite::Connection;

use super::{super::schema, *};

/// How SQLite goes about it, in its own words.
fn plan(statement: Statement) -> String {
    let mut db = Connection::open_in_memory().unwrap();
    schema::migrate(&mut db).unwrap();
    let explain = format!("EXPLAIN QUERY PLAN {}", statement.sql);
    let mut explain = db.prepare(&explain).unwrap();
    let steps = explain.query_map(params_from_iter(statement.values), |row| {
        row.get::<_, String>("detail")
    });
    let steps: Vec<String> = steps.unwrap().map(Result::unwrap).collect();
    steps.join("; ")
}

/// Some key, to read on from.
fn past() -> (Timestamp, RunId) {
    (Timestamp::from_millis(7), RunId::new())
}

#[test]
fn a_page_of_runs_is_read_from_an_index_in_its_order() {
    let paused = RunQuery::default().statuses(RunStatus::Paused.into());
    let cancelled = RunQuery::default().statuses(RunStatus::Cancelled.into());
    let mut busy = RunQuery::session("s");
    (busy.agent, busy.user_id) = (Some("a".into()), Some("u".into()));
    for (query, by) in [
        (RunQuery::default(), "runs_by_age"),
        (RunQuery::default().top_level(), "runs_by_age"),
        (cancelled, "runs_by_age"),
        (RunQuery::unfinished(), "runs_unfinished"),
        (paused, "runs_unfinished"),
        (RunQuery::agent("a"), "runs_by_agent"),
        (RunQuery::user("u"), "runs_by_user"),
        (RunQuery::session("s"), "runs_by_session"),
        (busy, "runs_by_session"),
    ] {
        let mut between = query.clone();
        between.past = Some(past());
        between.from = Some(Timestamp::from_millis(3));
        let pages = [query, between];
        for page in pages
            .into_iter()
            .flat_map(|page| [page.clone(), page.oldest_first()])
        {
            let plan = plan(Statement::of_runs(&page));
            assert!(plan.contains(&format!("INDEX {by}")), "{page:?}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{page:?}: {plan}");
            // The next page begins where the last one ended.
            let begins = plan.contains("(created_at,id)") || plan.contains("created_at>");
            assert_eq!(begins, page.past.is_some(), "{page:?}: {plan}");
        }
    }
}

#[test]
fn a_page_of_sessions_is_read_from_an_index() {
    let updated = |query: SessionQuery| query.by(SessionOrder::Updated);
    for (query, by, sorted) in [
        (SessionQuery::default(), "sessions_by_age", true),
        (updated(SessionQuery::default()), "sessions_by_update", true),
        (SessionQuery::agent("a"), "sessions_by_agent", true),
        (
            updated(SessionQuery::agent("a")),
            "sessions_by_update",
            true,
        ),
        (SessionQuery::user("u"), "sessions_by_user", true),
        // Those of one user are sorted.
        (updated(SessionQuery::user("u")), "sessions_by_user", false),
        (
            SessionQuery::default().named("sea"),
            "sessions_by_age",
            true,
        ),
    ] {
        let mut next = query.clone();
        next.past = Some((Timestamp::from_millis(7), "s".into()));
        let pages = [query.clone(), next];
        for page in pages
            .into_iter()
            .flat_map(|page| [page.clone(), page.oldest_first()])
        {
            let plan = plan(Statement::of_sessions(&page));
            assert!(plan.contains(&format!("INDEX {by}")), "{page:?}: {plan}");
            assert_eq!(!plan.contains("TEMP B-TREE"), sorted, "{page:?}: {plan}");
        }
    }
    for (query, by) in [
        (updated(SessionQuery::agent("a")), "sessions_by_agent"),
        (updated(SessionQuery::user("u")), "sessions_by_user"),
    ] {
        let plan = plan(Statement::of_session_count(&query));
        assert!(
            plan.contains(&format!("COVERING INDEX {by}")),
            "{query:?}: {plan}"
        );
    }
}
