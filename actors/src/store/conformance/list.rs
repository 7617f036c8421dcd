//! How runs are listed.

use std::{cmp::Reverse, sync::Arc};

use super::{
    super::{RunHead, RunQuery, Store},
    Checked, Violation,
    ground::{Ground, Place},
    trial::{Trial, cancelled, completed, failed, words},
};
use crate::{
    cancel::{Activity, CancelReason},
    event::{CancelRequested, EventKind, Paused},
    message::ToolCall,
    status::RunStatus,
    usage::Usage,
};

pub(super) async fn check<S: Store>(ground: &Ground<'_, S>) -> Checked {
    a_run_is_listed_from_its_first_append_as_its_events_say(ground).await?;
    a_run_that_was_taken_over_is_listed_so(ground).await?;
    what_has_not_ended_is_unfinished(ground).await?;
    runs_are_listed_newest_first(ground).await?;
    pages_leave_nothing_out_and_repeat_nothing(ground).await?;
    a_list_has_what_was_asked_for(ground).await
}

pub(super) fn asks() -> EventKind {
    let (turn, attempt) = (1, 1);
    EventKind::ModelRequestStarted {
        turn,
        attempt,
        input_bytes: None,
    }
}

fn calls() -> EventKind {
    EventKind::ToolCallStarted(Arc::new(ToolCall::new("call-1", "forecast", "{}")))
}

pub(super) fn pauses() -> EventKind {
    EventKind::Paused(Arc::new(Paused::new(Vec::new())))
}

pub(super) fn goes_on() -> EventKind {
    EventKind::Continued(Arc::default())
}

fn is_cancelled() -> EventKind {
    let cancel = Arc::new(CancelRequested {
        reason: CancelReason::Requested,
        by: None,
        cut: None,
    });
    EventKind::CancelRequested { cancel }
}

async fn a_run_is_listed_from_its_first_append_as_its_events_say<S: Store>(
    ground: &Ground<'_, S>,
) -> Checked {
    use RunStatus as Is;

    let place = ground.rule("a run is listed from its first append on, as its events say");
    let lives: [&[(RunStatus, &[EventKind])]; 4] = [
        &[
            (Is::Pending, &[words("hm")]),
            (Is::Running, &[asks()]),
            (Is::Running, &[words("I am"), words(" here")]),
            (Is::Running, &[calls(), words("!")]),
            (Is::Completed, &[words("."), completed()]),
        ],
        &[
            (Is::Running, &[asks(), words("I am")]),
            (Is::Paused, &[words("well"), pauses()]),
            (Is::Pending, &[goes_on()]),
            (Is::Error, &[asks(), failed()]),
        ],
        &[
            (Is::Running, &[goes_on(), calls()]),
            (Is::Cancelling, &[is_cancelled()]),
            (Is::Cancelled, &[cancelled()]),
        ],
        &[(Is::Cancelled, &[is_cancelled(), cancelled()])],
    ];
    for (number, life) in lives.into_iter().enumerate() {
        let session = place.session(&number.to_string());
        let query = RunQuery::session(session.clone());
        let trial = Trial::new(&place).of(Some(&session));
        place.expect_listed(query.clone(), &[]).await?;
        let trial = trial.begun(1).await?;
        expect_told(&place, &trial, &query, 1, RunStatus::Pending).await?;
        let (mut last, mut batch) = (1, 1);
        for (status, kinds) in life {
            let events = kinds.iter().zip(last + 1..);
            let events: Vec<_> = events
                .map(|(kind, seq)| trial.event(seq, kind.clone()))
                .collect();
            let stands = last + kinds.len() as u64;
            batch += 1;
            let answer = trial.append((1, last), batch, events).await;
            place.expect("an append", answer, Ok(stands))?;
            last = stands;
            expect_told(&place, &trial, &query, last, *status).await?;
        }
    }
    Ok(())
}

/// Expects the run's head, and the list of its session, to say where it stands.
async fn expect_told<S: Store>(
    place: &Place<'_, S>,
    trial: &Trial<'_, S>,
    query: &RunQuery,
    last: u64,
    status: RunStatus,
) -> Checked {
    // What it used, and what was interrupted, is said when it ends.
    let usage = status.is_ended().then(Usage::default);
    let cut = (status == RunStatus::Cancelled).then_some(Activity::Streaming);
    let head = RunHead {
        run_id: trial.id,
        agent: trial.agent.clone(),
        session_id: trial.session.clone(),
        user_id: None,
        parent: None,
        status,
        last,
        epoch: 1,
        created_at: trial.time_of(1),
        updated_at: trial.time_of(last),
        usage,
        cut,
    };
    place.expect("head", trial.head().await?.as_ref(), Some(&head))?;
    place.expect("a list", place.runs(query.clone()).await?, vec![head])
}

