//! How events are appended, and read.

use futures::future::join_all;

use super::{
    super::{AppendError, Store},
    Checked,
    ground::Ground,
    trial::{Trial, words},
};
use crate::status::RunStatus;

pub(super) async fn check<S: Store>(ground: &Ground<'_, S>) -> Checked {
    a_run_begins_at_1_with_its_start(ground).await?;
    an_append_goes_on_where_the_run_stands(ground).await?;
    a_refused_append_leaves_nothing_behind(ground).await?;
    another_epoch_is_refused(ground).await?;
    a_retried_batch_gets_the_first_answer(ground).await?;
    nothing_follows_an_ending(ground).await?;
    of_appends_that_race_one_wins(ground).await?;
    what_was_appended_is_read_in_order_and_in_pages(ground).await
}

async fn a_run_begins_at_1_with_its_start<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("a run begins at position 1 with its start");
    let trial = Trial::new(&place);
    place.expect("head of no run", trial.head().await?, None)?;
    let later = trial.append((1, 4), 1, trial.stretch(5, 6)).await;
    trial.expect_fenced("an append to no run", later)?;
    place.expect("head of no run", trial.head().await?, None)?;
    let answer = trial.append((1, 0), 2, trial.stretch(1, 2)).await;
    place.expect("the first append", answer, Ok(2))?;
    let again = trial.append((1, 0), 3, trial.stretch(1, 1)).await;
    trial.expect_fenced("a second start", again)?;
    trial.expect_stands_at(1, 2).await?;
    let head = trial.known().await?;
    let known = (head.run_id, head.agent, head.session_id, head.status);
    let (id, agent, session) = (trial.id, trial.agent.clone(), trial.session.clone());
    place.expect("head", known, (id, agent, session, RunStatus::Pending))?;
    let loner = Trial::new(&place).of(None).begun(1).await?;
    let session = loner.known().await?.session_id;
    place.expect("the session of a run that has none", session, None)
}

async fn an_append_goes_on_where_the_run_stands<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("an append goes on where the run stands");
    let trial = Trial::with(&place, 3).await?;
    for (what, last, first) in [
        ("an append that is one behind", 2, 3),
        ("an append that is one ahead", 4, 5),
        ("an append that is far ahead", 30, 31),
        ("an append that leaves a gap", 3, 5),
        ("an append that overlaps", 3, 3),
        ("an append at a free place after a wrong one", 2, 4),
    ] {
        let events = trial.stretch(first, first);
        let answer = trial.append((1, last), 2, events).await;
        trial.expect_fenced(what, answer)?;
        trial.expect_stands_at(1, 3).await?;
    }
    let answer = trial.append((1, 3), 3, trial.stretch(4, 4)).await;
    place.expect("an append of one", answer, Ok(4))?;
    let answer = trial.append((1, 4), 4, trial.stretch(5, 9)).await;
    place.expect("an append of many", answer, Ok(9))?;
    trial.expect_stands_at(1, 9).await
}

async fn a_refused_append_leaves_nothing_behind<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("an append is all or nothing");
    let trial = Trial::with(&place, 3).await?;
    let answer = trial.append((1, 1), 2, trial.stretch(2, 6)).await;
    trial.expect_fenced("an append whose first events are there", answer)?;
    trial.expect_stands_at(1, 3).await?;
    // What was refused is no batch that could be retried into success.
    let answer = trial.append((1, 1), 2, trial.stretch(2, 6)).await;
    trial.expect_fenced("the same again", answer)?;
    trial.expect_stands_at(1, 3).await
}

async fn another_epoch_is_refused<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("only the owner appends");
    let trial = Trial::with(&place, 3).await?;
    for epoch in [0, 2] {
        let answer = trial.append((epoch, 3), 2, trial.stretch(4, 4)).await;
        trial.expect_fenced("an append of another epoch", answer)?;
    }
    trial.expect_stands_at(1, 3).await
}

async fn a_retried_batch_gets_the_first_answer<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("a retried batch gets the first answer");
    let trial = Trial::with(&place, 3).await?;
    let again = trial.append((1, 0), 1, trial.stretch(1, 3)).await;
    place.expect("the first append, retried", again, Ok(3))?;
    for _ in 0..3 {
        let answer = trial.append((1, 3), 7, trial.stretch(4, 5)).await;
        place.expect("an append, and its retries", answer, Ok(5))?;
        trial.expect_stands_at(1, 5).await?;
    }
    let other = trial.append((1, 3), 8, trial.stretch(4, 5)).await;
    trial.expect_fenced("the same events as another batch", other)?;
    trial.expect_stands_at(1, 5).await
}

async fn nothing_follows_an_ending<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("nothing follows an ending");
    let trial = Trial::with(&place, 2).await?;
    let ending = || vec![trial.event(3, words("end")), trial.ending(4)];
    for _ in 0..2 {
        let answer = trial.append((1, 2), 2, ending()).await;
        place.expect("an append with the ending, and its retry", answer, Ok(4))?;
    }
    let ended = || Err(AppendError::Ended { last: 4 });
    let more = trial.append((1, 4), 3, trial.stretch(5, 5)).await;
    place.expect("an append after the ending", more, ended())?;
    let twice = trial.append((1, 4), 4, vec![trial.ending(5)]).await;
    place.expect("a second ending", twice, ended())?;
    let head = trial.known().await?;
    let stands = (head.status, head.last);
    place.expect("head", stands, (RunStatus::Error, 4))
}

async fn of_appends_that_race_one_wins<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("of appends that race one wins");
    let trial = &Trial::with(&place, 2).await?;
    for last in 2..12 {
        let racers = (0..8u128).map(|racer| {
            let batch = 100 + u128::from(last) * 8 + racer;
            trial.append((1, last), batch, trial.stretch(last + 1, last + 1))
        });
        let answers = join_all(racers).await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        place.expect("the number of winners", won, 1)?;
        for answer in answers.into_iter().filter(Result::is_err) {
            trial.expect_fenced("an append that lost", answer)?;
        }
    }
    trial.expect_stands_at(1, 12).await
}

async fn what_was_appended_is_read_in_order_and_in_pages<S: Store>(
    ground: &Ground<'_, S>,
) -> Checked {
    let place = ground.rule("what was appended is read in order and in pages");
    let trial = Trial::with(&place, 9).await?;
    for (after, limit) in [(0, 1), (0, 4), (3, 4), (7, 4), (8, 1), (0, 9)] {
        let page = trial.read(after, limit).await?;
        let all = trial.stretch(after + 1, 9);
        if page.is_empty() || page.len() > limit || !all.starts_with(&page) {
            let what = format!("read after {after} with limit {limit} answered {page:?}");
            return Err(place.violation(what));
        }
    }
    place.expect("read after the last", trial.read(9, 4).await?, vec![])
}
