//! Every history of inputs up to a length, against a store that keeps count.

use super::*;

/// How long the histories are.
const LENGTH: usize = 11;

/// What has really happened, beside what the law believes.
#[derive(Clone, Default)]
struct World {
    /// The append that left, until the store confirms it.
    flying: Option<(Expected, u64)>,
    is_lost: bool,
    /// Takeovers that were asked for and not confirmed.
    acquires: u32,
    takeovers: u64,
}

fn error() -> AppendError {
    AppendError::Unavailable("gone".into())
}

fn inputs() -> [Input; 8] {
    [
        Input::Decided,
        Input::Acquire,
        Input::Send,
        Input::SendLate,
        Input::Confirmed,
        Input::Doubt,
        Input::Lose(error()),
        Input::Back,
    ]
}

/// Takes one input, and checks what the law makes of it.
fn take(law: &Outbox, world: &World, input: &Input, start: u64) -> (Outbox, World) {
    let (before, mut law, mut world) = (law.clone(), law.clone(), world.clone());
    let effect = law.apply(input.clone());
    let after = law.clone();
    let told = || format!("{before:?} + {input:?} -> {after:?} {effect:?}");

    if effect == Effect::Refuse {
        assert_eq!(law, before, "a refusal changes nothing: {}", told());
        return (law, world);
    }
    match input {
        Input::Decided => assert_eq!(law.decided, before.decided + 1, "{}", told()),
        Input::Acquire => world.acquires = 1,
        Input::Send | Input::SendLate => {
            let Effect::Append { expected, last } = effect else {
                panic!("what is sent is an append: {}", told());
            };
            match &world.flying {
                None => {
                    assert!(last == law.decided && last > expected.last, "{}", told());
                    assert_eq!(expected.acquire, world.acquires == 1, "{}", told());
                }
                Some(flying) => {
                    assert!(world.is_lost, "two appends are in flight: {}", told());
                    assert_eq!(*flying, (expected, last), "another append: {}", told());
                }
            }
            assert_eq!(expected.last, before.stored, "a gap, or twice: {}", told());
            assert_eq!(expected.epoch, start + world.takeovers, "{}", told());
            assert!(!expected.acquire || world.acquires == 1, "{}", told());
            assert_eq!(*input == Input::SendLate, world.is_lost, "{}", told());
            world.flying = Some((expected, last));
        }
        Input::Confirmed => {
            let (expected, last) = world.flying.take().expect("something was in flight");
            assert_eq!(law.stored, last, "{}", told());
            if expected.acquire {
                world.takeovers += 1;
                world.acquires = 0;
            }
        }
        Input::Doubt => assert!(world.flying.is_some() && !law.has_room(), "{}", told()),
        Input::Lose(_) => world.is_lost = true,
        Input::Back => {
            assert!(world.is_lost && law.is_stored(), "{}", told());
            world.is_lost = false;
        }
    }
    assert!(
        law.stored <= law.sent && law.sent <= law.decided,
        "the marks are out of order: {}",
        told()
    );
    assert!(
        before.stored <= law.stored && before.sent <= law.sent,
        "a mark went back: {}",
        told()
    );
    let moved = before.stored < law.stored;
    assert_eq!(moved, *input == Input::Confirmed, "{}", told());
    assert_eq!(law.lost().is_some(), world.is_lost, "{}", told());
    assert_eq!(law.epoch, start + world.takeovers, "{}", told());
    let asked = world.flying.is_some_and(|(expected, _)| expected.acquire);
    let free = law.stored > 0 && !world.is_lost && !asked;
    assert!(
        free || !law.has_room(),
        "room that is not there: {}",
        told()
    );
    (law, world)
}

/// Whatever has happened, a store that confirms gets everything, and each takeover once.
fn is_delivered_in_the_end(law: &Outbox, world: &World, start: u64) {
    let (mut law, mut world) = (law.clone(), world.clone());
    for _ in 0..2 {
        for input in [Input::Send, Input::SendLate, Input::Confirmed, Input::Back] {
            (law, world) = take(&law, &world, &input, start);
        }
    }
    assert!(law.is_stored() && law.lost().is_none(), "{law:?}");
    assert_eq!(law.claim == Claim::Due, world.acquires == 1, "{law:?}");
    if law.claim == Claim::Due {
        for input in [Input::Decided, Input::Send, Input::Confirmed] {
            (law, world) = take(&law, &world, &input, start);
        }
        assert_eq!((law.claim, world.acquires), (Claim::Ours, 0), "{law:?}");
    }
}

/// An input that is refused changes nothing: what follows it is a shorter history, which is checked as well.
fn histories(law: &Outbox, world: &World, start: u64, left: usize) -> u64 {
    is_delivered_in_the_end(law, world, start);
    if left == 0 {
        return 1;
    }
    let each = inputs().into_iter().map(|input| {
        let (next, world) = take(law, world, &input, start);
        match next == *law {
            true => 1,
            false => histories(&next, &world, start, left - 1),
        }
    });
    each.sum()
}

#[test]
fn every_history_delivers_each_event_once_and_in_order() {
    for (position, epoch) in [(0, 1), (3, 4)] {
        let law = Outbox::at(position, epoch);
        let histories = histories(&law, &World::default(), epoch, LENGTH);
        assert!(histories > 10_000, "{histories}");
    }
}

#[test]
fn a_model_is_read_until_the_backlog_is_full() {
    let mut law = Outbox::at(0, 1);
    assert!(!law.has_room(), "the start is not stored");
    for input in [Input::Decided, Input::Send, Input::Confirmed] {
        law.apply(input);
    }
    for _ in 0..MAX_BACKLOG {
        law.apply(Input::Decided);
    }
    assert!(law.has_room());
    law.apply(Input::Decided);
    assert!(!law.has_room());
}
