//! How runs and sessions are deleted.

use super::{
    super::{RunQuery, Store},
    Checked,
    ground::{Ground, Place},
    trial::Trial,
};

pub(super) async fn check<S: Store>(ground: &Ground<'_, S>) -> Checked {
    a_deleted_run_is_gone(ground).await?;
    a_deleted_run_is_not_brought_back(ground).await?;
    a_deleted_run_may_be_started_anew(ground).await?;
    a_session_outlives_its_runs_if_it_has_a_name(ground).await?;
    a_deleted_session_is_gone_with_all_its_runs(ground).await?;
    a_deleted_session_may_be_begun_anew(ground).await
}

/// Expects the session to have exactly these runs, in the order in which they began.
async fn expect_runs<S: Store>(place: &Place<'_, S>, runs: &[&Trial<'_, S>]) -> Checked {
    let mut heads = Vec::new();
    for run in runs.iter().rev() {
        heads.push(run.known().await?);
    }
    let id = place.session("session");
    let of_session = RunQuery::session(id.clone());
    place.expect_listed(of_session, &heads).await?;
    let of_agent = RunQuery::agent(place.agent("agent"));
    place.expect_listed(of_agent, &heads).await?;
    let listed = place.listed_among_all(100).await?;
    place.expect("a list of all runs", &listed, &heads)?;
    let session = place.session_head(&id).await?;
    let count = session.map_or(0, |session| session.runs);
    place.expect("the runs of a session", count, runs.len() as u64)
}

async fn a_deleted_run_is_gone<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("a deleted run is gone, ended or not");
    place.delete_run(Trial::new(&place).id, false).await?;
    let ended = Trial::with(&place, 2).await?;
    let answer = ended.append((1, 2), 2, vec![ended.ending(3)]).await;
    place.expect("an ending", answer, Ok(3))?;
    let live = Trial::new(&place).at(10).begun(3).await?;
    let stays = Trial::new(&place).at(20).begun(3).await?;
    expect_runs(&place, &[&ended, &live, &stays]).await?;

    place.delete_run(ended.id, true).await?;
    ended.expect_gone().await?;
    expect_runs(&place, &[&live, &stays]).await?;
    place.delete_run(ended.id, false).await?;

    place.delete_run(live.id, true).await?;
    live.expect_gone().await?;
    expect_runs(&place, &[&stays]).await?;
    place.delete_run(live.id, false).await?;

    let goes_on = stays.append((1, 3), 2, stays.stretch(4, 4)).await;
    place.expect("an append to a run that stays", goes_on, Ok(4))?;
    expect_runs(&place, &[&stays]).await
}

async fn a_deleted_run_is_not_brought_back<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("a deleted run is not brought back by who had it");
    let trial = Trial::with(&place, 3).await?;
    let answer = trial.append((1, 3), 2, trial.stretch(4, 5)).await;
    place.expect("an append", answer, Ok(5))?;
    place.delete_run(trial.id, true).await?;
    let retried = trial.append((1, 3), 2, trial.stretch(4, 5)).await;
    trial.expect_fenced("its last append, retried", retried)?;
    let more = trial.append((1, 5), 3, trial.stretch(6, 6)).await;
    trial.expect_fenced("an append", more)?;
    let ending = trial.append((1, 5), 4, vec![trial.ending(6)]).await;
    trial.expect_fenced("an ending", ending)?;
    let taken = trial.acquire((1, 5), 5, trial.stretch(6, 6)).await;
    trial.expect_fenced("an acquire", taken)?;
    trial.expect_gone().await?;
    expect_runs(&place, &[]).await
}

async fn a_deleted_run_may_be_started_anew<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("a run of a deleted run's id may be started anew");
    let trial = Trial::with(&place, 5).await?;
    let answer = trial.append((1, 5), 2, vec![trial.ending(6)]).await;
    place.expect("an ending", answer, Ok(6))?;
    place.delete_run(trial.id, true).await?;

    let elsewhere = place.session("elsewhere");
    let anew = trial.of(Some(&elsewhere)).at(30);
    let answer = anew.append((1, 0), 3, anew.stretch(1, 2)).await;
    place.expect("a first append", answer, Ok(2))?;
    anew.expect_stands_at(1, 2).await?;
    let head = anew.known().await?;
    place.expect("its session", head.session_id.as_ref(), Some(&elsewhere))?;
    place.expect("its time", head.created_at, anew.time_of(1))?;
    let query = RunQuery::session(elsewhere.clone());
    place.expect_listed(query, &[head]).await?;
    expect_none(&place).await?;
    let old = anew.append((1, 5), 4, anew.stretch(6, 6)).await;
    anew.expect_fenced("an append of who had it before", old)?;
    let answer = anew.append((1, 2), 5, vec![anew.ending(3)]).await;
    place.expect("an ending", answer, Ok(3))
}

