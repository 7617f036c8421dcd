//! Who answers: a name, a model, instructions and limits.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    error::AgentError,
    model::{DynModel, Model},
    tool::{AnyTool, ToolSpec},
    transcript::is_tool_name,
    usage::{Money, Prices},
};

/// Who answers. A value: it does nothing by itself, is cheap to clone, and serves many runs.
#[derive(Clone)]
pub struct Agent(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    name: Arc<str>,
    description: Arc<str>,
    instructions: Arc<str>,
    model: Arc<dyn DynModel>,
    limits: Limits,
    retry: RetryPolicy,
    tools: Vec<AnyTool>,
    specs: Arc<[Arc<ToolSpec>]>,
    prices: Option<Prices>,
    interrupted: Interrupted,
    history_runs: usize,
    on_crash: OnCrash,
}

/// How many runs of its session an agent remembers, unless it says otherwise.
const HISTORY_RUNS: usize = 10;

impl Agent {
    /// An agent with a name and a model, and defaults for all else. A name that cannot be is refused by
    /// [`Runtime::start`](crate::Runtime::start); use [`Agent::builder`] to learn of it earlier.
    pub fn new(name: impl Into<Arc<str>>, model: impl Model) -> Agent {
        Agent(Arc::new(Inner {
            name: name.into(),
            description: Arc::from(""),
            instructions: Arc::from(""),
            model: Arc::new(model),
            limits: Limits::default(),
            retry: RetryPolicy::default(),
            tools: Vec::new(),
            specs: Arc::new([]),
            prices: None,
            interrupted: Interrupted::default(),
            history_runs: HISTORY_RUNS,
            on_crash: OnCrash::default(),
        }))
    }

    /// An agent with more to say about it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use quell_actors::{Agent, sim::Storyteller};
    ///
    /// let agent = Agent::builder("poet", Storyteller::endless())
    ///     .description("Sings of the sea")
    ///     .instructions("Answer in one sentence.")
    ///     .deadline(Duration::from_secs(60))
    ///     .build()?;
    /// assert_eq!(agent.name(), "poet");
    /// # Ok::<(), quell_actors::AgentError>(())
    /// ```
    pub fn builder(name: impl Into<Arc<str>>, model: impl Model) -> AgentBuilder {
        AgentBuilder(Agent::new(name, model))
    }

    /// The agent's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What the agent is for, in words for people.
    pub fn description(&self) -> &str {
        &self.0.description
    }

    /// How the agent's model is told to behave: the system message of every request, unless empty.
    pub fn instructions(&self) -> &str {
        &self.0.instructions
    }

    /// When a run of the agent ends by itself.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// How often a failed request is repeated.
    pub fn retry(&self) -> &RetryPolicy {
        &self.0.retry
    }

    /// What the agent's model may ask to be done.
    pub fn tools(&self) -> &[AnyTool] {
        &self.0.tools
    }

    /// The tool of this name.
    pub fn tool(&self, name: &str) -> Option<&AnyTool> {
        self.0.tools.iter().find(|tool| tool.name() == name)
    }

    /// What the agent's model costs.
    pub fn prices(&self) -> Option<&Prices> {
        self.0.prices.as_ref()
    }

    /// What the model is shown of an answer that was cut.
    pub fn interrupted(&self) -> Interrupted {
        self.0.interrupted
    }

    /// How many earlier runs of its session the model is shown.
    pub fn history_runs(&self) -> usize {
        self.0.history_runs
    }

    /// What becomes of a run that was at work when the process ended.
    pub fn on_crash(&self) -> OnCrash {
        self.0.on_crash
    }

    /// What the model is told of the tools.
    pub(crate) fn specs(&self) -> &Arc<[Arc<ToolSpec>]> {
        &self.0.specs
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        self.0.name.clone()
    }

    pub(crate) fn model(&self) -> &Arc<dyn DynModel> {
        &self.0.model
    }

    /// Whether the agent can be.
    pub(crate) fn check(&self) -> Result<(), AgentError> {
        let name = self.name();
        if name.trim().is_empty() {
            Err(AgentError::EmptyName)
        } else if name.len() > 256 {
            Err(AgentError::LongName { bytes: name.len() })
        } else if name.chars().any(char::is_control) {
            Err(AgentError::ControlCharacter)
        } else if self.limits().max_cost.is_some() && self.0.prices.is_none() {
            Err(AgentError::NoPrices)
        } else {
            self.check_tools()
        }
    }

