//! Sessions: what is known of one, and what can be put to it.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::head::used;
use crate::{
    event::{EventKind, RunEvent},
    id::{RunId, Timestamp},
    message::Message,
    usage::Usage,
};

/// A JSON object that belongs to a session, shared.
pub type SessionData = Arc<Map<String, Value>>;

/// A session: a conversation of many runs. What its runs say of it is a fold of their events
/// ([`apply`](SessionHead::apply)); the rest was put to it ([`put`](SessionHead::put)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionHead {
    /// Which session.
    pub session_id: Arc<str>,
    /// What people call it, where it was given a name.
    pub name: Option<Arc<str>>,
    /// The first thing that a user said in it: at most [`TITLE_BYTES`](SessionHead::TITLE_BYTES) bytes of it.
    pub title: Option<Arc<str>>,
    /// The agent of its first run, unless another was put to it.
    pub agent: Option<Arc<str>>,
    /// Whose it is: the user of its first run that had one, unless another was put to it.
    pub user_id: Option<Arc<str>>,
    /// The state that was put to it. The store does not look into it.
    pub state: Option<SessionData>,
    /// The metadata that was put to it. The store does not look into it.
    pub metadata: Option<SessionData>,
    /// When it was made: the time of its first run's first event, unless it was made before.
    pub created_at: Timestamp,
    /// The time of the last event of any of its runs that changed the run's status.
    pub updated_at: Timestamp,
    /// How many runs it has.
    pub runs: u64,
    /// What its runs have used that have ended, those included that were deleted since.
    pub usage: Usage,
    /// When its newest run was created, and which one that is. It may have been deleted since.
    pub last_run: Option<(Timestamp, RunId)>,
}

impl SessionHead {
    /// How many bytes a title has at most.
    pub const TITLE_BYTES: usize = 256;

    /// A session without runs.
    pub fn new(session_id: impl Into<Arc<str>>, at: Timestamp) -> SessionHead {
        SessionHead {
            session_id: session_id.into(),
            name: None,
            title: None,
            agent: None,
            user_id: None,
            state: None,
            metadata: None,
            created_at: at,
            updated_at: at,
            runs: 0,
            usage: Usage::default(),
            last_run: None,
        }
    }

    /// Records the next event of one of its runs. Only events that change the run's status
    /// ([`EventKind::status`]) say something of the session.
    pub fn apply(&mut self, event: &RunEvent) {
        let kind = &event.kind;
        if let (1, EventKind::Started(started)) = (event.seq, kind) {
            self.runs += 1;
            self.agent.get_or_insert_with(|| started.agent.clone());
            self.user_id = self.user_id.take().or_else(|| started.user_id.clone());
            self.title = self.title.take().or_else(|| title(&started.input));
            self.last_run = self.last_run.max(Some((event.at, event.run_id)));
        }
        if kind.status().is_some() {
            self.updated_at = self.updated_at.max(event.at);
        }
        if let Some(used) = used(kind) {
            self.usage = self.usage.plus(used);
        }
    }

    /// Records that one of its runs was deleted.
    pub fn forget_run(&mut self) {
        self.runs = self.runs.saturating_sub(1);
    }

    /// Records a patch.
    pub fn put(&mut self, patch: SessionPatch) {
        let SessionPatch {
            name,
            user_id,
            agent,
            state,
            metadata,
        } = patch;
        set(&mut self.name, name);
        set(&mut self.user_id, user_id);
        set(&mut self.agent, agent);
        set(&mut self.state, state);
        set(&mut self.metadata, metadata);
    }

    /// Whether it goes with its last run: it has no runs, and neither a name, nor state, nor metadata.
    pub fn is_bare(&self) -> bool {
        self.runs == 0 && self.name.is_none() && self.state.is_none() && self.metadata.is_none()
    }

    /// What people know it by: its name, or its title where it has none.
    pub fn label(&self) -> Option<&Arc<str>> {
        self.name.as_ref().or(self.title.as_ref())
    }
}

fn set<T>(field: &mut Option<T>, to: Option<Option<T>>) {
    if let Some(to) = to {
        *field = to;
    }
}

/// The first words of a user in `input`, cut to the length of a title.
fn title(input: &[Message]) -> Option<Arc<str>> {
    let mut said = input.iter().filter_map(|message| match message {
        Message::User { text, .. } => Some(text),
        Message::System { .. } | Message::Assistant { .. } | Message::Tool { .. } => None,
    });
    let text = said.find(|text| !text.is_empty())?;
    if text.len() <= SessionHead::TITLE_BYTES {
        return Some(text.clone());
    }
    let end = text.floor_char_boundary(SessionHead::TITLE_BYTES);
    Some(text[..end].into())
}

/// What is put to a session. Each field: `None` leaves it as it is, `Some(None)` takes it away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionPatch {
    /// What people call it.
    pub name: Option<Option<Arc<str>>>,
    /// Whose it is.
    pub user_id: Option<Option<Arc<str>>>,
    /// The agent it is with.
    pub agent: Option<Option<Arc<str>>>,
    /// Its state.
    pub state: Option<Option<SessionData>>,
    /// Its metadata.
    pub metadata: Option<Option<SessionData>>,
}

impl SessionPatch {
    /// How many bytes of JSON the state and the metadata of a session may have together, as a runtime takes them: 64
    /// KiB.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// One that leaves everything as it is.
    pub fn new() -> SessionPatch {
        SessionPatch::default()
    }

    /// Gives the session this name, or takes its name away.
    pub fn name(mut self, name: Option<&str>) -> SessionPatch {
        self.name = Some(name.map(Arc::from));
        self
    }

    /// Gives it this user, or none.
    pub fn user(mut self, id: Option<&str>) -> SessionPatch {
        self.user_id = Some(id.map(Arc::from));
        self
    }

    /// Makes it a session with this agent, or with none.
    pub fn agent(mut self, name: Option<&str>) -> SessionPatch {
        self.agent = Some(name.map(Arc::from));
        self
    }

    /// Sets its state, or takes it away.
    pub fn state(mut self, state: Option<Map<String, Value>>) -> SessionPatch {
        self.state = Some(state.map(Arc::new));
        self
    }

    /// Sets its metadata, or takes it away.
    pub fn metadata(mut self, metadata: Option<Map<String, Value>>) -> SessionPatch {
        self.metadata = Some(metadata.map(Arc::new));
        self
    }

    /// How many bytes of JSON there are in it; `usize::MAX` when it cannot be written as JSON.
    pub(crate) fn bytes(&self) -> usize {
        let parts = [&self.state, &self.metadata].into_iter();
        let parts = parts.filter_map(|part| part.as_ref()?.as_ref());
        let sizes =
            parts.map(|part| serde_json::to_vec(&**part).map_or(usize::MAX, |json| json.len()));
        sizes.fold(0, usize::saturating_add)
    }
}
