//! The simulated model, as it is set up.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::Stream;

use super::{
    gate::{Gate, Probe},
    plan::{Act, Plan},
    story::Source,
    stream,
};
use crate::model::{Model, ModelChunk, ModelError, ModelRequest, ModelUsage};

/// A model that tells a story, word by word.
///
/// Words are counted from 0: `stall_at(3)` says three words and then nothing more. By default a word comes every 50 ms,
/// the first one 50 ms after the model has connected, which it does at once. Clones tell the same story, and share gate
/// and probe.
#[derive(Clone, Debug)]
pub struct Storyteller(Arc<Plan>);

impl Storyteller {
    /// Tells `text`, and finishes.
    pub fn new(text: &str) -> Storyteller {
        Storyteller::telling(Source::text(text))
    }

    /// Tells a story that does not end.
    pub fn endless() -> Storyteller {
        Storyteller::telling(Source::Endless)
    }

    fn telling(source: Source) -> Storyteller {
        Storyteller(Arc::new(Plan {
            source,
            seed: 6,
            pace: Duration::from_millis(50),
            jitter: 0.0,
            connect_after: Duration::ZERO,
            first_after: None,
            thinking: Source::text(""),
            at: BTreeMap::new(),
            refusals: Vec::new(),
            gate: None,
            probe: Probe::default(),
        }))
    }

    fn set(mut self, change: impl FnOnce(&mut Plan)) -> Storyteller {
        change(Arc::make_mut(&mut self.0));
        self
    }

    fn act(self, word: u64, act: Act) -> Storyteller {
        self.set(|plan| plan.at.entry(word).or_default().push(act))
    }

    /// Decides the endless story and the jitter.
    pub fn seed(self, seed: u64) -> Storyteller {
        self.set(|plan| plan.seed = seed)
    }

    /// The time between two words. Zero: as fast as it is read, giving way to other tasks after each word.
    pub fn pace(self, pace: Duration) -> Storyteller {
        self.set(|plan| plan.pace = pace)
    }

    /// How much the pace varies, as a share of it: with 0.5, from half to one and a half times the pace. Kept between 0
    /// and 1.
    pub fn jitter(self, share: f64) -> Storyteller {
        let share = if share.is_nan() { 0.0 } else { share };
        self.set(|plan| plan.jitter = share.clamp(0.0, 1.0))
    }

    /// How long it takes to connect.
    pub fn connect_after(self, delay: Duration) -> Storyteller {
        self.set(|plan| plan.connect_after = delay)
    }

    /// How long after that the first word takes; the pace, unless set.
    pub fn first_word_after(self, delay: Duration) -> Storyteller {
        self.set(|plan| plan.first_after = Some(delay))
    }

    /// Thinks `text` aloud first, word by word. These words are not counted.
    pub fn thinking(self, text: &str) -> Storyteller {
        self.set(|plan| plan.thinking = Source::text(text))
    }

    /// Says `word` words, and then nothing for ever.
    pub fn stall_at(self, word: u64) -> Storyteller {
        self.act(word, Act::Stall)
    }

    /// Says `word` words, and then fails.
    pub fn fail_at(self, word: u64, error: ModelError) -> Storyteller {
        self.act(word, Act::Fail(error))
    }

    /// Says `word` words, and then ends its stream without finishing.
    pub fn cut_off_at(self, word: u64) -> Storyteller {
        self.act(word, Act::CutOff)
    }

    /// Says `word` words, and then panics.
    pub fn panic_at(self, word: u64) -> Storyteller {
        self.act(word, Act::Panic)
    }

    /// Says `word` words, reports usage, and goes on.
    pub fn usage_at(self, word: u64, usage: ModelUsage) -> Storyteller {
        self.act(word, Act::Report(usage))
    }

    /// Refuses the next request that is not refused yet: with one call the first fails with `error` before it connects,
    /// with two the first two do.
    pub fn refuse(self, error: ModelError) -> Storyteller {
        self.set(|plan| plan.refusals.push(error))
    }

    /// Has every chunk wait at `gate`; the pace plays no part then.
    pub fn gate(self, gate: &Gate) -> Storyteller {
        self.set(|plan| plan.gate = Some(gate.clone()))
    }

    /// Watches this storyteller's streams, those of its clones included.
    pub fn probe(&self) -> Probe {
        self.0.probe.clone()
    }
}

impl Model for Storyteller {
    fn stream(
        &self,
        request: ModelRequest,
    ) -> impl Stream<Item = Result<ModelChunk, ModelError>> + Send + 'static {
        stream::tell(self.0.clone(), request)
    }
}
