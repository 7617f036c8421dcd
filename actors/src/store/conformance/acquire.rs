//! How a run is taken over.

use futures::future::join_all;

use super::{
    super::{AppendError, Store},
    Checked,
    ground::Ground,
    trial::Trial,
};
use crate::status::RunStatus;

pub(super) async fn check<S: Store>(ground: &Ground<'_, S>) -> Checked {
    who_takes_a_run_over_owns_it(ground).await?;
    a_run_is_taken_over_where_it_stands(ground).await?;
    a_retried_acquire_gets_the_first_answer(ground).await?;
    only_an_acquire_takes_a_run_over(ground).await?;
    an_ended_run_is_nobodys_to_take(ground).await?;
    no_run_is_nobodys_to_take(ground).await?;
    of_acquirers_that_race_one_wins(ground).await
}

async fn who_takes_a_run_over_owns_it<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("who takes a run over owns it, and fences who had it before");
    let trial = Trial::with(&place, 3).await?;
    let taken = trial.acquire((1, 3), 2, trial.stretch(4, 5)).await;
    place.expect("an acquire", taken, Ok(5))?;
    trial.expect_stands_at(2, 5).await?;
    for (what, last) in [("where it stood", 3), ("where the run stands", 5)] {
        let what = format!("an append of the old owner {what}");
        let old = trial.append((1, last), 3, trial.stretch(last + 1, last + 1));
        trial.expect_fenced(&what, old.await)?;
    }
    let back = trial.acquire((1, 5), 4, trial.stretch(6, 6)).await;
    trial.expect_fenced("an acquire of the old owner, who does not know", back)?;
    trial.expect_stands_at(2, 5).await?;
    let goes_on = trial.append((2, 5), 5, trial.stretch(6, 7)).await;
    place.expect("an append of the new owner", goes_on, Ok(7))?;
    let next = trial.acquire((2, 7), 6, trial.stretch(8, 8)).await;
    place.expect("a second acquire", next, Ok(8))?;
    trial.expect_stands_at(3, 8).await
}

async fn a_run_is_taken_over_where_it_stands<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("an acquire that is refused changes nothing");
    let trial = Trial::with(&place, 3).await?;
    for (what, epoch, last, first) in [
        ("of an epoch before", 0, 3, 4),
        ("of an epoch to come", 2, 3, 4),
        ("that is one behind", 1, 2, 3),
        ("that is one ahead", 1, 4, 5),
        ("that leaves a gap", 1, 3, 5),
        ("that overlaps", 1, 3, 3),
        ("of a run that would begin", 1, 0, 1),
    ] {
        let events = trial.stretch(first, first);
        let answer = trial.acquire((epoch, last), 2, events).await;
        trial.expect_fenced(&format!("an acquire {what}"), answer)?;
        trial.expect_stands_at(1, 3).await?;
    }
    let owner = trial.append((1, 3), 3, trial.stretch(4, 4)).await;
    place.expect("an append of the owner after all these", owner, Ok(4))
}

async fn a_retried_acquire_gets_the_first_answer<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("a retried acquire gets the first answer");
    let trial = Trial::with(&place, 3).await?;
    for _ in 0..3 {
        let answer = trial.acquire((1, 3), 7, trial.stretch(4, 5)).await;
        place.expect("an acquire, and its retries", answer, Ok(5))?;
        trial.expect_stands_at(2, 5).await?;
    }
    let other = trial.acquire((1, 3), 8, trial.stretch(4, 5)).await;
    trial.expect_fenced("the same acquire as another batch", other)?;
    let goes_on = trial.append((2, 5), 9, trial.stretch(6, 6)).await;
    place.expect("an append of the new owner", goes_on, Ok(6))?;
    trial.expect_stands_at(2, 6).await
}

async fn only_an_acquire_takes_a_run_over<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("only an acquire takes a run over");
    let trial = Trial::with(&place, 3).await?;
    let next = trial.append((2, 3), 2, trial.stretch(4, 4)).await;
    trial.expect_fenced("an append of the next epoch", next)?;
    trial.expect_stands_at(1, 3).await?;
    let taken = trial.acquire((1, 3), 3, trial.stretch(4, 4)).await;
    place.expect("an acquire", taken, Ok(4))?;
    for epoch in [1, 3] {
        let other = trial.append((epoch, 4), 4, trial.stretch(5, 5)).await;
        trial.expect_fenced("an append of another epoch", other)?;
    }
    trial.expect_stands_at(2, 4).await
}

async fn an_ended_run_is_nobodys_to_take<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("an ended run is nobody's to take");
    let trial = Trial::with(&place, 2).await?;
    // Recovery ends runs without an owner this way: in one step.
    for _ in 0..2 {
        let answer = trial.acquire((1, 2), 2, vec![trial.ending(3)]).await;
        place.expect("an acquire with the ending, and its retry", answer, Ok(3))?;
    }
    let ended = || Err(AppendError::Ended { last: 3 });
    let more = trial.acquire((2, 3), 3, trial.stretch(4, 4)).await;
    place.expect("an acquire after the ending", more, ended())?;
    let twice = trial.acquire((2, 3), 4, vec![trial.ending(4)]).await;
    place.expect("an acquire with a second ending", twice, ended())?;
    let head = trial.known().await?;
    let stands = (head.status, head.epoch, head.last);
    place.expect("head", stands, (RunStatus::Error, 2, 3))
}

async fn no_run_is_nobodys_to_take<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("an acquire makes no run");
    let trial = Trial::new(&place);
    for (epoch, last) in [(0, 0), (1, 0), (0, 3), (1, 3)] {
        let events = trial.stretch(last + 1, last + 2);
        let answer = trial.acquire((epoch, last), 2, events).await;
        trial.expect_fenced("an acquire of no run", answer)?;
        place.expect("head of no run", trial.head().await?, None)?;
    }
    let begun = trial.begun(2).await?;
    begun.expect_stands_at(1, 2).await
}

async fn of_acquirers_that_race_one_wins<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("of acquirers and the owner, when they race, one wins");
    let trial = &Trial::with(&place, 2).await?;
    let mut epoch = 1;
    for last in 2..12 {
        let racers = (0..9u128).map(|racer| async move {
            let batch = 100 + u128::from(last) * 9 + racer;
            let events = trial.stretch(last + 1, last + 1);
            // The owner is in the middle of them, at another place each time.
            if racer == u128::from(last) % 9 {
                trial.append((epoch, last), batch, events).await
            } else {
                trial.acquire((epoch, last), batch, events).await
            }
        });
        let answers = join_all(racers).await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        place.expect("the number of winners", won, 1)?;
        let by_owner = answers[(last % 9) as usize].is_ok();
        epoch += u64::from(!by_owner);
        for answer in answers.into_iter().filter(Result::is_err) {
            trial.expect_fenced("an append that lost", answer)?;
        }
        trial.expect_stands_at(epoch, last + 1).await?;
    }
    Ok(())
}
