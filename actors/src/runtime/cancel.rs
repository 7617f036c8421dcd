//! Cancelling by id, by many, and ahead of time.

use std::{
    future::{Future, ready},
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, Either, join_all},
    stream,
};
use tokio::{runtime::Handle, time::Instant};

use super::{Runtime, lookup::Found, registry::Registry};
use crate::{
    cancel::{CancelOutcome, CancelRequest},
    error::{CancelAllError, Cause, EventsError},
    id::RunId,
    lock::locked,
    run::{Cancel, Run, log::RunLog, stored::RunFinder, tail::Tail},
    status::RunStatus,
    store::{RunHead, RunQuery},
};

/// How many paused runs are cancelled at the same time.
const AT_ONCE: usize = 256;

/// Pauses between two tries of one reading.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Which runs a cancel of many is for: those that fit all that it names.
///
/// ```
/// use quell_actors::runtime::Scope;
///
/// let all = Scope::all();
/// let of_one_user = Scope::all().agent("poet").user("ann");
/// # let _ = (all, of_one_user);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scope {
    /// Only the runs of the agent of this name.
    pub agent: Option<Arc<str>>,
    /// Only the runs of this session.
    pub session: Option<Arc<str>>,
    /// Only the runs of this user.
    pub user: Option<Arc<str>>,
}

impl Scope {
    /// Every run that has not ended.
    pub fn all() -> Scope {
        Scope::default()
    }

    /// Of those only the runs of the agent of this name.
    pub fn agent(mut self, name: impl Into<Arc<str>>) -> Scope {
        self.agent = Some(name.into());
        self
    }

    /// Of those only the runs of this session.
    pub fn session(mut self, id: impl Into<Arc<str>>) -> Scope {
        self.session = Some(id.into());
        self
    }

    /// Of those only the runs of this user.
    pub fn user(mut self, id: impl Into<Arc<str>>) -> Scope {
        self.user = Some(id.into());
        self
    }

    pub(super) fn holds(&self, log: &RunLog) -> bool {
        let fits = |wanted: &Option<Arc<str>>, is: Option<&Arc<str>>| {
            wanted.is_none() || wanted.as_ref() == is
        };
        let is_users = || {
            let started = log.started();
            let user = started
                .as_ref()
                .and_then(|started| started.user_id.as_ref());
            fits(&self.user, user)
        };
        fits(&self.agent, Some(&log.agent))
            && fits(&self.session, log.session_id.as_ref())
            && (self.user.is_none() || is_users())
    }
}

impl Runtime {
    /// Cancels the run of this id, wherever it is. See [`cancel_with`](Runtime::cancel_with).
    pub fn cancel(&self, id: RunId) -> Cancel {
        self.cancel_with(id, CancelRequest::default())
    }

    /// Cancels the run of this id, for a reason, and remembers that when asked to and the run is not known yet.
    ///
    /// The cancel of a run that runs or waits here, and the remembering, take effect in this call; see
    /// [`Run::cancel_with`]. For any other id the store is asked what became of the run, in the background, and a
    /// paused run is cancelled then. A store that cannot be read is asked again for as long as
    /// [`store_patience`](crate::runtime::RuntimeConfig::store_patience) lasts. While the store has not said whether it
    /// takes the start of a run, or knows its id already, the result waits for that.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take the cancel back.
    pub fn cancel_with(&self, id: RunId, request: CancelRequest) -> Cancel {
        self.registry().cancel_by_id(id, request)
    }

