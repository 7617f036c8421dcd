//! Whose runs are measured, and what they tell.

use std::{pin::pin, sync::Arc};

use futures::StreamExt;
use quell::{
    Model,
    message::Message,
    model::{ModelChunk, ModelRequest},
    sim::Storyteller,
};
use tokio::sync::mpsc::Sender;

use crate::Result;

/// What every run is asked.
pub(crate) const INPUT: &str = "Tell me a story.";

/// Whose runs they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum World {
    Quell,
    Control,
}

impl World {
    pub(crate) const BOTH: [World; 2] = [World::Quell, World::Control];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            World::Quell => "quell",
            World::Control => "control",
        }
    }

    pub(crate) fn named(name: &str) -> Result<World> {
        let world = World::BOTH.into_iter().find(|world| world.name() == name);
        world.ok_or_else(|| format!("no world is called {name:?}").into())
    }
}

/// What the runs of a fleet tell.
#[derive(Clone)]
pub(crate) enum Stories {
    /// All the same.
    Same(Storyteller),
    /// Each its own, at its own moments.
    Own(Storyteller),
}

impl Stories {
    /// What run number `number` tells.
    pub(crate) fn number(&self, number: usize) -> Storyteller {
        match self {
            Stories::Same(story) => story.clone(),
            Stories::Own(story) => story.clone().seed(number as u64),
        }
    }
}

/// The control's loop over the simulated model.
pub(crate) async fn tell(story: impl Model, reader: Sender<Arc<str>>) {
    let request = ModelRequest::new([Message::user(INPUT)]);
    let mut chunks = pin!(story.stream(request));
    while let Some(Ok(chunk)) = chunks.next().await {
        if let ModelChunk::Text(text) = chunk
            && reader.send(text).await.is_err()
        {
            return;
        }
    }
}
