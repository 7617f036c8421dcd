//! One answer of the storyteller.

use std::{sync::Arc, time::Duration};

use futures::{Stream, stream};

use super::{
    chat::check_chat,
    gate::Opened,
    plan::{Act, Plan},
    script::Part,
    story::{Dice, Source, Story},
};
use crate::model::{ModelChunk, ModelError, ModelErrorKind, ModelRequest};

type Item = Result<ModelChunk, ModelError>;

/// The state of an answer.
struct Teller {
    plan: Arc<Plan>,
    dice: Dice,
    story: Story,
    stage: Stage,
    part: Part,
    /// Why the request is refused, if it is.
    fault: Option<ModelError>,
    /// Words said, and pieces of calls.
    said: u64,
    /// How many of the acts before the next word have been done.
    acted: usize,
    opened: Option<Opened>,
}

enum Stage {
    Connecting,
    Thinking(usize),
    Speaking,
    Over,
}

/// The stream of one answer.
pub(super) fn tell(
    plan: Arc<Plan>,
    request: ModelRequest,
) -> impl Stream<Item = Item> + Send + 'static {
    let fault = check_chat(&request.messages)
        .err()
        .filter(|_| !plan.lenient);
    // In a box, because every item moves it.
    let teller = Box::new(Teller {
        part: plan.script.answer(&request.messages, &plan.source),
        fault: fault.map(|fault| {
            let message = format!("a provider would refuse this conversation: {fault}");
            ModelError::new(ModelErrorKind::Status(400), message)
        }),
        // A seed of its own: jitter must not depend on the story.
        dice: Dice::new(plan.seed ^ 0x5EED),
        story: Story::new(plan.seed),
        plan,
        stage: Stage::Connecting,
        said: 0,
        acted: 0,
        opened: None,
    });
    stream::unfold(teller, |mut teller| async move {
        let item = teller.next().await?;
        Some((item, teller))
    })
}

impl Teller {
    async fn next(&mut self) -> Option<Item> {
        let item = match self.stage {
            Stage::Connecting => self.connect().await,
            Stage::Thinking(word) => self.think(word).await,
            Stage::Speaking => self.speak().await,
            Stage::Over => None,
        };
        match item {
            Some(Ok(_)) => self.plan.probe.chunk(),
            Some(Err(_)) | None => self.stage = Stage::Over,
        }
        if let Stage::Over = self.stage {
            self.opened = None;
        }
        item
    }

    async fn connect(&mut self) -> Option<Item> {
        let (opened, request) = self.plan.probe.opened();
        self.opened = Some(opened);
        self.wait(self.plan.connect_after).await;
        if let Some(error) = usize::try_from(request)
            .ok()
            .and_then(|request| self.plan.refusals.get(request))
        {
            return Some(Err(error.clone()));
        }
        if let Some(fault) = self.fault.take() {
            return Some(Err(fault));
        }
        self.stage = Stage::Thinking(0);
        Some(Ok(ModelChunk::Connected))
    }

    async fn think(&mut self, word: usize) -> Option<Item> {
        let next = match &self.plan.thinking {
            Source::Words(words) => words.get(word).cloned(),
            Source::Endless => None,
        };
        let Some(next) = next else {
            self.stage = Stage::Speaking;
            return self.speak().await;
        };
        self.wait(self.plan.pace).await;
        self.stage = Stage::Thinking(word + 1);
        Some(Ok(ModelChunk::Reasoning(next)))
    }

    async fn speak(&mut self) -> Option<Item> {
        while let Some(act) = self.act() {
            self.acted += 1;
            match act {
                Act::Report(usage) => return Some(Ok(ModelChunk::Usage(usage))),
                Act::Stall => std::future::pending().await,
                Act::Fail(error) => {
                    self.wait(Duration::ZERO).await;
                    return Some(Err(error));
                }
                Act::CutOff => return None,
                Act::Panic => {
                    self.wait(Duration::ZERO).await;
                    panic!("the storyteller was told to panic at word {}", self.said)
                }
            }
        }
        let pause = match self.plan.first_after {
            Some(first) if self.said == 0 => first,
            Some(_) | None => self.pause(),
        };
        self.wait(pause).await;
        let chunk = self.chunk();
        if let ModelChunk::Finished(_) = chunk {
            self.stage = Stage::Over;
        } else {
            self.said += 1;
            self.acted = 0;
        }
        Some(Ok(chunk))
    }

    /// The next word; after the words, the next piece of a call; after those, the end.
    fn chunk(&mut self) -> ModelChunk {
        let words = match &self.part.words {
            Source::Words(words) => words,
            Source::Endless => return ModelChunk::Text(self.story.next_word()),
        };
        let said = usize::try_from(self.said).unwrap_or(usize::MAX);
        let piece = said.checked_sub(words.len());
        match piece.map(|piece| self.part.pieces.get(piece)) {
            None => ModelChunk::Text(words[said].clone()),
            Some(Some(piece)) => ModelChunk::ToolCall(piece.clone().into()),
            Some(None) => ModelChunk::Finished(self.part.finish.clone()),
        }
    }

    /// The next act before the next word.
    fn act(&self) -> Option<Act> {
        if self.plan.acts_in.is_some_and(|turn| turn != self.part.turn) {
            return None;
        }
        let acts = self.plan.at.get(&self.said)?;
        acts.get(self.acted).cloned()
    }

    fn pause(&mut self) -> Duration {
        if self.plan.jitter == 0.0 {
            return self.plan.pace;
        }
        let share = (self.dice.roll() >> 11) as f64 / (1u64 << 53) as f64;
        let factor = 1.0 + self.plan.jitter * (2.0 * share - 1.0);
        self.plan.pace.mul_f64(factor)
    }

    /// Waits at the gate, or for `pause`. Always yields at least once, so that a fast model does not starve other
    /// tasks.
    async fn wait(&self, pause: Duration) {
        match &self.plan.gate {
            Some(gate) => gate.wait().await,
            None if pause.is_zero() => tokio::task::yield_now().await,
            None => tokio::time::sleep(pause).await,
        }
    }
}