    /// Cancels many runs at once, and returns a result for each that had not ended. Those that run here or wait for a
    /// slot or their session are decided in this call; those that are paused are looked for in the store and cancelled
    /// in the background, whether or not the future is polled.
    ///
    /// # Errors
    ///
    /// [`CancelAllError`] when the store could not list the paused runs, with the results of those that were cancelled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes no cancel back.
    pub fn cancel_all(
        &self,
        scope: Scope,
        request: CancelRequest,
    ) -> impl Future<Output = Result<Vec<(RunId, CancelOutcome)>, CancelAllError>> + Send + use<>
    {
        let answers = self.cancel_known(&scope, &request);
        let registry = self.registry().clone();
        let tokio = registry.env.tokio.clone();
        let paused = tokio.spawn(async move { registry.cancel_paused(&scope, &request).await });
        async move {
            let mut answers = answers.await;
            let (paused, failure) = paused
                .await
                .unwrap_or_else(|error| (Vec::new(), Some(EventsError::Read(Cause::new(error)))));
            answers.extend(paused);
            match failure {
                None => Ok(answers),
                Some(source) => Err(CancelAllError { answers, source }),
            }
        }
    }

    /// Cancels the runs that have an actor, or that wait.
    pub(super) fn cancel_known(
        &self,
        scope: &Scope,
        request: &CancelRequest,
    ) -> impl Future<Output = Vec<(RunId, CancelOutcome)>> + Send + use<> {
        let logs = self.registry().all().into_iter();
        let answers: Vec<_> = logs
            .filter(|log| scope.holds(log) && !log.status().is_ended())
            .map(|log| {
                let (id, answer) = (log.id, cancel_log(log, request.clone()));
                async move { answer.await.map(|answer| (id, answer)) }
            })
            .collect();
        async move { join_all(answers).await.into_iter().flatten().collect() }
    }
}

/// Cancels a run that is in memory, in this call. `None`: the store did not take its start, so that it is not the run
/// of its id.
fn cancel_log(
    log: Arc<RunLog>,
    request: CancelRequest,
) -> impl Future<Output = Option<CancelOutcome>> + Send + use<> {
    let answer = Run::new(log.clone()).cancel_with(request);
    async move {
        log.wait_stored(1).await.ok()?;
        Some(answer.await)
    }
}

/// Does `work` whether or not the future that is returned is polled: at once as far as it goes, and then in the
/// background. `None`: the work panicked, or the tokio runtime has ended.
fn in_background<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    tokio: &Handle,
    work: F,
) -> impl Future<Output = Option<T>> + Send + use<T, F> {
    let mut work = AssertUnwindSafe(work).catch_unwind().boxed();
    let begun = {
        let _in_tokio = tokio.enter();
        work.poll_unpin(&mut Context::from_waker(Waker::noop()))
    };
    match begun {
        Poll::Ready(answer) => Either::Left(ready(answer.ok())),
        Poll::Pending => {
            let work = tokio.spawn(work);
            Either::Right(async move { work.await.ok()?.ok() })
        }
    }
}

impl RunFinder for Registry {
    fn tail(
        self: Arc<Self>,
        run: RunId,
    ) -> BoxFuture<'static, Result<Option<Arc<dyn Tail>>, EventsError>> {
        let tail = async move {
            Ok(match self.find_or_restore(run).await? {
                Found::Log(log) => Some(log as Arc<dyn Tail>),
                Found::Stored(run) => Some(run as Arc<dyn Tail>),
                Found::Nothing => None,
            })
        };
        tail.boxed()
    }

    fn cancel(self: Arc<Self>, run: RunId, request: CancelRequest) -> Cancel {
        self.cancel_by_id(run, request)
    }
}

impl Registry {
    /// Cancels a run, and if it is not known remembers that when asked to.
    fn cancel_by_id(self: &Arc<Self>, id: RunId, request: CancelRequest) -> Cancel {
        let config = &self.config;
        let remember = request.remember
            && config.max_remembered_cancels > 0
            && !config.remember_cancels_for.is_zero();
        // Remembered first and looked up after: a run that starts in between finds the intent.
        let log = self.find_or_remember(id, remember.then_some(&request));
        if let Some(log) = &log
            && log.is_started()
        {
            return Run::new(log.clone()).cancel_with(request);
        }
        let starting = log.map(|log| cancel_log(log, request.clone()));
        let registry = self.clone();
        let answer = in_background(&self.env.tokio, async move {
            if let Some(answer) = starting {
                if let Some(answer) = answer.await {
                    return answer;
                }
                // Its start was refused. There is another run of this id, or none.
                registry.find_or_remember(id, remember.then_some(&request));
            }
            registry.cancel_stored(id, request, remember).await
        });
        Cancel::later(async move { answer.await.unwrap_or(CancelOutcome::Unreadable) })
    }

