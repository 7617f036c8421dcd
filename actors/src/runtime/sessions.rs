//! Sessions and runs as they are kept: listed, read, named and deleted.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Runtime, Scope,
    history::{HistoryQuery, read_history},
    lookup::Found,
    registry::Registry,
    start::check_session,
};
use crate::{
    cancel::{CancelReason, CancelRequest},
    error::{DeleteRunError, EventsError, SessionError},
    id::RunId,
    lock::locked,
    message::Message,
    store::{ReadError, RunHead, RunQuery, SessionHead, SessionPatch, SessionQuery, WriteError},
};

impl Runtime {
    /// The stored runs that `query` asks for, in its order, a page at a time. A live run is shown as it is stored,
    /// which may be briefly behind [`Run::status`](crate::Run::status).
    ///
    /// # Errors
    ///
    /// [`EventsError::Read`] when the store could not be read.
    pub async fn runs(&self, query: RunQuery) -> Result<Vec<RunHead>, EventsError> {
        let store = self.registry().env.store.clone();
        store.runs(query).await.map_err(EventsError::from)
    }

    /// The session of this id.
    ///
    /// # Errors
    ///
    /// [`EventsError::Read`] when the store could not be read.
    pub async fn session(
        &self,
        id: impl Into<Arc<str>>,
    ) -> Result<Option<SessionHead>, EventsError> {
        let store = self.registry().env.store.clone();
        store.session(id.into()).await.map_err(EventsError::from)
    }

    /// The sessions that `query` asks for, in its order, a page at a time.
    ///
    /// # Errors
    ///
    /// [`EventsError::Read`] when the store could not be read.
    pub async fn sessions(&self, query: SessionQuery) -> Result<Vec<SessionHead>, EventsError> {
        let store = self.registry().env.store.clone();
        store.sessions(query).await.map_err(EventsError::from)
    }

    /// What a model would be shown of the last `runs` runs of a session, the oldest first. Answers that were cut are
    /// marked. Live runs are left out.
    ///
    /// # Errors
    ///
    /// [`EventsError`] when the store could not be read.
    pub async fn messages(
        &self,
        session: impl Into<Arc<str>>,
        runs: usize,
    ) -> Result<Vec<Message>, EventsError> {
        let memory = HistoryQuery {
            session: session.into(),
            but: RunId::new(),
            before: None,
        };
        let store = &self.registry().env.store;
        Ok(read_history(store, memory, runs, true).await?)
    }

    /// How many sessions `query` asks for, whatever page of them.
    ///
    /// # Errors
    ///
    /// [`EventsError::Read`] when the store could not be read.
    pub async fn count_sessions(&self, query: SessionQuery) -> Result<u64, EventsError> {
        let store = self.registry().env.store.clone();
        store.count_sessions(query).await.map_err(EventsError::from)
    }

    /// Gives a session a name, or takes it away; a session that is not there is made. A name has 1 to 256 bytes.
    ///
    /// # Errors
    ///
    /// [`SessionError`].
    pub async fn name_session(
        &self,
        id: impl Into<Arc<str>>,
        name: Option<&str>,
    ) -> Result<(), SessionError> {
        self.put_session(id, SessionPatch::new().name(name)).await
    }

    /// Puts a name, a user, an agent, state or metadata to a session, or takes them away; a session that is not there
    /// is made. State and metadata have at most [`SessionPatch::MAX_BYTES`] together.
    ///
    /// # Errors
    ///
    /// [`SessionError`].
    pub async fn put_session(
        &self,
        id: impl Into<Arc<str>>,
        patch: SessionPatch,
    ) -> Result<(), SessionError> {
        let id = id.into();
        check(&id, &patch)?;
        if locked(&self.registry().runs).desk.is_deleting(&id) {
            return Err(SessionError::BeingDeleted);
        }
        let env = &self.registry().env;
        let at = env.clock.at(Instant::now());
        let store = env.store.clone();
        Ok(store.put_session(id, patch, at).await?)
    }

