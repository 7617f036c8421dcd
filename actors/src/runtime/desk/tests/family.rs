use super::*;

/// Has steps happen that all are taken.
fn after(bounds: Bounds, steps: impl IntoIterator<Item = Step>) -> World {
    let mut world = World::new(bounds);
    for step in steps {
        assert!(world.take(step), "{step:?} is refused: {:?}", world.history);
    }
    world
}

fn queue(session: &'static str) -> Step {
    Step::Enter(Some(session), WhenBusy::Queue)
}

#[test]
fn a_grandchild_runs_beside_its_grandparent_that_has_the_session() {
    let steps = [queue("a"), Step::Stored(0), Step::Child(0, None)];
    let mut world = after(bounds(1), steps);
    assert!(world.take(Step::Child(1, Some("a"))));
    assert_eq!(world.desk.phase(id(2)), Some(Phase::Live));
    world.drain();
}

#[test]
fn a_child_does_not_wait_for_a_run_that_has_no_slot() {
    // The one slot is taken by a run that starts a child in the session of one that waits for the slot.
    let steps = [Step::Enter(None, WhenBusy::Queue), queue("a")];
    let mut world = after(bounds(1), steps);
    assert_eq!(world.desk.phase(id(1)), Some(Phase::Ready));
    assert!(world.take(Step::Child(0, Some("a"))));
    assert_eq!(world.desk.phase(id(2)), Some(Phase::Live));
    assert_eq!(
        world.desk.phase(id(1)),
        Some(Phase::Waiting),
        "it comes next"
    );
    world.take(Step::Settles(2));
    assert_eq!(world.desk.phase(id(1)), Some(Phase::Ready));
    world.drain();
}

#[test]
fn a_child_that_goes_on_waits_for_the_session_that_its_parent_waits_for() {
    let mut world = after(
        bounds(5),
        [
            queue("a"),
            Step::Child(0, Some("a")),
            Step::Pauses(1),
            Step::PauseStored(1),
            Step::Pauses(0),
            Step::PauseStored(0),
            queue("a"),
            Step::Continues(0),
        ],
    );
    assert_eq!(world.desk.phase(id(0)), Some(Phase::Waiting));
    assert!(world.take(Step::Continues(1)));
    assert_eq!(
        world.desk.phase(id(1)),
        Some(Phase::Waiting),
        "somebody is at work"
    );
    world.take(Step::Settles(2));
    let both = (world.desk.phase(id(0)), world.desk.phase(id(1)));
    assert_eq!(both, (Some(Phase::Live), Some(Phase::Live)));
    world.drain();
}

#[test]
fn a_child_is_one_while_its_parent_is_paused() {
    let mut world = after(
        bounds(1),
        [
            Step::Enter(None, WhenBusy::Queue),
            Step::Child(0, None),
            Step::Pauses(1),
            Step::PauseStored(1),
            Step::Pauses(0),
            Step::PauseStored(0),
            queue("a"),
        ],
    );
    assert!(world.take(Step::Continues(1)), "it needs no slot");
    assert_eq!(world.desk.phase(id(1)), Some(Phase::Live));
    world.take(Step::Pauses(1));
    world.take(Step::PauseStored(1));
    assert!(world.desk.has_family(id(1)) && world.desk.has_family(id(0)));
    // The last child goes, and nobody needs the log of its parent any more.
    world.take(Step::Ends(1));
    let effects = world.desk.settled(id(1));
    assert_eq!(effects, [Effect::Forget(id(1)), Effect::Childless(id(0))]);
}

#[test]
fn children_are_bounded_in_depth_and_in_number() {
    let few = Bounds {
        child_depth: 2,
        children: 3,
        ..bounds(1)
    };
    let mut world = World::new(few);
    let child = |world: &mut World, parent| world.start(None, None, parent, WhenBusy::Queue);
    child(&mut world, None).unwrap();
    child(&mut world, Some(0)).unwrap();
    child(&mut world, Some(1)).unwrap();
    let deep = child(&mut world, Some(2)).unwrap_err();
    assert_eq!(deep, StartError::TooDeep { most: 2 });
    child(&mut world, Some(0)).unwrap();
    // Those of its children count too, or a family would have no bound.
    for parent in [0, 1] {
        let many = child(&mut world, Some(parent)).unwrap_err();
        assert_eq!(many, StartError::TooManyChildren { most: 3 });
    }
    world.desk.settled(id(2));
    child(&mut world, Some(1)).unwrap();
}

#[test]
fn a_run_that_is_to_stop_starts_no_children() {
    let mut world = after(bounds(1), [queue("a"), Step::Ends(0)]);
    for _ in 0..2 {
        let ended = world
            .start(None, None, Some(0), WhenBusy::Queue)
            .unwrap_err();
        assert_eq!(ended, StartError::ParentEnded(id(0)));
        world.desk.settled(id(0));
    }
}
