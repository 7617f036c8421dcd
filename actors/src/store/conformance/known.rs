//! What is known of sessions: what their runs say, what is put to them, and lists by it.

use std::{cmp::Reverse, sync::Arc};

use serde_json::{Map, Value};

use super::{
    super::{RunHead, SessionHead, SessionOrder, SessionPatch, SessionQuery, Store},
    Checked, Violation,
    ground::{Ground, Place},
    told::usage,
    trial::{Trial, completed_with},
};

pub(super) async fn check<S: Store>(ground: &Ground<'_, S>) -> Checked {
    a_session_says_what_its_runs_said(ground).await?;
    what_is_put_to_a_session_stays_until_it_is_taken_away(ground).await?;
    a_session_outlives_its_runs_if_something_was_put_to_it(ground).await?;
    sessions_are_listed_and_counted_as_they_are_asked_for(ground).await
}

/// What is known of a session, beside its times and the number of its runs.
async fn told<S: Store>(place: &Place<'_, S>, id: &Arc<str>) -> Result<SessionHead, Violation> {
    let head = place.session_head(id).await?;
    head.ok_or_else(|| place.violation("session answered that there is none".to_owned()))
}

async fn a_session_says_what_its_runs_said<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("a session says what its runs said, used, and which is the newest");
    let id = place.session("session");
    let long = "æ".repeat(200);
    let mut should = SessionHead::new(id.clone(), place.at(0));
    let mut runs: Vec<RunHead> = Vec::new();
    for (number, (says, user, at)) in [
        ("", None, 0),
        (&*long, Some("ann"), 20),
        ("No more.", Some("bob"), 40),
        // Its clock is behind, and it is not the newest.
        ("Late.", None, 30),
    ]
    .into_iter()
    .enumerate()
    {
        let agent = place.agent(&format!("agent {number}"));
        let user = user.map(|user| place.user(user));
        let trial = Trial::new(&place)
            .by(&agent)
            .user(user.as_ref())
            .at(at)
            .saying(says);
        let trial = trial.begun(1).await?;
        trial
            .stretch(1, 1)
            .iter()
            .for_each(|event| should.apply(event));
        place.expect("a session", told(&place, &id).await?, should.clone())?;
        let ending = vec![trial.event(2, completed_with(usage(10 + number as u64)))];
        ending.iter().for_each(|event| should.apply(event));
        let answer = trial.append((1, 1), 2, ending).await;
        place.expect("an ending", answer, Ok(2))?;
        place.expect("a session", told(&place, &id).await?, should.clone())?;
        runs.push(trial.known().await?);
    }
    let title = should.title.as_ref().map_or(0, |title| title.len());
    place.expect("the length of a title", title, SessionHead::TITLE_BYTES)?;
    let newest = Some((runs[2].created_at, runs[2].run_id));
    place.expect("the newest run", should.last_run, newest)?;
    for run in [0, 2] {
        place.delete_run(runs[run].run_id, true).await?;
        should.forget_run();
        place.expect("a session", told(&place, &id).await?, should.clone())?;
    }
    Ok(())
}

/// A JSON object.
fn data(text: &str) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("a".to_owned(), Value::from(text));
    object.insert("n".to_owned(), Value::from(vec![1, 2]));
    object
}

async fn what_is_put_to_a_session_stays_until_it_is_taken_away<S: Store>(
    ground: &Ground<'_, S>,
) -> Checked {
    let place = ground.rule("what is put to a session stays until it is taken away");
    let id = place.session("session");
    let (ann, bob) = (place.user("ann"), place.user("bob"));
    let mut should = SessionHead::new(id.clone(), place.at(1));
    let patch = SessionPatch::new;
    for patch in [
        patch().user(Some(&ann)).state(Some(data("x"))),
        patch(),
        patch().metadata(Some(data("“ø”"))).agent(Some("poet")),
        patch().name(Some("Sea songs")),
        patch().state(Some(Map::new())).user(Some(&bob)),
        patch().agent(None).name(None),
        patch().user(None),
        patch().state(None),
        patch().metadata(None),
    ] {
        should.put(patch.clone());
        place.put(&id, patch, 1).await?;
        place.expect("a session", told(&place, &id).await?, should.clone())?;
    }
    // A run's values do not replace what a caller has put.
    place
        .put(&id, patch().user(Some(&bob)).agent(Some("poet")), 1)
        .await?;
    Trial::new(&place)
        .of(Some(&id))
        .user(Some(&ann))
        .at(5)
        .begun(1)
        .await?;
    let head = told(&place, &id).await?;
    let is = (head.user_id, head.agent, head.runs);
    place.expect("a session", is, (Some(bob), Some("poet".into()), 1))
}

