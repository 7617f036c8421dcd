//! Cancelling by id, by many, and ahead of time.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use futures::future::join_all;
use tokio::time::Instant;

use super::{Runtime, RuntimeConfig};
use crate::{
    cancel::{CancelOutcome, CancelRequest},
    id::RunId,
    run::{Run, log::RunLog},
};

/// Which runs a cancel of many is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Every run that has not ended.
    All,
    /// The runs of the agent of this name.
    Agent(Arc<str>),
    /// The runs of this session.
    Session(Arc<str>),
}

impl Which {
    fn holds(&self, log: &RunLog) -> bool {
        match self {
            Which::All => true,
            Which::Agent(name) => log.agent == *name,
            Which::Session(id) => log.session_id.as_ref() == Some(id),
        }
    }
}

impl Runtime {
    /// Cancels the run of this id, wherever it is. See [`Run::cancel_with`].
    pub async fn cancel(&self, id: RunId) -> CancelOutcome {
        self.cancel_with(id, CancelRequest::default()).await
    }

    /// Cancels the run of this id, for a reason, and remembers it when asked to and the run is not known yet. See
    /// [`Run::cancel_with`].
    pub async fn cancel_with(&self, id: RunId, request: CancelRequest) -> CancelOutcome {
        let config = &self.registry().config;
        let remember = request.remember && config.max_remembered_cancels > 0;
        // Remembered first and looked up after: a run that starts in between finds the intent.
        let known = self.registry().find_or(id, |remembered| {
            if remember {
                remembered.add(id, request.clone(), config);
            }
        });
        if let Ok(log) = known {
            return Run::new(log).cancel_with(request).await;
        }
        match self.registry().head(id).await {
            Ok(Some(head)) => {
                self.registry()
                    .remembered(|remembered| remembered.forget(id));
                CancelOutcome::AlreadyEnded {
                    status: head.status,
                }
            }
            Ok(None) if remember => CancelOutcome::Remembered,
            Ok(None) => CancelOutcome::NotFound,
            Err(error) => {
                tracing::warn!(run_id = %id, %error, "the store could not tell whether a run exists");
                if remember {
                    CancelOutcome::Remembered
                } else {
                    CancelOutcome::NotFound
                }
            }
        }
    }

    /// Cancels many runs at once, and gives an answer for each that had not ended.
    pub async fn cancel_all(
        &self,
        which: Which,
        request: CancelRequest,
    ) -> Vec<(RunId, CancelOutcome)> {
        // All are decided before the first answer is awaited.
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
        join_all(answers).await
    }
}

/// Cancels of runs that are not known yet, bounded in number and in age.
#[derive(Default)]
pub(super) struct Remembered {
    intents: HashMap<RunId, (Instant, CancelRequest)>,
    /// In the order in which they came; some may be gone from the map, or newer there.
    order: VecDeque<(Instant, RunId)>,
}

impl Remembered {
    fn add(&mut self, id: RunId, request: CancelRequest, config: &RuntimeConfig) {
        let now = Instant::now();
        self.expire(now, config);
        // The first intent stands: a second cancel changes nothing.
        if self.intents.contains_key(&id) {
            return;
        }
        self.intents.insert(id, (now, request));
        self.order.push_back((now, id));
        while self.order.len() > config.max_remembered_cancels {
            self.drop_oldest();
        }
    }

    /// Takes out the intent for a run that starts.
    pub(super) fn take(&mut self, id: RunId, config: &RuntimeConfig) -> Option<CancelRequest> {
        if self.intents.is_empty() {
            return None;
        }
        self.expire(Instant::now(), config);
        self.intents.remove(&id).map(|(_, request)| request)
    }

    fn forget(&mut self, id: RunId) {
        self.intents.remove(&id);
    }

    fn expire(&mut self, now: Instant, config: &RuntimeConfig) {
        while let Some((at, _)) = self.order.front()
            && now.saturating_duration_since(*at) >= config.remember_cancels_for
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((at, id)) = self.order.pop_front()
            && self.intents.get(&id).is_some_and(|(since, _)| *since == at)
        {
            self.intents.remove(&id);
        }
    }
}
