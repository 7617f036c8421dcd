//! Starting one run.

use std::{future::poll_fn, sync::Arc};

use ractor::{ActorCell, ActorStatus};

use super::{
    launch::Launch,
    registry::{Accepted, Registry},
};
use crate::{
    agent::Agent,
    error::StartError,
    event::Started,
    id::RunId,
    message::Message,
    run::{Run, Waiter, log::RunLog},
    store::AppendError,
};

/// What to start: the input, and whatever else a caller wants to decide. A text makes one.
///
/// ```
/// use quell_actors::{NewRun, RunId};
///
/// let simple = NewRun::from("Sing of the sea.");
/// let chosen = NewRun::new("Sing of the sea.").id(RunId::new()).session("s-1");
/// # let _ = (simple, chosen);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRun {
    id: Option<RunId>,
    session_id: Option<Arc<str>>,
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

/// Accepts a run, launches it, and waits until its start is stored.
pub(super) async fn start(
    registry: &Arc<Registry>,
    agent: &Agent,
    run: NewRun,
    supervisor: Option<ActorCell>,
) -> Result<Run, StartError> {
    agent.check()?;
    let input: Vec<Message> = run
        .input
        .into_iter()
        .filter(|message| !message.text().is_empty())
        .collect();
    let messages = conversation(agent, &input)?;
    if let Some(session) = &run.session_id
        && !is_session_id(session)
    {
        let bytes = session.len();
        return Err(StartError::InvalidSession { bytes });
    }
    if let Some(supervisor) = &supervisor
        && supervisor.get_status() >= ActorStatus::Draining
    {
        return Err(StartError::SupervisorGone);
    }
    let id = run.id.unwrap_or_else(RunId::new);
    let started = Started {
        agent: agent.shared_name(),
        session_id: run.session_id,
        parent: None,
        input,
    };
    let Accepted {
        log,
        launch,
        intent,
    } = registry.accept(id, || {
        let log = RunLog::start(
            id,
            started,
            agent.limits().max_log_bytes,
            registry.house.clone(),
            registry.clone(),
        );
        let launch = Launch::new(log.clone(), agent.clone(), messages, supervisor);
        (log, launch)
    })?;
    log.flush();
    if let Some(launch) = launch {
        registry.launch(launch);
    }
    let Err(error) = stored(&log).await else {
        return Ok(Run::new(log));
    };
    let error = refused(id, &error);
    if let (Some(intent), StartError::Store { .. }) = (intent, &error) {
        // The run that was to be cancelled has not started.
        registry.remembered(|remembered| remembered.put_back(id, intent, &registry.config));
    }
    Err(error)
}

/// What the model is asked: the agent's instructions, then the input.
fn conversation(agent: &Agent, input: &[Message]) -> Result<Arc<[Message]>, StartError> {
    let instructions = agent.instructions();
    let system = (!instructions.is_empty()).then(|| Message::system(instructions));
    let messages: Arc<[Message]> = system.into_iter().chain(input.iter().cloned()).collect();
    if messages.is_empty() {
        return Err(StartError::EmptyInput);
    }
    Ok(messages)
}

fn is_session_id(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.chars().any(char::is_control)
}

async fn stored(log: &Arc<RunLog>) -> Result<(), AppendError> {
    let mut waiter = Waiter::new(log);
    poll_fn(|cx| waiter.log.poll_mark(1, &mut waiter.key, cx)).await
}

/// Why the store did not take a new run.
fn refused(id: RunId, error: &AppendError) -> StartError {
    match error {
        AppendError::Fenced { .. } | AppendError::Ended { .. } => StartError::DuplicateRun(id),
        AppendError::Unknown(message) => StartError::Store {
            message: message.clone(),
            unknown: true,
        },
        AppendError::Unavailable(message) => StartError::Store {
            message: message.clone(),
            unknown: false,
        },
    }
}