    /// Deletes a session with all its runs. Those that have not ended are cancelled first, with the reason
    /// `SessionDeleted`, and awaited; no run of the session is started meanwhile. `false`: there was no such session.
    ///
    /// # Errors
    ///
    /// [`SessionError`]. What was cancelled stays so.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, what was cancelled stays so, and the session may be there or not.
    pub async fn delete_session(&self, id: impl Into<Arc<str>>) -> Result<bool, SessionError> {
        let id = id.into();
        let registry = self.registry();
        let _closed = Closed::new(registry, id.clone())?;
        let request = CancelRequest::new(CancelReason::SessionDeleted);
        let which = Scope::all().session(id.clone());
        self.cancel_known(&which, &request).await;
        registry.none_left(&id).await;
        // The paused ones with a reader have an ending to show; the others go as they are.
        for log in registry.paused_of(&id) {
            log.cancel_paused(&request);
            // A store that was lost takes nothing more of it either.
            let _ = log.wait_ended().await;
        }
        let store = registry.env.store.clone();
        let deleted = store.delete_session(id.clone()).await?;
        // A caller that has found one meanwhile must not wait for an ending that is never written.
        for log in registry.forget_paused_session(&id) {
            log.cancel_paused(&request);
        }
        Ok(deleted)
    }

    /// Deletes a run that has ended, or is paused, with all its events; a paused one is cancelled first. `false`: there
    /// was no such run.
    ///
    /// # Errors
    ///
    /// [`DeleteRunError::NotEnded`] for any other: cancel it first.
    pub async fn delete_run(&self, id: RunId) -> Result<bool, DeleteRunError> {
        let registry = self.registry();
        match registry.find_or_restore(id).await? {
            Found::Log(log) => {
                log.cancel_paused(&CancelRequest::default());
                let status = log.status();
                if !status.is_ended() {
                    return Err(DeleteRunError::NotEnded { status });
                }
                let _ = log.wait_ended().await;
            }
            Found::Stored(run) if !run.head.status.is_ended() => {
                return Err(DeleteRunError::NotEnded {
                    status: run.head.status,
                });
            }
            Found::Stored(_) | Found::Nothing => {}
        }
        let store = registry.env.store.clone();
        Ok(store.delete_run(id).await?)
    }
}

/// Whether what is put to a session is of a form that is stored.
fn check(id: &str, patch: &SessionPatch) -> Result<(), SessionError> {
    check_session(id).map_err(|bytes| SessionError::InvalidId { bytes })?;
    let given = |field: &Option<Option<Arc<str>>>| field.clone().flatten();
    let named = given(&patch.name).map_or(1, |name| name.len());
    if !(1..=256).contains(&named) {
        return Err(SessionError::InvalidName { bytes: named });
    }
    if let Some(user) = given(&patch.user_id) {
        check_session(&user).map_err(|bytes| SessionError::InvalidUser { bytes })?;
    }
    if let Some(agent) = given(&patch.agent) {
        check_session(&agent).map_err(|bytes| SessionError::InvalidAgent { bytes })?;
    }
    match patch.bytes() {
        bytes if bytes > SessionPatch::MAX_BYTES => Err(SessionError::TooLarge { bytes }),
        _ => Ok(()),
    }
}

/// A session that takes no runs while it is being deleted.
struct Closed<'a> {
    registry: &'a Registry,
    session: Arc<str>,
}

impl<'a> Closed<'a> {
    fn new(registry: &'a Registry, session: Arc<str>) -> Result<Closed<'a>, SessionError> {
        let is_first = locked(&registry.runs).desk.begin_deleting(&session);
        if is_first {
            Ok(Closed { registry, session })
        } else {
            Err(SessionError::BeingDeleted)
        }
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        locked(&self.registry.runs).desk.end_deleting(&self.session);
    }
}

impl Registry {
    /// Waits until no run of a session is under way.
    async fn none_left(&self, session: &str) {
        loop {
            let told = self.gone.notified();
            let mut told = std::pin::pin!(told);
            told.as_mut().enable();
            if !locked(&self.runs).desk.is_in_use(session) {
                return;
            }
            told.await;
        }
    }
}

impl From<WriteError> for SessionError {
    fn from(error: WriteError) -> SessionError {
        match error {
            WriteError::Unknown(cause) => SessionError::StoreUnknown(cause),
            WriteError::Unavailable(cause) => SessionError::StoreUnavailable(cause),
        }
    }
}

impl From<WriteError> for DeleteRunError {
    fn from(error: WriteError) -> DeleteRunError {
        match error {
            WriteError::Unknown(cause) => DeleteRunError::StoreUnknown(cause),
            WriteError::Unavailable(cause) => DeleteRunError::StoreUnavailable(cause),
        }
    }
}

impl From<ReadError> for EventsError {
    fn from(error: ReadError) -> EventsError {
        match error {
            ReadError::Expired { first } => EventsError::Expired { first },
            ReadError::Failed(cause) => EventsError::Read(cause),
        }
    }
}
