//! Who answers: a name, a model, instructions, tools and limits.

mod limits;
mod retry;

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::{limits::Limits, retry::RetryPolicy};
use crate::{
    error::AgentError,
    model::{DynModel, Model},
    tool::{AnyTool, ToolSpec},
    transcript::is_tool_name,
    usage::Prices,
};

/// Who answers. A value: it does nothing by itself, is cheap to clone, and serves many runs.
#[derive(Clone)]
pub struct Agent(Arc<AgentParts>);

#[derive(Clone)]
struct AgentParts {
    name: Arc<str>,
    description: Arc<str>,
    instructions: Arc<str>,
    model: Arc<dyn DynModel>,
    limits: Arc<Limits>,
    retry: RetryPolicy,
    tools: Vec<AnyTool>,
    specs: Arc<[Arc<ToolSpec>]>,
    prices: Option<Prices>,
    interrupted: InterruptedAnswers,
    history_runs: usize,
    on_crash: OnCrash,
    max_resumes: u32,
}

/// How many runs of its session an agent remembers, unless it says otherwise.
const HISTORY_RUNS: usize = 10;

/// How many times a run is resumed after a crash, unless its agent says otherwise.
const MAX_RESUMES: u32 = 3;

impl Agent {
    /// An agent with a name and a model, and defaults for all else. A name that cannot be is refused by
    /// [`Runtime::start`](crate::Runtime::start); use [`Agent::builder`] to learn of it earlier.
    pub fn new(name: impl Into<Arc<str>>, model: impl Model) -> Agent {
        Agent(Arc::new(AgentParts {
            name: name.into(),
            description: Arc::from(""),
            instructions: Arc::from(""),
            model: Arc::new(model),
            limits: Arc::default(),
            retry: RetryPolicy::default(),
            tools: Vec::new(),
            specs: Arc::new([]),
            prices: None,
            interrupted: InterruptedAnswers::default(),
            history_runs: HISTORY_RUNS,
            on_crash: OnCrash::default(),
            max_resumes: MAX_RESUMES,
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
    /// # Ok::<(), quell_actors::error::AgentError>(())
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

    /// The instructions of the agent's model: the system message of every request, unless empty.
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
    pub fn interrupted(&self) -> InterruptedAnswers {
        self.0.interrupted
    }

    /// How many earlier runs of its session the model is shown.
    pub fn history_runs(&self) -> usize {
        self.0.history_runs
    }

    /// What becomes of a run that was running when the process ended.
    pub fn on_crash(&self) -> OnCrash {
        self.0.on_crash
    }

    /// How many times a run is resumed after a crash.
    pub fn max_resumes(&self) -> u32 {
        self.0.max_resumes
    }

    /// What the model is shown of the tools.
    pub(crate) fn specs(&self) -> &Arc<[Arc<ToolSpec>]> {
        &self.0.specs
    }

    pub(crate) fn shared_limits(&self) -> Arc<Limits> {
        self.0.limits.clone()
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        self.0.name.clone()
    }

    pub(crate) fn model(&self) -> &Arc<dyn DynModel> {
        &self.0.model
    }

    /// Validates the agent.
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
    fn inner(&mut self) -> &mut AgentParts {
        Arc::make_mut(&mut self.0.0)
    }

    fn inner_limits(&mut self) -> &mut Limits {
        Arc::make_mut(&mut self.inner().limits)
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
        self.inner().limits = Arc::new(limits);
        self
    }

    /// Sets [`Limits::deadline`].
    pub fn deadline(mut self, deadline: Duration) -> AgentBuilder {
        self.inner_limits().deadline = Some(deadline);
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
        self.inner_limits().max_turns = Some(turns);
        self
    }

    /// Says what the model costs, so that runs tell their cost, and can be limited by it.
    pub fn prices(mut self, prices: Prices) -> AgentBuilder {
        self.inner().prices = Some(prices);
        self
    }

    /// Decides what the model is shown of an answer that was cut.
    pub fn interrupted(mut self, interrupted: InterruptedAnswers) -> AgentBuilder {
        self.inner().interrupted = interrupted;
        self
    }

    /// Decides how many earlier runs of its session the model is shown. Default: 10.
    pub fn history_runs(mut self, runs: usize) -> AgentBuilder {
        self.inner().history_runs = runs;
        self
    }

    /// Decides what becomes of a run that was running when the process ended.
    pub fn on_crash(mut self, on_crash: OnCrash) -> AgentBuilder {
        self.inner().on_crash = on_crash;
        self
    }

    /// Decides how many times a run is resumed after a crash ([`OnCrash::Resume`]). After the next one it ends `Error`,
    /// with the reason `interrupted`: it may be what ends the process. Default: 3.
    pub fn max_resumes(mut self, times: u32) -> AgentBuilder {
        self.inner().max_resumes = times;
        self
    }

    /// The agent.
    ///
    /// # Errors
    ///
    /// [`AgentError`] when the name is empty, too long, or has a control character; when a tool's name is invalid, or
    /// two tools have the same; when there is a limit on cost and there are no prices.
    pub fn build(self) -> Result<Agent, AgentError> {
        self.0.check()?;
        Ok(self.0)
    }
}

/// What the model is shown, in later requests of the session, of an answer that was cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterruptedAnswers {
    /// What it had said, marked as interrupted.
    #[default]
    Marked,
    /// Nothing of it. Calls of tools that had finished, and their results, are still shown.
    Omitted,
}

/// What becomes of a run that was running when the process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCrash {
    /// It ends `Error`, with the reason `interrupted`.
    #[default]
    Fail,
    /// It continues after its last completed step: the model is asked again, tools that had not begun are called, and
    /// of those that were running only the repeatable ones ([`ToolSettings::repeatable`](crate::tool::ToolSettings))
    /// are called again; for the others the model receives an unknown outcome.
    Resume,
}