    fn check_tools(&self) -> Result<(), AgentError> {
        let mut names = std::collections::HashSet::new();
        for tool in self.tools() {
            let name = tool.name();
            if !is_tool_name(name) {
                return Err(AgentError::ToolName(name.into()));
            }
            if !names.insert(name) {
                return Err(AgentError::DuplicateTool(name.into()));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("name", &self.0.name)
            .field("limits", &self.0.limits)
            .field("retry", &self.0.retry)
            .field("tools", &self.0.tools)
            .finish_non_exhaustive()
    }
}

/// Makes an [`Agent`]; see [`Agent::builder`].
#[derive(Debug)]
pub struct AgentBuilder(Agent);

impl AgentBuilder {
    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0.0)
    }

    /// Says what the agent is for.
    pub fn description(mut self, text: impl Into<Arc<str>>) -> AgentBuilder {
        self.inner().description = text.into();
        self
    }

    /// Tells the model how to behave.
    pub fn instructions(mut self, text: impl Into<Arc<str>>) -> AgentBuilder {
        self.inner().instructions = text.into();
        self
    }

    /// Sets all limits.
    pub fn limits(mut self, limits: Limits) -> AgentBuilder {
        self.inner().limits = limits;
        self
    }

    /// Sets [`Limits::deadline`].
    pub fn deadline(mut self, deadline: Duration) -> AgentBuilder {
        self.inner().limits.deadline = Some(deadline);
        self
    }

    /// Sets how often a failed request is repeated.
    pub fn retry(mut self, retry: RetryPolicy) -> AgentBuilder {
        self.inner().retry = retry;
        self
    }

    /// Gives the agent a tool.
    pub fn tool(mut self, tool: impl Into<AnyTool>) -> AgentBuilder {
        let inner = self.inner();
        inner.tools.push(tool.into());
        inner.specs = inner.tools.iter().map(|tool| tool.spec().clone()).collect();
        self
    }

    /// Sets [`Limits::max_turns`].
    pub fn max_turns(mut self, turns: u32) -> AgentBuilder {
        self.inner().limits.max_turns = Some(turns);
        self
    }

    /// Says what the model costs, so that runs tell their cost, and can be limited by it.
    pub fn prices(mut self, prices: Prices) -> AgentBuilder {
        self.inner().prices = Some(prices);
        self
    }

    /// Decides what the model is shown of an answer that was cut.
    pub fn interrupted(mut self, interrupted: Interrupted) -> AgentBuilder {
        self.inner().interrupted = interrupted;
        self
    }

    /// Decides how many earlier runs of its session the model is shown. Default: 10.
    pub fn history_runs(mut self, runs: usize) -> AgentBuilder {
        self.inner().history_runs = runs;
        self
    }

    /// Decides what becomes of a run that was at work when the process ended.
    pub fn on_crash(mut self, on_crash: OnCrash) -> AgentBuilder {
        self.inner().on_crash = on_crash;
        self
    }

    /// The agent.
    ///
    /// # Errors
    ///
    /// [`AgentError`] when the name is empty, too long, or has a control character; when a tool's name is none, or two
    /// tools have the same; when there is a limit on cost and there are no prices.
    pub fn build(self) -> Result<Agent, AgentError> {
        self.0.check()?;
        Ok(self.0)
    }
}

/// What the model is shown, in later requests of the session, of an answer that was cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interrupted {
    /// What it had said, marked as interrupted.
    #[default]
    Marked,
    /// Nothing of it. Calls of tools that had come to an end, and their results, are shown all the same.
    Omitted,
}

/// What becomes of a run that was at work when the process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCrash {
    /// It ends `Error`, with the reason `interrupted`.
    #[default]
    Fail,
    /// It goes on after its last completed step: the model is asked again, tools that had not begun are called, and of
    /// those that were at work only the ones that say so ([`ToolSettings::repeatable`](crate::ToolSettings)) are called
    /// again; of the others the model is told that their outcome is not known.
    Resume,
}

