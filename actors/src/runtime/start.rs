//! Starting one run.

use std::sync::Arc;

use ractor::{ActorCell, ActorStatus};

use super::{
    admission::{Accepted, StartSpec, Visit},
    history::{HistoryQuery, load_history},
    launch::Launch,
    registry::Registry,
    when_busy::WhenBusy,
};
use crate::{
    agent::Agent,
    error::{Cause, EventsError, StartError},
    event::{Context, Started},
    id::RunId,
    message::Message,
    run::{
        Run,
        ending::Ending,
        log::{RunHost, RunLog},
    },
    store::AppendError,
    tool::ToolContext,
};

/// What to start: the input, and whatever else a caller wants to decide. A text makes one.
///
/// ```
/// use quell_actors::{NewRun, RunId};
///
/// let simple = NewRun::from("Sing of the sea.");
/// let chosen = NewRun::new("Sing of the sea.").id(RunId::new()).session("s-1");
/// let first = NewRun::new("Sing of the sea.").in_new_session();
/// # let _ = (simple, chosen, first);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRun {
    id: Option<RunId>,
    session_id: Option<Arc<str>>,
    when_busy: WhenBusy,
    parent: Option<RunId>,
    user_id: Option<Arc<str>>,
    context: Option<Arc<Context>>,
    scope: Option<Arc<str>>,
    input: Vec<Message>,
}

impl NewRun {
    /// A run with this text as its input.
    pub fn new(input: impl Into<Arc<str>>) -> NewRun {
        NewRun::messages(vec![Message::user(input)])
    }

    /// A run with a whole conversation as its input.
    pub fn messages(input: Vec<Message>) -> NewRun {
        NewRun {
            input,
            ..NewRun::default()
        }
    }

    /// Chooses the run's id, so that others can name it before it has started.
    pub fn id(mut self, id: RunId) -> NewRun {
        self.id = Some(id);
        self
    }

    /// Names the session the run belongs to: 1 to 256 bytes, no control characters.
    pub fn session(mut self, id: impl Into<Arc<str>>) -> NewRun {
        self.session_id = Some(id.into());
        self
    }

    /// Makes the run begin a session of its own, under a fresh id: see [`Run::session_id`].
    pub fn in_new_session(self) -> NewRun {
        self.session(RunId::new().to_string())
    }

    /// Decides what happens when a run of the same session has not ended. Default: [`WhenBusy::Queue`].
    pub fn when_busy(mut self, when_busy: WhenBusy) -> NewRun {
        self.when_busy = when_busy;
        self
    }

    /// Names the user the run is for: 1 to 256 bytes, no control characters.
    pub fn user(mut self, id: impl Into<Arc<str>>) -> NewRun {
        self.user_id = Some(id.into());
        self
    }

    /// Hands the run what its tools are to know, and what is to be stored with it.
    pub fn context(mut self, context: impl Into<Arc<Context>>) -> NewRun {
        self.context = Some(context.into());
        self
    }

    /// Names the scope in which a cancel of the run may have been remembered
    /// ([`CancelRequest::remember_in`](crate::CancelRequest::remember_in)): who may cancel it before it is known. One
    /// that was remembered in another scope does not touch it.
    pub fn scope(mut self, scope: impl Into<Arc<str>>) -> NewRun {
        self.scope = Some(scope.into());
        self
    }

    /// Makes it a child of the run whose tool starts it: when that run ends, in whatever way, this one is cancelled
    /// with the reason `Parent`. A child gets a slot at once, also beyond
    /// [`max_live_runs`](crate::runtime::RuntimeConfig::max_live_runs), since its parent waits for it with a slot.
    ///
    /// It is for the parent's user, unless it is for another one already.
    pub fn child_of(mut self, context: &ToolContext) -> NewRun {
        self.parent = Some(context.run_id());
        self.user_id = self.user_id.or_else(|| context.user_id().map(Arc::from));
        self
    }
}

impl From<&str> for NewRun {
    fn from(input: &str) -> NewRun {
        NewRun::new(input)
    }
}

impl From<String> for NewRun {
    fn from(input: String) -> NewRun {
        NewRun::new(input)
    }
}

impl From<Vec<Message>> for NewRun {
    fn from(input: Vec<Message>) -> NewRun {
        NewRun::messages(input)
    }
}

