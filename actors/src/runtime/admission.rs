//! How runs come in: new ones, and those that come back.

use std::sync::{Arc, MutexGuard};

use tokio::time::Instant;

use super::{
    desk::{Admission, Entry, How, Intent, Phase, Stored},
    effects::{Gone, Todo},
    launch::Launch,
    registry::{Registry, RunEntry, Runs},
    timer::Timer,
    when_busy::WhenBusy,
};
use crate::{
    cancel::{CancelReason, CancelRequest},
    error::{ContinueError, EventsError, StartError},
    event::{Continued, Started},
    id::{RunId, Timestamp},
    lock::locked,
    run::log::RunLog,
};

/// What a new run asks of the registry.
pub(super) struct StartSpec {
    pub(super) when_busy: WhenBusy,
    /// Where a cancel of it may be remembered.
    pub(super) scope: Arc<str>,
    pub(super) started: Started,
}

/// A run that was accepted.
pub(super) struct Accepted {
    pub(super) todo: Todo,
    /// The remembered cancel that ended it.
    pub(super) intent: Option<Intent>,
}

impl Registry {
    /// Accepts a run, with all that makes its id, its session and its time its own in one step. Its start is written,
    /// and not sent to the store yet. Nothing is left of a run that is refused.
    pub(super) fn accept(&self, spec: StartSpec, launch: Launch) -> Result<Accepted, StartError> {
        let log = launch.log().clone();
        let now = Instant::now();
        let entry = Entry {
            run: log.id,
            session: log.session_id.clone(),
            user: spec.started.user_id.clone(),
            parent: spec.started.parent,
            how: How::Start {
                when_busy: spec.when_busy,
                scope: spec.scope,
                now: (now, self.env.clock.at(now)),
            },
        };
        let parent = spec.started.parent;
        let mut runs = locked(&self.runs);
        let admission = runs.desk.admission(entry).and_then(|admission| {
            let adopted = parent.is_none_or(|parent| runs.adopts(parent, &log));
            match (adopted, parent) {
                (false, Some(parent)) => Err(StartError::ParentEnded(parent)),
                (true, _) | (false, None) => Ok(admission),
            }
        });
        let admission = match admission {
            Ok(admission) => admission,
            Err(refused) => {
                drop(runs);
                launch.withdraw();
                return Err(refused);
            }
        };
        log.accept(spec.started, admission.at);
        let agent = Some(launch.agent.clone());
        let (launch, over) = match &admission.intent {
            None => (Some(launch), None),
            Some(_) => (None, Some(launch)),
        };
        let entry = RunEntry::of(log.clone(), agent, launch);
        runs.entries.insert(log.id, entry);
        let effects = runs.desk.admit(&admission);
        let todo = self.prepare(&mut runs, effects);
        drop(runs);
        if let Some(intent) = &admission.intent {
            log.cancel(&intent.request);
        }
        drop(over);
        Ok(Accepted {
            todo,
            intent: admission.intent,
        })
    }

    /// Remembers a cancel again whose run the store has not taken.
    pub(super) fn remember_again(&self, intent: Option<Intent>) {
        if let Some(intent) = intent {
            let mut runs = locked(&self.runs);
            runs.desk.intents.put_back(intent, Instant::now());
        }
    }

    /// Takes a paused run back, with these decisions. Returns the position from which it continues.
    pub(super) fn accept_continued(
        &self,
        launch: Launch,
        continued: Continued,
    ) -> Result<(Todo, u64), ContinueError> {
        let log = launch.log().clone();
        let runs = locked(&self.runs);
        let decided = match runs.desk.phase(log.id) {
            Some(Phase::Paused) if runs.is_of(&log) => runs
                .admission_of(&log, How::Continue)
                .map_err(ContinueError::from)
                .and_then(|admission| Ok((log.go_on_with(continued)?, admission))),
            // Another caller was quicker, or it is being deleted.
            Some(_) | None => Err(ContinueError::NotPaused {
                status: log.status(),
            }),
        };
        match decided {
            Ok((seq, admission)) => Ok((self.take_back(runs, launch, &admission), seq)),
            Err(refused) => {
                drop(runs);
                launch.withdraw();
                Err(refused)
            }
        }
    }

