//! The simulated model, as it is set up.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::Stream;
use serde_json::Value;

use super::{
    gate::{Gate, Probe},
    plan::{Act, Plan},
    script::Script,
    story::Source,
    stream,
};
use crate::model::{Model, ModelChunk, ModelError, ModelName, ModelRequest, ModelUsage};

/// A model that tells a story, word by word, and may call tools first.
///
/// Words are counted from 0 in each answer: `stall_at(3)` says three words and then nothing more. A piece of a call counts
/// as a word: of each call the first has its id and name, and the others its arguments, a few characters at a time. By
/// default a word comes every 50 ms, the first one 50 ms after the model has connected, which it does at once. Clones
/// tell the same story, and share gate and probe.
///
/// It is a strict one: a conversation in which [`check_chat`](super::check_chat) finds a fault is refused with a status of
/// 400, as a provider would refuse it.
///
/// Which turn of its calls it plays is in the conversation and nowhere else: as many turns have been played as the model
/// has made calls since a person spoke last. So a storyteller can serve many runs at once, and plays its part again for
/// the next question of a session.
///
/// ```
/// use quell_actors::sim::Storyteller;
/// use serde_json::json;
///
/// let model = Storyteller::new("Take a coat, and mind the wind.")
///     .saying_first("Let me look.")
///     .calling("forecast", json!({ "city": "Oslo" }))
///     .calling("forecast", json!({ "city": "Bergen" }))
///     .next_turn()
///     .calling("wind", json!({ "city": "Bergen" }));
/// ```
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
            acts_in: None,
            script: Script::default(),
            lenient: false,
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

    /// Has all that was set to happen at a word happen in one turn only, counted from 1: in the first the tools of the
    /// first turn are called, and the story is told in the one after the last of them. Not set, it happens in each answer
    /// that comes as far.
    pub fn only_in_turn(self, turn: u64) -> Storyteller {
        self.set(|plan| plan.acts_in = Some(turn))
    }

    /// Calls a tool before the story is told, whether the agent has it or not. More than one of these are calls of one
    /// answer, at the same time; [`next_turn`](Storyteller::next_turn) stands between calls one after another.
    pub fn calling(self, tool: &str, arguments: impl Into<Value>) -> Storyteller {
        self.calling_raw(tool, &arguments.into().to_string())
    }

    /// The same, with arguments that need not be JSON.
    pub fn calling_raw(self, tool: &str, arguments: &str) -> Storyteller {
        self.set(|plan| plan.script.call(tool, arguments))
    }

    /// Says `text` before the calls of this turn, word by word.
    pub fn saying_first(self, text: &str) -> Storyteller {
        self.set(|plan| plan.script.say(text))
    }

    /// The calls that are set from here on are made when the results of those before have come.
    pub fn next_turn(self) -> Storyteller {
        self.set(|plan| plan.script.turn())
    }

    /// Makes the calls of the last turn again and again, and never tells its story. Without any calls it does tell it.
    pub fn calls_tools_for_ever(self) -> Storyteller {
        self.set(|plan| plan.script.for_ever = true)
    }

    /// Gives its calls no ids, as some servers do. Otherwise the first call of the first turn is `call-1-0`, the second
    /// `call-1-1`, and so on; turns are counted through the conversation, so that no id comes twice in it.
    pub fn without_call_ids(self) -> Storyteller {
        self.set(|plan| plan.script.without_ids = true)
    }

    /// How many characters of its arguments a call has in one piece, at least one. Default: 8.
    pub fn argument_pieces(self, characters: usize) -> Storyteller {
        self.set(|plan| plan.script.piece = characters)
    }

    /// Takes also a conversation that no provider would take.
    pub fn lenient(self) -> Storyteller {
        self.set(|plan| plan.lenient = true)
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

    fn name(&self) -> Option<ModelName> {
        Some(ModelName::new("sim", "storyteller"))
    }
}
