//! Cancelling by id, by many, and ahead of time.

use std::{future::Future, sync::Arc};

use futures::{StreamExt, future::join_all, stream};
use tokio::time::Instant;

use super::{Runtime, lookup::Found, registry::Registry};
use crate::{
    cancel::{CancelOutcome, CancelRequest},
    id::RunId,
    lock::locked,
    run::{Run, log::RunLog},
    status::RunStatus,
    store::{RunHead, RunQuery},
};

/// How many paused runs are cancelled at the same time.
const AT_ONCE: usize = 256;

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
    pub fn cancel(&self, id: RunId) -> impl Future<Output = CancelOutcome> + Send + use<> {
        self.cancel_with(id, CancelRequest::default())
    }

    /// Cancels the run of this id, for a reason, and remembers that when asked to and the run is not known yet.
    ///
    /// The cancel of a run that is at work or waits, and the remembering, take effect in this call; see
    /// [`Run::cancel_with`]. For any other id the future asks the store what became of the run. One that has no ending
    /// there, and is at work nowhere here, is `NotFound`: it is not ours to end.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take the cancel back.
    pub fn cancel_with(
        &self,
        id: RunId,
        request: CancelRequest,
    ) -> impl Future<Output = CancelOutcome> + Send + use<> {
        let registry = self.registry().clone();
        let config = &registry.config;
        let remember = request.remember
            && config.max_remembered_cancels > 0
            && !config.remember_cancels_for.is_zero();
        // Remembered first and looked up after: a run that starts in between finds the intent.
        let answer = match registry.find_or_remember(id, remember.then_some(&request)) {
            Some(log) => Ok(Run::new(log).cancel_with(request)),
            None => Err(request),
        };
        async move {
            match answer {
                Ok(answer) => answer.await,
                Err(request) => registry.cancel_unknown(id, request, remember).await,
            }
        }
    }

    /// Cancels many runs at once, and gives an answer for each that had not ended. Those that are at work or wait for a
    /// slot or their session are decided in this call, those that are paused as soon as the future is polled to them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes no cancel back.
    pub fn cancel_all(
        &self,
        which: Scope,
        request: CancelRequest,
    ) -> impl Future<Output = Vec<(RunId, CancelOutcome)>> + Send + use<> {
        let answers = self.cancel_known(&which, &request);
        let registry = self.registry().clone();
        async move {
            let mut answers = answers.await;
            answers.extend(registry.cancel_paused(&which, &request).await);
            answers
        }
    }

    /// Cancels the runs that somebody works for, or that wait.
    pub(super) fn cancel_known(
        &self,
        which: &Scope,
        request: &CancelRequest,
    ) -> impl Future<Output = Vec<(RunId, CancelOutcome)>> + Send + use<> {
        let answers: Vec<_> = self
            .registry()
            .all()
            .into_iter()
            .filter(|log| which.holds(log) && !log.status().is_ended())
            .map(|log| {
                let id = log.id;
                let answer = Run::new(log).cancel_with(request.clone());
                async move { (id, answer.await) }
            })
            .collect();
        join_all(answers)
    }
}

impl Registry {
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
    ) -> Vec<(RunId, CancelOutcome)> {
        let mut query = RunQuery::unfinished();
        query.agent = which.agent.clone();
        query.session_id = which.session.clone();
        query.user_id = which.user.clone();
        let mut answers = Vec::new();
        loop {
            let page = match self.env.store.clone().runs(query.clone()).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "the paused runs could not be listed, and are not cancelled");
                    return answers;
                }
            };
            let next = page.last().map(|last| query.clone().after(last));
            let full = page.len() == query.limit;
            let paused = page
                .into_iter()
                .filter(|head| head.status == RunStatus::Paused);
            let cancels = paused.map(|RunHead { run_id, .. }| {
                let (registry, request) = (self.clone(), request.clone());
                async move {
                    let outcome = registry.cancel_unknown(run_id, request, false).await;
                    (run_id, outcome)
                }
            });
            // Each waits for the store, which takes many in one commit.
            let answered = stream::iter(cancels).buffered(AT_ONCE);
            answers.extend(answered.collect::<Vec<_>>().await);
            match next {
                Some(next) if full => query = next,
                Some(_) | None => return answers,
            }
        }
    }

    /// Answers a cancel of a run that was not in memory when it was asked for.
    async fn cancel_unknown(
        self: &Arc<Self>,
        id: RunId,
        request: CancelRequest,
        remember: bool,
    ) -> CancelOutcome {
        let found = self.find_or_restore(id).await.unwrap_or_else(|error| {
            tracing::warn!(run_id = %id, %error, "the store could not tell whether a run exists");
            Found::Nothing
        });
        match found {
            Found::Log(log) => {
                self.forget_intent(id, &request);
                Run::new(log).cancel_with(request).await
            }
            Found::Stored(head) if head.status.is_ended() => {
                self.forget_intent(id, &request);
                CancelOutcome::AlreadyEnded {
                    status: head.status,
                }
            }
            Found::Stored(_) | Found::Nothing if remember => CancelOutcome::Remembered,
            Found::Stored(_) | Found::Nothing => CancelOutcome::NotFound,
        }
    }
}
