//! How runs share a session.

use std::cmp::Reverse;

use super::{
    super::Store,
    Checked,
    ground::Ground,
    trial::{Trial, words},
};

pub(super) async fn check<S: Store>(ground: &Ground<'_, S>) -> Checked {
    a_session_is_made_by_its_first_run(ground).await?;
    a_session_is_updated_with_the_status_of_its_runs(ground).await?;
    a_session_may_be_named_before_it_has_runs(ground).await?;
    a_name_may_be_given_changed_and_taken_away(ground).await?;
    sessions_are_listed_newest_first_and_in_pages(ground).await
}

async fn a_session_is_made_by_its_first_run<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("a session is made by its first run, and counts them");
    let id = place.session("lane");
    place.expect("no session", place.session_head(&id).await?, None)?;
    for (runs, moment) in (1..).zip([5, 7, 8]) {
        Trial::new(&place).of(Some(&id)).at(moment).begun(1).await?;
        let session = place.session_head(&id).await?;
        let told = session.map(|head| (head.name, head.created_at, head.updated_at, head.runs));
        let should = (None, place.at(5), place.at(moment), runs);
        place.expect("a session", told, Some(should))?;
    }
    Trial::new(&place).of(None).at(9).begun(1).await?;
    let other = place.session("other");
    Trial::new(&place).of(Some(&other)).at(9).begun(1).await?;
    let session = place.session_head(&id).await?;
    let counted = session.map(|session| (session.runs, session.updated_at));
    place.expect("a session", counted, Some((3, place.at(8))))
}

async fn a_session_is_updated_with_the_status_of_its_runs<S: Store>(
    ground: &Ground<'_, S>,
) -> Checked {
    let place = ground.rule("a session is updated when the status of a run changes");
    let id = place.session("lane");
    let trial = Trial::new(&place).of(Some(&id)).begun(1).await?;
    let answer = trial.append((1, 1), 2, trial.stretch(2, 4)).await;
    place.expect("an append of words", answer, Ok(4))?;
    let session = place.session_head(&id).await?;
    let told = session.map(|session| (session.runs, session.created_at, session.updated_at));
    let unchanged = (1, trial.time_of(1), trial.time_of(1));
    place.expect("a session", told, Some(unchanged))?;
    let events = vec![trial.event(5, words("end")), trial.ending(6)];
    let answer = trial.append((1, 4), 3, events).await;
    place.expect("an append with the ending", answer, Ok(6))?;
    let session = place.session_head(&id).await?;
    let told = session.map(|session| (session.runs, session.created_at, session.updated_at));
    let changed = (1, trial.time_of(1), trial.time_of(6));
    place.expect("a session", told, Some(changed))
}

async fn a_session_may_be_named_before_it_has_runs<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place = ground.rule("a session may be named before it has runs");
    for (which, name) in [("named", Some("Sea songs")), ("nameless", None)] {
        let id = place.session(which);
        for _ in 0..2 {
            place.name(&id, name, 3).await?;
        }
        for runs in 0..3 {
            let session = place.session_head(&id).await?;
            let told = session.map(|head| (head.name, head.created_at, head.runs));
            let should = (name.map(Into::into), place.at(3), runs);
            place.expect("a session", told, Some(should))?;
            Trial::new(&place)
                .of(Some(&id))
                .at(10 + runs)
                .begun(1)
                .await?;
        }
    }
    Ok(())
}

async fn a_name_may_be_given_changed_and_taken_away<S: Store>(ground: &Ground<'_, S>) -> Checked {
    let place =
        ground.rule("a name may be given, changed and taken away, and nothing else with it");
    let id = place.session("lane");
    let trial = Trial::new(&place).of(Some(&id)).at(5).begun(1).await?;
    let before = place.session_head(&id).await?;
    let run = trial.known().await?;
    for name in [
        Some("Sea"),
        Some("Sea"),
        Some("Ærø — ''; 海"),
        Some(""),
        None,
    ] {
        place.name(&id, name, 50).await?;
        let mut should = before.clone();
        if let Some(session) = &mut should {
            session.name = name.map(Into::into);
        }
        place.expect("a session", place.session_head(&id).await?, should)?;
        place.expect("its run", trial.known().await?, run.clone())?;
    }
    Ok(())
}

async fn sessions_are_listed_newest_first_and_in_pages<S: Store>(
    ground: &Ground<'_, S>,
) -> Checked {
    let place = ground.rule("sessions are listed newest first, and in pages without a gap");
    let mut heads = Vec::new();
    // Of one moment they are sorted by the bytes of their ids, whatever the language.
    for (which, moment) in [
        ("b", 5),
        ("A", 5),
        ("a", 5),
        ("é", 5),
        ("Z", 5),
        ("a b", 5),
        ("late", 9),
        ("early", 2),
    ] {
        let id = place.session(which);
        if moment == 5 && which < "a" {
            place.name(&id, Some(which), moment).await?;
        } else {
            Trial::new(&place).of(Some(&id)).at(moment).begun(1).await?;
        }
        heads.extend(place.session_head(&id).await?);
    }
    heads.sort_by_key(|head| Reverse((head.created_at, head.session_id.clone())));
    for size in [1, 2, 3, 100] {
        let listed = place.listed_sessions(size).await?;
        let what = format!("a list of sessions in pages of {size}");
        place.expect(&what, &listed, &heads)?;
    }
    Ok(())
}