    /// Takes a run back that another process has left. One that `resumes` continues where it was, and the position
    /// from which on it is ours is returned.
    pub(super) fn accept_recovered(
        &self,
        launch: Launch,
        resumes: bool,
    ) -> Result<(Todo, Option<u64>), StartError> {
        let log = launch.log().clone();
        let runs = locked(&self.runs);
        match runs.admission_of(&log, How::Recover) {
            Ok(admission) => {
                let seq = resumes.then(|| log.resume(&launch.agent));
                Ok((self.take_back(runs, launch, &admission), seq))
            }
            Err(refused) => {
                drop(runs);
                launch.withdraw();
                Err(refused)
            }
        }
    }

    fn take_back(
        &self,
        mut runs: MutexGuard<'_, Runs>,
        launch: Launch,
        admission: &Admission,
    ) -> Todo {
        let (log, agent) = (launch.log().clone(), launch.agent.clone());
        runs.reads.invalidate(log.id);
        let paused = runs.paused.remove(&log.id);
        let entry = RunEntry::of(log.clone(), Some(agent), Some(launch));
        runs.entries.insert(log.id, entry);
        let effects = runs.desk.admit(admission);
        let mut todo = self.prepare(&mut runs, effects);
        todo.drop_later(paused.map(Gone::Paused));
        todo
    }

    /// Records a run that another process has left, and that is about to end: it has its session until that is stored.
    pub(super) fn accept_ending(&self, log: &Arc<RunLog>) {
        let mut runs = locked(&self.runs);
        runs.desk.admit_ending(&entry_of(log, How::Recover));
        let entry = RunEntry::of(log.clone(), None, None);
        runs.entries.insert(log.id, entry);
    }

    /// What ends the waiting of a run for its session.
    pub(super) fn session_wait(&self, log: &Arc<RunLog>) -> Option<Timer> {
        let log = Arc::downgrade(log);
        Some(Timer::new(
            &self.env.tokio,
            self.config.session_wait?,
            async move {
                if let Some(log) = log.upgrade() {
                    log.cancel(&CancelRequest::new(CancelReason::SessionBusy).by("session_wait"));
                }
            },
        ))
    }
}

impl Runs {
    /// Whether a run that comes back may come in.
    fn admission_of(&self, log: &RunLog, how: How) -> Result<Admission, StartError> {
        self.desk.admission(entry_of(log, how))
    }

    /// Whether a run that has not ended accepts this one as its child.
    fn adopts(&self, parent: RunId, child: &Arc<RunLog>) -> bool {
        let parent = self.entries.get(&parent);
        parent.is_some_and(|parent| parent.log.adopt(child))
    }
}

/// What the law has to know of a run that comes back. A child that another process has left is ended, so that the
/// parent of any other is known.
fn entry_of(log: &RunLog, how: How) -> Entry {
    Entry {
        run: log.id,
        session: log.session_id.clone(),
        user: log.started().and_then(|started| started.user_id.clone()),
        parent: None,
        how,
    }
}

/// A session that a start is about to ask for: what is known of it is kept until this is dropped.
pub(super) struct Visit {
    registry: Arc<Registry>,
    session: Arc<str>,
}

impl Visit {
    /// Asks the store about a session of which nothing is known here.
    pub(super) async fn begin(
        registry: &Arc<Registry>,
        session: &Arc<str>,
    ) -> Result<Visit, EventsError> {
        let is_new = locked(&registry.runs).desk.visit(session);
        let visit = Visit {
            registry: registry.clone(),
            session: session.clone(),
        };
        if is_new {
            let store = registry.env.store.clone();
            let head = store.session(session.clone()).await?;
            let stored = head.map_or_else(Stored::default, |head| Stored {
                owner: head.user_id,
                newest: head.last_run.map_or_else(Timestamp::default, |(at, _)| at),
            });
            locked(&registry.runs).desk.session_read(session, stored);
        }
        Ok(visit)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        locked(&self.registry.runs).desk.leave_visit(&self.session);
    }
}