    /// The log of a known run; if there is none, the cancel is remembered in the same step.
    fn find_or_remember(&self, id: RunId, request: Option<&CancelRequest>) -> Option<Arc<RunLog>> {
        let mut runs = locked(&self.runs);
        let known = runs.find(id);
        if let (None, Some(request)) = (&known, request) {
            let scope = request.scope.clone().unwrap_or_default();
            let (request, now) = (request.clone(), Instant::now());
            runs.desk.intents.add(scope, id, request, now);
        }
        known
    }

    /// The run of a cancel that was remembered is known after all.
    fn forget_intent(&self, id: RunId, request: &CancelRequest) {
        let scope = request.scope.clone().unwrap_or_default();
        locked(&self.runs).desk.intents.forget(&scope, id);
    }

    /// Cancels the paused runs, which are in the store.
    async fn cancel_paused(
        self: &Arc<Self>,
        which: &Scope,
        request: &CancelRequest,
    ) -> (Vec<(RunId, CancelOutcome)>, Option<EventsError>) {
        let mut query = RunQuery::unfinished();
        query.agent = which.agent.clone();
        query.session_id = which.session.clone();
        query.user_id = which.user.clone();
        let mut answers = Vec::new();
        loop {
            let list = || async {
                let page = self.env.store.clone().runs(query.clone()).await;
                page.map_err(EventsError::from)
            };
            let page = match self.patiently(list).await {
                Ok(page) => page,
                Err(error) => return (answers, Some(error)),
            };
            let next = page.last().map(|last| query.clone().after(last));
            let full = page.len() == query.limit;
            let paused = page
                .into_iter()
                .filter(|head| head.status == RunStatus::Paused);
            let cancels = paused.map(|RunHead { run_id, .. }| {
                let (registry, request) = (self.clone(), request.clone());
                async move {
                    let outcome = registry.cancel_stored(run_id, request, false).await;
                    (run_id, outcome)
                }
            });
            // Each waits for the store, which takes many in one commit.
            let answered = stream::iter(cancels).buffered(AT_ONCE);
            answers.extend(answered.collect::<Vec<_>>().await);
            match next {
                Some(next) if full => query = next,
                Some(_) | None => return (answers, None),
            }
        }
    }

    /// Cancels a run that was not in memory when it was asked for.
    async fn cancel_stored(
        self: &Arc<Self>,
        id: RunId,
        request: CancelRequest,
        remember: bool,
    ) -> CancelOutcome {
        let found = match self.patiently(|| self.find_or_restore(id)).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(run_id = %id, %error, "the store could not say whether a run exists");
                return CancelOutcome::Unreadable;
            }
        };
        if remember && !matches!(found, Found::Nothing) {
            self.forget_intent(id, &request);
        }
        match found {
            Found::Log(log) => Run::new(log).cancel_with(request).await,
            Found::Stored(run) => match run.head.status {
                status if status.is_ended() => CancelOutcome::AlreadyEnded { status },
                status => CancelOutcome::NotHere { status },
            },
            Found::Nothing if remember => CancelOutcome::Remembered,
            Found::Nothing => CancelOutcome::NotFound,
        }
    }

    /// What `read` gives, asked again for as long as the store's patience lasts while the store cannot be read.
    async fn patiently<T, F>(&self, mut read: impl FnMut() -> F) -> Result<T, EventsError>
    where
        F: Future<Output = Result<T, EventsError>>,
    {
        // A patience too long for the clock is unlimited.
        let until = Instant::now().checked_add(self.env.store_patience);
        let mut pause = FIRST_PAUSE;
        loop {
            match read().await {
                Err(EventsError::Read(_)) if until.is_none_or(|until| Instant::now() < until) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                answer => return answer,
            }
        }
    }
}
