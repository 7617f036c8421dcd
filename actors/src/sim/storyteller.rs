//! The simulated model and its settings.

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
/// Words are counted from 0 in each answer: `stall_at(3)` says three words and then nothing more. A piece of a call
/// counts as a word: the first piece of a call has its id and name, the others its arguments, a few characters each. By
/// default the model connects at once, and a word comes every 50 ms. Clones tell the same story, and share gate and
/// probe.
///
/// The model is strict: it refuses a conversation in which [`check_chat`](super::check_chat) finds a fault with status
/// 400, as a provider would.
///
/// The model keeps no state of a run: it counts the answers with calls since the last user message to find its turn. So
/// one storyteller can serve many runs at once, and makes its calls again for the next question of a session.
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
    /// Tells `text`, then finishes.
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

    /// The seed of the endless story and of the jitter.
    pub fn seed(self, seed: u64) -> Storyteller {
        self.set(|plan| plan.seed = seed)
    }

    /// The time between two words. Zero: as fast as it is read, yielding to other tasks after each word.
    pub fn pace(self, pace: Duration) -> Storyteller {
        self.set(|plan| plan.pace = pace)
    }

    /// How much the pace varies, as a share of it, clamped to 0..=1: with 0.5, a word takes from 0.5 to 1.5 times the
    /// pace.
    pub fn jitter(self, share: f64) -> Storyteller {
        let share = if share.is_nan() { 0.0 } else { share };
        self.set(|plan| plan.jitter = share.clamp(0.0, 1.0))
    }

    /// How long it takes to connect.
    pub fn connect_after(self, delay: Duration) -> Storyteller {
        self.set(|plan| plan.connect_after = delay)
    }

    /// The time from there to the first word. Default: the pace.
    pub fn first_word_after(self, delay: Duration) -> Storyteller {
        self.set(|plan| plan.first_after = Some(delay))
    }

    /// Thinks `text` aloud first, word by word. These words are not counted.
    pub fn thinking(self, text: &str) -> Storyteller {
        self.set(|plan| plan.thinking = Source::text(text))
    }

    /// Says `word` words, and then nothing more, without ending.
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

    /// Says `word` words, reports usage, and continues.
    pub fn usage_at(self, word: u64, usage: ModelUsage) -> Storyteller {
        self.act(word, Act::Report(usage))
    }

    /// Restricts all `.._at` settings to one turn, counted from 1: turn 1 makes the first calls, and the turn after the
    /// last calls tells the story. Default: they apply in each answer that is long enough.
    pub fn only_in_turn(self, turn: u64) -> Storyteller {
        self.set(|plan| plan.acts_in = Some(turn))
    }

    /// Calls a tool before the story is told, whether the agent has it or not. Several of these are calls of one
    /// answer; put [`next_turn`](Storyteller::next_turn) between calls that should follow one another.
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

    /// Makes the calls that are set from here on in the next turn, after the results of those before.
    pub fn next_turn(self) -> Storyteller {
        self.set(|plan| plan.script.turn())
    }

    /// Repeats the calls of the last turn for ever and never tells the story. Has no effect without calls.
    pub fn calls_tools_for_ever(self) -> Storyteller {
        self.set(|plan| plan.script.for_ever = true)
    }

    /// Leaves out the ids of calls, as some servers do. By default the first call of the first turn is `call-1-0`, the
    /// second `call-1-1`, and so on; turns are counted over the whole conversation, so that ids are unique in it.
    pub fn without_call_ids(self) -> Storyteller {
        self.set(|plan| plan.script.without_ids = true)
    }

    /// How many characters of arguments one piece has, at least one. Default: 8.
    pub fn argument_pieces(self, characters: usize) -> Storyteller {
        self.set(|plan| plan.script.piece = characters)
    }

    /// Accepts also conversations that a provider would refuse.
    pub fn lenient(self) -> Storyteller {
        self.set(|plan| plan.lenient = true)
    }

    /// Makes one more of the first requests fail with `error` before it connects: set once, the first request fails;
    /// set twice, the first two.
    pub fn refuse(self, error: ModelError) -> Storyteller {
        self.set(|plan| plan.refusals.push(error))
    }

    /// Makes every chunk wait at `gate`, in place of the pace.
    pub fn gate(self, gate: &Gate) -> Storyteller {
        self.set(|plan| plan.gate = Some(gate.clone()))
    }

    /// A probe for the streams of this storyteller and its clones.
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
