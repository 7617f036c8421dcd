//! Going on after a pause.

use std::sync::Arc;

use super::{
    Runtime,
    history::{HistoryQuery, load_history},
    launch::Launch,
    lookup::Found,
    registry::Registry,
};
use crate::{
    agent::Agent,
    error::{Cause, ContinueError, EventsError},
    event::{Continued, Decision},
    id::RunId,
    lock::locked,
    run::{Run, log::RunLog},
    store::AppendError,
};

/// What a person decides of the calls that a paused run waits with.
///
/// ```
/// use quell_actors::runtime::Decisions;
///
/// let decisions = Decisions::new()
///     .approve("call-1")
///     .reject("call-2", "Not on a Sunday.")
///     .by("ann");
/// # let _ = decisions;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decisions(Continued);

impl Decisions {
    /// None so far.
    pub fn new() -> Decisions {
        Decisions::default()
    }

    /// The call is made.
    pub fn approve(self, call: impl Into<Arc<str>>) -> Decisions {
        self.decide(call, Decision::Approve)
    }

    /// The call is made, with these arguments in place of the model's: a JSON object.
    pub fn approve_with(
        self,
        call: impl Into<Arc<str>>,
        arguments: impl Into<Arc<str>>,
    ) -> Decisions {
        self.decide(call, Decision::ApproveWith(arguments.into()))
    }

    /// The call is not made here: this is its output.
    pub fn answer(self, call: impl Into<Arc<str>>, output: impl Into<Arc<str>>) -> Decisions {
        self.decide(call, Decision::Answer(output.into()))
    }

    /// The call is not made; the model receives this text.
    pub fn reject(self, call: impl Into<Arc<str>>, words: impl Into<Arc<str>>) -> Decisions {
        self.decide(call, Decision::Reject(words.into()))
    }

    /// Decides of one call. The last decision counts.
    pub fn decide(mut self, call: impl Into<Arc<str>>, decision: Decision) -> Decisions {
        let call = call.into();
        self.0.decisions.retain(|(other, _)| *other != call);
        self.0.decisions.push((call, decision));
        self
    }

    /// Notes who decided.
    pub fn by(mut self, who: impl Into<Arc<str>>) -> Decisions {
        self.0.by = Some(who.into());
        self
    }
}

impl Runtime {
    /// Continues a paused run, once everything it waits for is decided. It is `Pending` then, and waits for a slot and
    /// for its session like a new one. All handles and streams of the run stay valid.
    ///
    /// Of several who do this, and cancels that come in between, one wins; the others receive where the run
    /// stands.
    ///
    /// ```
    /// use quell_actors::{
    ///     Agent, EventKind, Outcome, Runtime, ToolContext, tool, runtime::Decisions,
    ///     sim::Storyteller,
    /// };
    /// use serde_json::json;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pay = tool::from_fn("pay", "Pays.", |(): (), _: ToolContext| async { Ok("paid") });
    /// let model = Storyteller::new("It is done.").calling("pay", json!({}));
    /// let clerk = Agent::builder("clerk", model).tool(pay.confirm()).build()?;
    ///
    /// let runtime = Runtime::new();
    /// let run = runtime.start(&clerk, "Pay the bill.").await?;
    /// let mut events = run.events();
    /// while let Some(event) = events.next().await {
    ///     if let EventKind::Paused(paused) = event?.kind {
    ///         // Here a person is asked; the run may wait for days, and for another process.
    ///         let decisions = Decisions::new().approve(paused.calls[0].call.id.clone()).by("ann");
    ///         runtime.continue_run(run.id(), decisions).await?;
    ///     }
    /// }
    /// assert!(matches!(run.outcome().await?, Outcome::Completed(_)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ContinueError`]; the run stays as it was, unless the error says so.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before the run has continued, nothing has happened; after that, the run continues.
    pub async fn continue_run(
        &self,
        id: RunId,
        decisions: Decisions,
    ) -> Result<Run, ContinueError> {
        let registry = self.registry();
        let log = match registry.find_or_restore(id).await? {
            Found::Log(log) => log,
            Found::Stored(run) => {
                return Err(ContinueError::NotPaused {
                    status: run.head.status,
                });
            }
            Found::Nothing => return Err(ContinueError::NotFound),
        };
        // Until that is stored it may come to nothing, and the run has its session.
        let paused = log
            .paused_at()
            .map_err(|status| ContinueError::NotPaused { status })?;
        log.wait_stored(paused).await.map_err(not_stored)?;
        let agent = registry
            .agent_of(&log)
            .ok_or_else(|| ContinueError::UnknownAgent(log.agent.clone()))?;
        // A log that came from the store may not know them yet.
        log.limit(&agent);
        let launch = registry.relaunch(&log, &agent);
        let (todo, seq) = registry.accept_continued(launch, decisions.0)?;
        log.flush();
        registry.perform(todo);
        match log.wait_stored(seq).await {
            Ok(()) => Ok(Run::new(log.clone())),
            Err(error) => Err(not_stored(error)),
        }
    }
}

fn not_stored(error: AppendError) -> ContinueError {
    ContinueError::Store(Cause::new(error))
}

impl Registry {
    /// The agent of a run that comes back.
    fn agent_of(&self, log: &RunLog) -> Option<Agent> {
        let listed = self.agents.get(&log.agent);
        let runs = locked(&self.runs);
        let paused = runs.paused.get(&log.id);
        paused.and_then(|paused| paused.agent.clone()).or(listed)
    }

    /// The work of a run that comes back. It remembers what was said before it began.
    pub(super) fn relaunch(&self, log: &Arc<RunLog>, agent: &Agent) -> Launch {
        let memory = log.session_id.clone().map(|session| HistoryQuery {
            session,
            but: log.id,
            before: Some((log.created_at(), log.id)),
        });
        let recall = load_history(&self.env.store, agent, memory);
        Launch::new(log, agent, recall, None)
    }
}

impl From<EventsError> for ContinueError {
    fn from(error: EventsError) -> ContinueError {
        ContinueError::Read(error)
    }
}
