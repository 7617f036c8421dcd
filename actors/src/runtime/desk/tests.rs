//! Every history of the law up to a length, and its rules one by one.

mod family;
mod histories;
mod rules;
mod world;

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;

use self::world::{Seen, Step, World};
use super::*;
use crate::{error::StartError, id::Timestamp, runtime::when_busy::WhenBusy};

fn id(number: usize) -> RunId {
    RunId::from(Uuid::from_u128(number as u128 + 1))
}

fn bounds(live: usize) -> Bounds {
    Bounds {
        live,
        live_per_user: None,
        queued: 100,
        waiting_in_session: 100,
        child_depth: 16,
        children: 100,
    }
}

fn desk(bounds: Bounds) -> Desk {
    Desk::new(bounds, Intents::new(10, 2, Duration::from_secs(60)))
}

/// Has every history of the steps that `next` finds happen, up to a length. Returns how many different states there are.
fn every_history(start: &World, length: usize, next: impl Fn(&World) -> Vec<Step>) -> usize {
    let mut known = HashSet::from([start.key()]);
    let mut reached = vec![start.clone()];
    for _ in 0..length {
        let mut further = Vec::new();
        for world in &reached {
            for step in next(world) {
                let mut world = world.clone();
                if world.take(step) && known.insert(world.key()) {
                    world.clone().drain();
                    further.push(world);
                }
            }
        }
        reached = further;
    }
    known.len()
}

/// What can happen to the runs there are.
fn to_runs(world: &World) -> Vec<Step> {
    let mut steps = Vec::new();
    for (run, model) in world.models.iter().enumerate() {
        let starts = model.seen == Seen::Open && !model.stored;
        if starts {
            steps.extend([Step::Stored(run), Step::Refused(run)]);
        }
        let works = model.launched && model.stored;
        steps.extend(match model.seen {
            Seen::Open if works => vec![
                Step::Ends(run),
                // The store may be quicker than whoever decided it.
                Step::Settles(run),
                Step::Pauses(run),
                Step::PauseStored(run),
            ],
            Seen::Open => vec![Step::Ends(run)],
            Seen::Pausing => vec![Step::PauseStored(run), Step::Ends(run), Step::Settles(run)],
            Seen::Paused => vec![Step::Continues(run), Step::Ends(run)],
            Seen::Ended => vec![Step::Settles(run)],
            Seen::Gone => Vec::new(),
        });
    }
    steps
}