/// When a run ends by itself, [`Cancelled`](crate::RunStatus::Cancelled) with a reason of its own. Zero means zero: a
/// run with a deadline or a first token of zero ends before its model is asked. `None` means no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// How long a run may be at work. Waiting for a slot does not count. Default: none.
    pub deadline: Option<Duration>,
    /// How long a model may take, from each request, until it says something. Keep-alives do not count as saying
    /// something. Default: 5 minutes.
    pub first_token: Option<Duration>,
    /// How long a model may be silent between two words. Keep-alives do not count. Default: 2 minutes.
    pub silence: Option<Duration>,
    /// How large a run's log may grow, from its first request on: 64 bytes for each event, and the bytes of its words and
    /// of the faults of failed requests. What would go beyond is not taken. The run's ending is always taken. Default:
    /// 16 MiB.
    pub max_log_bytes: u64,
    /// How often the model may be asked; repeated attempts do not count. Default: 50.
    pub max_turns: Option<u32>,
    /// How many calls of tools there may be. An answer that asks for more ends the run before any of its calls is begun.
    /// Default: none.
    pub max_tool_calls: Option<u32>,
    /// How many tokens a run may use, in and out, over all its requests. They are counted as they come: by the provider's
    /// number where it has given one, else estimated at four bytes a token. Default: none.
    pub max_tokens: Option<u64>,
    /// What a run may cost, by the agent's [`Prices`]. Default: none.
    pub max_cost: Option<Money>,
    /// How long tools that must finish ([`OnCancel::Finish`](crate::OnCancel)) are awaited when the run is cancelled.
    /// Default: 30 seconds.
    pub cancel_limit: Duration,
    /// How long a paused run waits for a decision before it is cancelled. Default: no limit.
    pub pause_expiry: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            deadline: None,
            first_token: Some(Duration::from_secs(5 * 60)),
            silence: Some(Duration::from_secs(2 * 60)),
            max_log_bytes: 16 * 1024 * 1024,
            max_turns: Some(50),
            max_tool_calls: None,
            max_tokens: None,
            max_cost: None,
            cancel_limit: Duration::from_secs(30),
            pause_expiry: None,
        }
    }
}

/// How often a request that failed is repeated, and how long the run sleeps before. Only requests of which nothing was
/// heard yet are repeated, and only for errors that allow it.
///
/// The pause before the n-th repetition is `base` x 2^(n-1), at most `cap`, less up to a quarter of it at random; a
/// pause that the provider asks for takes its place. These are the rules of the official OpenAI clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// How many times at most. Default: 2.
    pub max_retries: u32,
    /// The first pause. Default: 0.5 s.
    pub base: Duration,
    /// The longest pause. Default: 8 s.
    pub cap: Duration,
    /// The longest pause that a provider may ask for; one that asks for more has failed. Default: 120 s.
    pub longest_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            max_retries: 2,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(8),
            longest_wait: Duration::from_secs(120),
        }
    }
}

impl RetryPolicy {
    /// No request is repeated.
    pub fn none() -> RetryPolicy {
        RetryPolicy {
            max_retries: 0,
            ..RetryPolicy::default()
        }
    }

    /// How long to sleep before attempt `attempt + 1`, when attempt number `attempt` (from 1) failed; `None` when that
    /// was the last. `noise` decides the jitter, so that the same noise gives the same pause.
    pub(crate) fn pause(
        &self,
        attempt: u32,
        retry: crate::model::Retry,
        noise: u64,
    ) -> Option<Duration> {
        use crate::model::Retry;

        if attempt > self.max_retries {
            return None;
        }
        match retry {
            Retry::Never => None,
            Retry::After(wait) => (wait <= self.longest_wait).then_some(wait),
            Retry::Backoff => {
                let doubled = 1u32.checked_shl(attempt - 1).unwrap_or(u32::MAX);
                let pause = self.base.saturating_mul(doubled).min(self.cap);
                let share = u32::try_from(noise % 1024).unwrap_or(0);
                Some(pause - (pause / 4).saturating_mul(share) / 1024)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Retry;

    #[test]
    fn pauses_double_up_to_the_cap_and_obey_the_provider() {
        let policy = RetryPolicy {
            max_retries: 9,
            ..RetryPolicy::default()
        };
        let seconds = |s: f64| Some(Duration::from_secs_f64(s));
        for (attempt, retry, noise, expected) in [
            (1, Retry::Backoff, 0, seconds(0.5)),
            (2, Retry::Backoff, 0, seconds(1.0)),
            (5, Retry::Backoff, 0, seconds(8.0)),
            (9, Retry::Backoff, 0, seconds(8.0)),
            (1, Retry::Backoff, 512, seconds(0.4375)),
            (1, Retry::After(Duration::from_secs(7)), 0, seconds(7.0)),
            (1, Retry::After(Duration::from_secs(120)), 0, seconds(120.0)),
            (1, Retry::After(Duration::from_secs(121)), 0, None),
            (1, Retry::Never, 0, None),
            (10, Retry::Backoff, 0, None),
        ] {
            assert_eq!(
                policy.pause(attempt, retry, noise),
                expected,
                "attempt {attempt}, {retry:?}"
            );
        }
        assert_eq!(RetryPolicy::none().pause(1, Retry::Backoff, 0), None);
    }
}
