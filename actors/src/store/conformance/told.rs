//! What is known of runs beside where they stand, and lists by it.

use super::{
    super::{RunHead, RunQuery, StatusSet, Store},
    Checked, Violation,
    ground::{Ground, Place},
    list::{asks, goes_on, pauses},
    trial::{Trial, cancelled_with, completed_with, failed_with},
};
use crate::{
    event::EventKind,
    status::RunStatus,
    usage::{Usage, UsageSource},
};

pub(super) async fn check<S: Store>(ground: &Ground<'_, S>) -> Checked {
    a_run_is_listed_with_its_user_and_its_parent(ground).await?;
    a_run_that_ended_says_what_it_used(ground).await?;
    runs_are_listed_oldest_first_where_that_is_asked(ground).await?;
    a_list_has_the_users_statuses_and_times_that_were_asked_for(ground).await
}

/// So many tokens, all of them known.
pub(super) fn usage(tokens: u64) -> Usage {
    let mut usage = Usage::new(tokens, tokens + 1, UsageSource::Provider);
    usage.cached_input_tokens = Some(tokens / 2);
    usage.reasoning_tokens = Some(0);
    usage
}

async fn a_run_is_listed_with_its_user_and_its_parent<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("a run is listed with its user and its parent");
    let user = place.user("ann");
    let parent = Trial::new(&place).user(Some(&user)).begun(2).await?;
    let child = Trial::new(&place)
        .at(5)
        .child_of(parent.id)
        .begun(2)
        .await?;
    for (trial, user, of) in [
        (&parent, Some(&user), None),
        (&child, None, Some(parent.id)),
    ] {
        let query = RunQuery::agent(trial.agent.clone());
        let listed = place.runs(query).await?;
        let listed = listed.into_iter().find(|head| head.run_id == trial.id);
        for head in [Some(trial.known().await?), listed] {
            let told = head
                .as_ref()
                .map(|head| (head.user_id.as_ref(), head.parent));
            place.expect("a head", told, Some((user, of)))?;
        }
    }
    Ok(())
}

async fn a_run_that_ended_says_what_it_used<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("a run that ended says what it used, and what a cancel cut");
    for ending in [
        completed_with(usage(8)),
        cancelled_with(usage(20)),
        failed_with(usage(30)),
    ] {
        let trial = Trial::with(&place, 2).await?;
        let head = trial.known().await?;
        place.expect(
            "the head of a live run",
            (head.usage, head.cut),
            (None, None),
        )?;
        let mut should = head;
        let event = trial.event(3, ending);
        should.apply(&event);
        let answer = trial.append((1, 2), 2, vec![event]).await;
        place.expect("an ending", answer, Ok(3))?;
        place.expect(
            "the head of a run that ended",
            trial.known().await?,
            should.clone(),
        )?;
        let query = RunQuery::agent(trial.agent.clone());
        let listed = place.runs(query).await?;
        let listed = listed.into_iter().find(|head| head.run_id == trial.id);
        place.expect("a list", listed, Some(should))?;
    }
    Ok(())
}

/// Runs that differ in all that is asked for, the oldest first.
async fn runs_of_all_kinds<S: Store>(place: &Place<'_, S>) -> Result<Vec<RunHead>, Violation> {
    let users = [Some(place.user("ann")), Some(place.user("bob")), None];
    let lives: [&[EventKind]; 7] = [
        &[],
        &[asks()],
        &[asks(), pauses()],
        &[asks(), pauses(), goes_on(), asks()],
        &[asks(), completed_with(usage(1))],
        &[asks(), cancelled_with(usage(2))],
        &[asks(), failed_with(usage(3))],
    ];
    let mut heads: Vec<RunHead> = Vec::new();
    for (number, life) in lives.iter().chain(&lives).enumerate() {
        // Two are of each moment.
        let at = 10 * (number as u64 / 2);
        let user = users[number % users.len()].as_ref();
        let mut trial = Trial::new(place).scattered().at(at).user(user);
        if number % 4 == 3 {
            trial = trial.child_of(heads[0].run_id);
        }
        let trial = trial.begun(1).await?;
        for (kind, seq) in life.iter().zip(2u64..) {
            let event = vec![trial.event(seq, kind.clone())];
            let answer = trial.append((1, seq - 1), u128::from(seq), event).await;
            place.expect("an append", answer, Ok(seq))?;
        }
        heads.push(trial.known().await?);
    }
    heads.sort_by_key(|head| (head.created_at, head.run_id));
    Ok(heads)
}

/// Expects a list to have those of `heads` that it asks for, in both orders and in pages.
async fn expect_right<S: Store>(
    place: &Place<'_, S>,
    query: &RunQuery,
    heads: &[RunHead],
) -> Checked {
    let wanted = heads.iter().filter(|head| query.holds(head));
    let mut wanted: Vec<RunHead> = wanted.cloned().collect();
    place
        .expect_listed(query.clone().oldest_first(), &wanted)
        .await?;
    wanted.reverse();
    place.expect_listed(query.clone(), &wanted).await
}

async fn runs_are_listed_oldest_first_where_that_is_asked<S: Store>(
    ground: &Ground<'_, S>,
) -> Checked {
    let place = ground.rule("runs are listed oldest first where that is asked for");
    let heads = runs_of_all_kinds(&place).await?;
    expect_right(&place, &RunQuery::agent(place.agent("agent")), &heads).await
}

async fn a_list_has_the_users_statuses_and_times_that_were_asked_for<S: Store>(
    ground: &Ground<'_, S>,
) -> Checked {
    let place = ground.rule("a list has the users, statuses and times that were asked for");
    let heads = runs_of_all_kinds(&place).await?;
    let all = || RunQuery::agent(place.agent("agent"));
    let of = |statuses: StatusSet| all().statuses(statuses);
    let mut queries: Vec<RunQuery> = RunStatus::ALL.map(|status| of(status.into())).to_vec();
    queries.extend([
        of(StatusSet::ENDED),
        of(StatusSet::NONE),
        of(StatusSet::of(&[RunStatus::Running, RunStatus::Cancelled])),
        all().top_level(),
    ]);
    for user in ["ann", "bob", "nobody"] {
        let mut query = all();
        query.user_id = Some(place.user(user));
        queries.extend([query.clone(), query.clone().top_level()]);
        queries.push(query.statuses(StatusSet::UNFINISHED));
    }
    for (from, until) in [
        (Some(20), None),
        (None, Some(40)),
        (Some(20), Some(40)),
        (Some(40), Some(20)),
    ] {
        let mut query = all();
        (query.from, query.until) = (from.map(|at| place.at(at)), until.map(|at| place.at(at)));
        queries.push(query);
    }
    for query in queries {
        expect_right(&place, &query, &heads).await?;
    }
    Ok(())
}
