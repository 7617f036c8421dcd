use super::*;

/// How many runs come in in one history.
const RUNS: usize = 4;

#[test]
fn every_history_of_two_sessions_and_two_slots_keeps_the_rules() {
    let states = every_history(&World::new(bounds(2)), 6, |world| {
        let mut steps = to_runs(world);
        if world.models.len() < RUNS {
            for busy in [
                WhenBusy::Queue,
                WhenBusy::Reject,
                WhenBusy::Interrupt,
                WhenBusy::Parallel,
            ] {
                steps.push(Step::Enter(Some("a"), busy));
            }
            steps.push(Step::Enter(Some("b"), WhenBusy::Queue));
            steps.push(Step::Enter(None, WhenBusy::Queue));
        }
        steps.push(match world.deleting {
            true => Step::Deleted,
            false => Step::Deletes,
        });
        if !world.desk.closed {
            steps.push(Step::Closes);
        }
        steps
    });
    assert!(states > 50_000, "{states} are too few to be all");
}

#[test]
fn every_history_of_a_family_keeps_the_rules_and_nobody_in_it_waits_for_ever() {
    let states = every_history(&World::new(bounds(1)), 7, |world| {
        let mut steps = to_runs(world);
        if world.models.len() < RUNS {
            steps.push(Step::Enter(Some("a"), WhenBusy::Queue));
            steps.push(Step::Enter(None, WhenBusy::Queue));
            for (run, model) in world.models.iter().enumerate() {
                // One level below the other, so that no two wait for what the other has.
                if model.launched && model.stored && model.seen == Seen::Open {
                    steps.push(Step::Child(run, Some("a")));
                    steps.push(Step::Child(run, None));
                }
            }
        }
        steps
    });
    assert!(states > 10_000, "{states} are too few to be all");
}

#[test]
fn every_history_of_two_users_keeps_the_rules() {
    let few = Bounds {
        live_per_user: Some(1),
        ..bounds(2)
    };
    let states = every_history(&World::new(few), 8, |world| {
        let mut steps = to_runs(world);
        if world.models.len() < RUNS {
            steps.push(Step::User("ann"));
            steps.push(Step::User("bob"));
            steps.push(Step::Enter(None, WhenBusy::Queue));
        }
        steps
    });
    assert!(states > 2_000, "{states} are too few to be all");
}