async fn a_session_outlives_its_runs_if_something_was_put_to_it<S: Store>(
    ground: &Ground<'_, S>,
) -> Checked {
    let place = ground.rule("a session outlives its runs if it has state or metadata");
    for (which, patch) in [
        ("state", SessionPatch::new().state(Some(data("x")))),
        ("metadata", SessionPatch::new().metadata(Some(data("x")))),
    ] {
        let id = place.session(which);
        let trial = Trial::new(&place).of(Some(&id)).begun(2).await?;
        place.put(&id, patch.clone(), 3).await?;
        place.delete_run(trial.id, true).await?;
        let head = told(&place, &id).await?;
        let mut should = head.clone();
        should.put(patch);
        should.runs = 0;
        place.expect("a session", head, should)?;
    }
    Ok(())
}

async fn sessions_are_listed_and_counted_as_they_are_asked_for<S: Store>(
    ground: &Ground<'_, S>,
) -> Checked {
    let place = ground.rule("sessions are listed and counted as they are asked for");
    let (ann, bob) = (place.user("ann"), place.user("bob"));
    let (poet, clerk) = (place.agent("poet"), place.agent("clerk"));
    let mut heads = Vec::new();
    for (number, (agent, user, name, says)) in [
        (&poet, Some(&ann), Some("Sea songs"), "Sing."),
        (&poet, Some(&bob), None, "Sing of the SEA."),
        (&clerk, Some(&ann), Some("Accounts"), "By the sea."),
        (&poet, None, None, "Hills."),
        (&clerk, Some(&bob), Some("Overseas"), "Hm."),
        (&poet, Some(&ann), None, "Seas."),
    ]
    .into_iter()
    .enumerate()
    {
        let number = number as u64;
        let id = place.session(&number.to_string());
        let trial = Trial::new(&place).of(Some(&id)).by(agent).user(user);
        let trial = trial.saying(says).at(10 * (number / 2)).begun(1).await?;
        // Those that were created last were updated first.
        let mut ending = trial.ending(2);
        ending.at = place.at(500 - 10 * (number / 2));
        let answer = trial.append((1, 1), 2, vec![ending]).await;
        place.expect("an ending", answer, Ok(2))?;
        if name.is_some() {
            place.name(&id, name, 9).await?;
        }
        heads.push(told(&place, &id).await?);
    }
    let mut queries = Vec::new();
    for agent in [&poet, &clerk, &place.agent("nobody")] {
        let of_agent = SessionQuery::agent(agent.clone());
        queries.extend([of_agent.clone(), of_agent.clone().named("sea")]);
        for user in [&ann, &bob] {
            let mut both = of_agent.clone();
            both.user_id = Some(user.clone());
            queries.push(both);
        }
    }
    for user in [&ann, &bob, &place.user("nobody")] {
        let of_user = SessionQuery::user(user.clone());
        queries.extend([of_user.clone(), of_user.named("SEA S")]);
    }
    for query in queries {
        for by in [SessionOrder::Created, SessionOrder::Updated] {
            expect_sessions(&place, query.clone().by(by), &heads).await?;
        }
    }
    Ok(())
}

/// Expects a list to have those of `heads` that it asks for, in both orders, in pages, and counted off.
async fn expect_sessions<S: Store>(
    place: &Place<'_, S>,
    query: SessionQuery,
    heads: &[SessionHead],
) -> Checked {
    let wanted = heads.iter().filter(|head| query.holds(head));
    let mut wanted: Vec<SessionHead> = wanted.cloned().collect();
    wanted.sort_by_key(|head| Reverse((query.time_of(head), head.session_id.clone())));
    let what = format!("a list of sessions, {query:?},");
    let count = place.count_sessions(query.clone().limit(1)).await?;
    place.expect(&format!("the count of {what}"), count, wanted.len() as u64)?;
    for query in [query.clone(), query.oldest_first()] {
        let mut left = query.clone().limit(2);
        let mut pages: Vec<SessionHead> = Vec::new();
        while let page = place.sessions(left.clone()).await?
            && let Some(last) = page.last()
            && pages.len() <= heads.len()
        {
            left = left.after(last);
            pages.extend(page);
        }
        place.expect(&what, &pages, &wanted)?;
        let skipped = place.sessions(query.clone().skip(1).limit(2)).await?;
        let should: Vec<_> = wanted.iter().skip(1).take(2).cloned().collect();
        place.expect(&format!("{what} without its first"), skipped, should)?;
        wanted.reverse();
    }
    Ok(())
}