async fn a_run_that_was_taken_over_is_listed_so<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("a run that was taken over is listed with its new epoch");
    let trial = Trial::with(&place, 2).await?;
    let events = vec![trial.event(3, goes_on()), trial.event(4, asks())];
    let taken = trial.acquire((1, 2), 2, events).await;
    place.expect("an acquire", taken, Ok(4))?;
    let head = trial.known().await?;
    let stands = (head.epoch, head.last, head.status, head.updated_at);
    let should = (2, 4, RunStatus::Running, trial.time_of(4));
    place.expect("head", stands, should)?;
    let query = RunQuery::agent(trial.agent.clone());
    place.expect("a list", place.runs(query).await?, vec![head])
}

async fn what_has_not_ended_is_unfinished<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("what has not ended is unfinished");
    let mut unfinished = Vec::new();
    for (number, kinds) in [
        vec![],
        vec![asks()],
        vec![asks(), pauses()],
        vec![asks(), pauses(), goes_on()],
        vec![asks(), is_cancelled()],
        vec![asks(), completed()],
        vec![asks(), failed()],
        vec![is_cancelled(), cancelled()],
    ]
    .into_iter()
    .enumerate()
    {
        let trial = Trial::new(&place).at(number as u64).begun(1).await?;
        let last = 1 + kinds.len() as u64;
        let ended = kinds.last().is_some_and(EventKind::is_last);
        if last > 1 {
            let events = kinds.into_iter().zip(2..);
            let events = events.map(|(kind, seq)| trial.event(seq, kind)).collect();
            let answer = trial.append((1, 1), 2, events).await;
            place.expect("an append", answer, Ok(last))?;
        }
        if !ended {
            unfinished.push(trial.known().await?);
        }
    }
    unfinished.reverse();
    let query = RunQuery {
        agent: Some(place.agent("agent")),
        ..RunQuery::unfinished()
    };
    place.expect_listed(query, &unfinished).await
}

/// Heads as they should be listed: the newest first.
fn newest_first(mut heads: Vec<RunHead>) -> Vec<RunHead> {
    heads.sort_by_key(|head| Reverse((head.created_at, head.run_id)));
    heads
}

/// Runs that began at these moments, in this order.
async fn runs_at<S: Store>(
    place: &Place<'_, S>,
    moments: &[u64],
) -> Result<Vec<RunHead>, Violation> {
    let mut heads = Vec::new();
    for moment in moments {
        let trial = Trial::new(place).scattered().at(*moment).begun(1).await?;
        heads.push(trial.known().await?);
    }
    Ok(newest_first(heads))
}

async fn runs_are_listed_newest_first<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("runs are listed newest first");
    let heads = runs_at(&place, &[30, 10, 50, 20, 40]).await?;
    let query = RunQuery::agent(place.agent("agent"));
    place.expect_listed(query, &heads).await?;
    for (nth, head) in heads.iter().enumerate() {
        let query = RunQuery::agent(place.agent("agent")).after(head);
        place.expect_listed(query, &heads[nth + 1..]).await?;
    }
    Ok(())
}

async fn pages_leave_nothing_out_and_repeat_nothing<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("pages leave nothing out and repeat nothing, also of one moment");
    let heads = runs_at(&place, &[5, 5, 7, 5, 5, 3, 5, 5]).await?;
    let query = RunQuery::agent(place.agent("agent"));
    place.expect_listed(query, &heads).await?;
    // Other runs may lie between them here.
    for size in [1, 3, 100] {
        let listed = place.listed_among_all(size).await?;
        place.expect("a list of all runs, in pages,", &listed, &heads)?;
    }
    Ok(())
}

async fn a_list_has_what_was_asked_for<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("a list has what was asked for");
    let (here, there) = (place.session("here"), place.session("there"));
    let (one, other) = (place.agent("one"), place.agent("other"));
    let mut heads = Vec::new();
    let sessions = [Some(&here), Some(&there), None];
    for (number, session) in sessions.into_iter().enumerate() {
        for (agent, moment) in [(&one, 0), (&other, 10), (&one, 20), (&other, 20)] {
            let moment = moment + number as u64;
            let trial = Trial::new(&place).of(session).by(agent).at(moment);
            let trial = trial.begun(1).await?;
            if moment < 20 {
                let answer = trial.append((1, 1), 2, vec![trial.ending(2)]).await;
                place.expect("an ending", answer, Ok(2))?;
            }
            heads.push(trial.known().await?);
        }
    }
    let heads = newest_first(heads);
    for session_id in [None, Some(&here), Some(&there)] {
        for agent in [None, Some(&one), Some(&other)] {
            for unfinished in [false, true] {
                if session_id.is_none() && agent.is_none() {
                    continue;
                }
                let mut query = match unfinished {
                    true => RunQuery::unfinished(),
                    false => RunQuery::default(),
                };
                query.session_id = session_id.cloned();
                query.agent = agent.cloned();
                let wanted = heads.iter().filter(|head| query.holds(head));
                let wanted: Vec<RunHead> = wanted.cloned().collect();
                place.expect_listed(query.clone(), &wanted).await?;
                let none = place.runs(query.limit(0)).await?;
                place.expect("a list of no more than none", none, vec![])?;
            }
        }
    }
    Ok(())
}