/// Expects the rule's first session to have no runs.
async fn expect_none<S: Store>(place: &Place<'_, S>) -> Checked {
    let id = place.session("session");
    let query = RunQuery::session(id.clone());
    place.expect_listed(query, &[]).await?;
    let session = place.session_head(&id).await?;
    let count = session.map_or(0, |session| session.runs);
    place.expect("the runs of a session", count, 0)
}

/// What becomes of one without a name is left to the store: it may forget it.
async fn a_session_outlives_its_runs_if_it_has_a_name<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("a session outlives its runs if it has a name");
    let trial = Trial::with(&place, 2).await?;
    let id = place.session("session");
    place.name(&id, Some("Sea songs"), 3).await?;
    place.delete_run(trial.id, true).await?;
    expect_none(&place).await?;
    let session = place.session_head(&id).await?;
    let told = session.map(|session| (session.name, session.created_at));
    let should = (Some("Sea songs".into()), trial.time_of(1));
    place.expect("a session", told, Some(should))
}

async fn a_deleted_session_is_gone_with_all_its_runs<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("a deleted session is gone with all its runs");
    let id = place.session("session");
    place.delete_session(&id, false).await?;
    let ended = Trial::with(&place, 2).await?;
    let answer = ended.append((1, 2), 2, vec![ended.ending(3)]).await;
    place.expect("an ending", answer, Ok(3))?;
    let live = Trial::new(&place).at(10).begun(3).await?;
    let answer = live.append((1, 3), 2, live.stretch(4, 4)).await;
    place.expect("an append", answer, Ok(4))?;
    place.name(&id, Some("Sea songs"), 3).await?;
    let elsewhere = place.session("elsewhere");
    let other = place.agent("other");
    let stays = Trial::new(&place).of(Some(&elsewhere)).by(&other);
    let stays = stays.at(20).begun(3).await?;

    place.delete_session(&id, true).await?;
    place.expect("the session", place.session_head(&id).await?, None)?;
    let listed = place.listed_sessions(100).await?;
    let listed: Vec<_> = listed
        .into_iter()
        .map(|session| session.session_id)
        .collect();
    place.expect("a list of sessions", listed, vec![elsewhere.clone()])?;
    ended.expect_gone().await?;
    live.expect_gone().await?;
    let left = [stays.known().await?];
    place
        .expect_listed(RunQuery::session(id.clone()), &[])
        .await?;
    place
        .expect_listed(RunQuery::session(elsewhere.clone()), &left)
        .await?;
    let listed = place.listed_among_all(100).await?;
    place.expect("a list of all runs", &listed[..], &left[..])?;

    let retried = live.append((1, 3), 2, live.stretch(4, 4)).await;
    live.expect_fenced("the last append of a live run, retried", retried)?;
    let more = live.append((1, 4), 3, live.stretch(5, 5)).await;
    live.expect_fenced("an append of a live run", more)?;
    let ending = live.append((1, 4), 4, vec![live.ending(5)]).await;
    live.expect_fenced("the ending of a live run", ending)?;
    live.expect_gone().await?;
    place.expect("the session", place.session_head(&id).await?, None)?;
    place.delete_session(&id, false).await?;
    let goes_on = stays.append((1, 3), 2, stays.stretch(4, 4)).await;
    place.expect("an append to a run that stays", goes_on, Ok(4))
}

async fn a_deleted_session_may_be_begun_anew<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("a deleted session may be begun anew");
    let id = place.session("session");
    place.name(&id, Some("Sea songs"), 1).await?;
    place.delete_session(&id, true).await?;
    place.expect("the session", place.session_head(&id).await?, None)?;
    let trial = Trial::new(&place).at(10).begun(2).await?;
    let session = place.session_head(&id).await?;
    let told = session.map(|session| (session.name, session.created_at, session.runs));
    place.expect("a session", told, Some((None, trial.time_of(1), 1)))?;
    expect_runs(&place, &[&trial]).await
}
