//! A store as the runtime holds it: of any type, and asked in the runtime's own tokio runtime.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
};

use futures::{FutureExt, future::BoxFuture};
use tokio::runtime::Handle;

use super::{
    AppendError, BatchId, Events, Expected, ReadError, RunHead, RunQuery, SessionHead,
    SessionPatch, SessionQuery, Store, WriteError,
};
use crate::{
    event::RunEvent,
    id::{RunId, Timestamp},
};

/// The object-safe twin of [`Store`].
pub(crate) trait DynStore: Send + Sync {
    fn append_now(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: &Events,
    ) -> Option<Result<u64, AppendError>>;
    fn append(
        self: Arc<Self>,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: Events,
    ) -> BoxFuture<'static, Result<u64, AppendError>>;
    fn head(self: Arc<Self>, run: RunId) -> BoxFuture<'static, Result<Option<RunHead>, ReadError>>;
    fn read(
        self: Arc<Self>,
        run: RunId,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<RunEvent>, ReadError>>;
    fn runs(
        self: Arc<Self>,
        query: RunQuery,
    ) -> BoxFuture<'static, Result<Vec<RunHead>, ReadError>>;
    fn session(
        self: Arc<Self>,
        id: Arc<str>,
    ) -> BoxFuture<'static, Result<Option<SessionHead>, ReadError>>;
    fn sessions(
        self: Arc<Self>,
        query: SessionQuery,
    ) -> BoxFuture<'static, Result<Vec<SessionHead>, ReadError>>;
    fn count_sessions(
        self: Arc<Self>,
        query: SessionQuery,
    ) -> BoxFuture<'static, Result<u64, ReadError>>;
    fn put_session(
        self: Arc<Self>,
        id: Arc<str>,
        patch: SessionPatch,
        at: Timestamp,
    ) -> BoxFuture<'static, Result<(), WriteError>>;
    fn delete_run(self: Arc<Self>, run: RunId) -> BoxFuture<'static, Result<bool, WriteError>>;
    fn delete_session(
        self: Arc<Self>,
        id: Arc<str>,
    ) -> BoxFuture<'static, Result<bool, WriteError>>;
}

/// A store, and the tokio runtime in which it is asked. The caller may be on a thread that has none.
pub(crate) struct InTokio<S> {
    store: S,
    tokio: Handle,
}

impl<S: Store> InTokio<S> {
    /// `store`, asked in the tokio runtime of the caller.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(crate) fn here(store: S) -> Arc<dyn DynStore> {
        let tokio = Handle::current();
        Arc::new(InTokio { store, tokio })
    }

    async fn within<'a, F: Future>(&'a self, ask: impl FnOnce(&'a S) -> F) -> F::Output {
        let mut answer = pin!({
            let _in_tokio = self.tokio.enter();
            ask(&self.store)
        });
        poll_fn(move |cx| {
            let _in_tokio = self.tokio.enter();
            answer.as_mut().poll(cx)
        })
        .await
    }
}

impl<S: Store> DynStore for InTokio<S> {
    fn append_now(
        &self,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: &Events,
    ) -> Option<Result<u64, AppendError>> {
        self.store.append_now(run, expected, batch, events)
    }

    fn append(
        self: Arc<Self>,
        run: RunId,
        expected: Expected,
        batch: BatchId,
        events: Events,
    ) -> BoxFuture<'static, Result<u64, AppendError>> {
        async move {
            self.within(|store| store.append(run, expected, batch, events))
                .await
        }
        .boxed()
    }

    fn head(self: Arc<Self>, run: RunId) -> BoxFuture<'static, Result<Option<RunHead>, ReadError>> {
        async move { self.within(|store| store.head(run)).await }.boxed()
    }

    fn read(
        self: Arc<Self>,
        run: RunId,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<RunEvent>, ReadError>> {
        async move { self.within(|store| store.read(run, after, limit)).await }.boxed()
    }

    fn runs(
        self: Arc<Self>,
        query: RunQuery,
    ) -> BoxFuture<'static, Result<Vec<RunHead>, ReadError>> {
        async move { self.within(|store| store.runs(query)).await }.boxed()
    }

    fn session(
        self: Arc<Self>,
        id: Arc<str>,
    ) -> BoxFuture<'static, Result<Option<SessionHead>, ReadError>> {
        async move { self.within(|store| store.session(id)).await }.boxed()
    }

    fn sessions(
        self: Arc<Self>,
        query: SessionQuery,
    ) -> BoxFuture<'static, Result<Vec<SessionHead>, ReadError>> {
        async move { self.within(|store| store.sessions(query)).await }.boxed()
    }

    fn count_sessions(
        self: Arc<Self>,
        query: SessionQuery,
    ) -> BoxFuture<'static, Result<u64, ReadError>> {
        async move { self.within(|store| store.count_sessions(query)).await }.boxed()
    }

    fn put_session(
        self: Arc<Self>,
        id: Arc<str>,
        patch: SessionPatch,
        at: Timestamp,
    ) -> BoxFuture<'static, Result<(), WriteError>> {
        async move { self.within(|store| store.put_session(id, patch, at)).await }.boxed()
    }

    fn delete_run(self: Arc<Self>, run: RunId) -> BoxFuture<'static, Result<bool, WriteError>> {
        async move { self.within(|store| store.delete_run(run)).await }.boxed()
    }

    fn delete_session(
        self: Arc<Self>,
        id: Arc<str>,
    ) -> BoxFuture<'static, Result<bool, WriteError>> {
        async move { self.within(|store| store.delete_session(id)).await }.boxed()
    }
}

impl fmt::Debug for dyn DynStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dyn Store")
    }
}