/// Starts a run, and counts it if it is refused.
pub(super) async fn start(
    registry: &Arc<Registry>,
    agent: &Agent,
    run: NewRun,
    supervisor: Option<ActorCell>,
) -> Result<Run, StartError> {
    let started = accepted(registry, agent, run, supervisor).await;
    if let Err(error) = &started {
        registry.env.counters.refused.add(error.label());
    }
    started
}

/// Accepts a run, launches it, and waits until its start is stored.
async fn accepted(
    registry: &Arc<Registry>,
    agent: &Agent,
    run: NewRun,
    supervisor: Option<ActorCell>,
) -> Result<Run, StartError> {
    agent.check()?;
    let input: Vec<Message> = run.input.into_iter().filter(says_something).collect();
    if input.is_empty() && agent.instructions().is_empty() {
        return Err(StartError::EmptyInput);
    }
    if let Some(session) = &run.session_id {
        check_session(session).map_err(|bytes| StartError::InvalidSession { bytes })?;
    }
    if let Some(user) = &run.user_id {
        check_session(user).map_err(|bytes| StartError::InvalidUser { bytes })?;
    }
    let bytes = run.context.as_ref().map_or(0, |context| context.bytes());
    if bytes > Context::MAX_BYTES {
        return Err(StartError::LargeContext { bytes });
    }
    if let Some(supervisor) = &supervisor
        && supervisor.get_status() >= ActorStatus::Draining
    {
        return Err(StartError::SupervisorGone);
    }
    let id = run.id.unwrap_or_else(RunId::new);
    let visit = match &run.session_id {
        Some(session) => Some(Visit::begin(registry, session).await.map_err(unreadable)?),
        None => None,
    };
    let memory = run.session_id.clone().map(|session| HistoryQuery {
        session,
        but: id,
        before: None,
    });
    let started = Started {
        agent: agent.shared_name(),
        session_id: run.session_id,
        user_id: run.user_id,
        parent: run.parent,
        model: agent.model().name(),
        context: run.context.filter(|context| !context.is_empty()),
        input,
    };
    // The log, its span and its work are made before the registry is asked: a user may have a say in that.
    let (env, host) = (registry.env.clone(), registry.clone());
    let log = RunLog::start(id, &started, agent, env, host);
    let history = load_history(&registry.env.store, agent, memory);
    let launch = Launch::new(&log, agent, history, supervisor);
    let spec = StartSpec {
        when_busy: run.when_busy,
        scope: run.scope.unwrap_or_default(),
        started,
    };
    let Accepted { todo, intent } = registry.accept(spec, launch)?;
    drop(visit);
    log.flush();
    registry.perform(todo);
    let Err(error) = log.wait_stored(1).await else {
        return Ok(Run::new(log));
    };
    // The actor would do this shortly; do it now so that a retry with the same id is not refused as a duplicate.
    log.end(Ending::store_lost(&error));
    registry.settled(&log);
    let error = refused(id, &error);
    if let StartError::StoreUnknown(_) | StartError::StoreUnavailable(_) = &error {
        // The run that was to be cancelled has not started.
        registry.remember_again(intent);
    }
    Err(error)
}

/// Whether a text can be the id of a session. If not, how many bytes it has.
pub(super) fn check_session(id: &str) -> Result<(), usize> {
    let fits = (1..=256).contains(&id.len()) && !id.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(id.len()) }
}

/// Whether a message is one. A result without words is, and so is an answer that only calls tools.
fn says_something(message: &Message) -> bool {
    match message {
        Message::System { text } | Message::User { text } => !text.is_empty(),
        Message::Assistant { text, calls, .. } => !text.is_empty() || !calls.is_empty(),
        Message::Tool { .. } => true,
    }
}

/// Why the store did not take a new run.
fn refused(id: RunId, error: &AppendError) -> StartError {
    match error {
        AppendError::Fenced { .. } | AppendError::Ended { .. } => StartError::DuplicateRun(id),
        AppendError::Unknown(cause) => StartError::StoreUnknown(cause.clone()),
        AppendError::Unavailable(cause) => StartError::StoreUnavailable(cause.clone()),
    }
}

/// What the store knows of the run's session could not be read.
fn unreadable(error: EventsError) -> StartError {
    StartError::StoreUnavailable(Cause::new(error))
}
