//! Settling what a crash has left, before anything else.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use futures::{StreamExt, stream};
use tokio::runtime::Handle;

use super::{Runtime, registry::Registry};
use crate::{
    agent::{Agent, OnCrash},
    cancel::{CancelReason, CancelRequest},
    error::{Cause, EventsError},
    event::{EventKind, ToolCallProcess},
    id::{RunId, Timestamp},
    lock::locked,
    run::{ending::Ending, log::RunLog},
    status::RunStatus,
    store::{RunHead, RunQuery},
};

/// How many runs are settled at the same time.
const AT_ONCE: usize = 256;

/// How many are listed at a time.
const PAGE: usize = 1024;

/// Ends a program that a crash has left running.
pub(super) type EndProcess = Arc<dyn Fn(&ToolCallProcess) + Send + Sync>;

/// What recovery did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// Runs that had been asked to stop, and children that had not begun or were paused: they ended `Cancelled`.
    pub cancelled: Vec<RunId>,
    /// Runs that ended `Error`, with the reason `interrupted`.
    pub interrupted: Vec<RunId>,
    /// Runs that had not begun, and are queued again.
    pub requeued: Vec<RunId>,
    /// Runs that continue after their last completed step.
    pub resumed: Vec<RunId>,
    /// How many wait for a person's decision, as before.
    pub paused: usize,
    /// Programs that tools had running.
    pub processes: Vec<Arc<ToolCallProcess>>,
    /// Runs that could not be settled, and why. They are as they were.
    pub failed: Vec<(RunId, EventsError)>,
}

/// What became of one run.
enum Settled {
    Cancelled,
    Interrupted,
    Requeued,
    Resumed,
    Paused,
}

impl Runtime {
    /// Settles every run that is unfinished in the store.
    pub(super) async fn recover(
        &self,
        end_process: Option<&EndProcess>,
    ) -> Result<Recovered, EventsError> {
        let mut unfinished = Vec::new();
        let mut query = RunQuery::unfinished().limit(PAGE);
        loop {
            let page = self.runs(query.clone()).await?;
            let full = page.len() == PAGE;
            let next = page.last().map(|last| query.clone().after(last));
            unfinished.extend(page);
            match next {
                Some(next) if full => query = next,
                Some(_) | None => break,
            }
        }
        // The oldest first: that is the order in which they continue. But one that was running had its session before
        // those that waited for it, also where they are older: a paused one that continues waits like a new one.
        unfinished.reverse();
        unfinished.sort_by_key(|head| !was_at_work(head.status));
        let mut recovered = Recovered::default();
        let registry = self.registry();
        // Many are read at a time, and many endings stored; in between one after another, in their order.
        let mut settling = stream::iter(unfinished)
            .map(|head| async move {
                let found = found(registry, &head, end_process).await;
                (head, found)
            })
            .buffered(AT_ONCE)
            .map(|(head, found)| {
                let begun = found.map(|found| begin(registry, &head, found));
                async move {
                    let settled = match begun {
                        Ok(begun) => begun.settled().await,
                        Err(error) => Err(error),
                    };
                    (head.run_id, settled)
                }
            })
            .buffered(AT_ONCE);
        while let Some((run, settled)) = settling.next().await {
            match settled {
                Ok((settled, processes)) => {
                    registry.env.counters.carried_over.fetch_add(1, Relaxed);
                    recovered.processes.extend(processes);
                    match settled {
                        Settled::Cancelled => recovered.cancelled.push(run),
                        Settled::Interrupted => recovered.interrupted.push(run),
                        Settled::Requeued => recovered.requeued.push(run),
                        Settled::Resumed => recovered.resumed.push(run),
                        Settled::Paused => recovered.paused += 1,
                    }
                }
                Err(error) => {
                    tracing::error!(run_id = %run, %error, "a run could not be settled");
                    recovered.failed.push((run, error));
                }
            }
        }
        Ok(recovered)
    }
}

/// Whether a run had its session when its process ended.
fn was_at_work(status: RunStatus) -> bool {
    match status {
        RunStatus::Running | RunStatus::Cancelling => true,
        RunStatus::Pending
        | RunStatus::Paused
        | RunStatus::Completed
        | RunStatus::Cancelled
        | RunStatus::Error => false,
    }
}

/// What is found of an unfinished run.
enum LeftRun {
    /// It waits for a person, and not for longer than this.
    Paused(Option<Timestamp>),
    /// It is to be settled. Its programs, which are noted here, have been ended.
    Log(Arc<RunLog>, Vec<Arc<ToolCallProcess>>),
}

/// Reads what is needed of a run, and ends its programs.
async fn found(
    registry: &Arc<Registry>,
    head: &RunHead,
    end_process: Option<&EndProcess>,
) -> Result<LeftRun, EventsError> {
    if head.status == RunStatus::Paused
        && let Some(expires_at) = expiry(registry, head).await?
    {
        return Ok(LeftRun::Paused(expires_at));
    }
    let events = registry.events_of(head).await?;
    let (env, host) = (registry.env.clone(), registry.clone());
    let log = RunLog::restored(head, &events, None, env, host);
    let processes = log.open_processes();
    if let Some(end) = end_process {
        end_all(&registry.env.tokio, end, &processes).await;
    }
    Ok(LeftRun::Log(log, processes))
}

/// Ends programs, on a thread that may wait for that. One that cannot be ended hinders no run from being settled.
async fn end_all(tokio: &Handle, end: &EndProcess, processes: &[Arc<ToolCallProcess>]) {
    for process in processes {
        let (end, noted) = (end.clone(), process.clone());
        if let Err(error) = tokio.spawn_blocking(move || end(&noted)).await {
            tracing::error!(call_id = %process.id, %error, "a program could not be ended");
        }
    }
}

/// When a paused run expires. `None`: it is a child, and does not wait on.
async fn expiry(
    registry: &Arc<Registry>,
    head: &RunHead,
) -> Result<Option<Option<Timestamp>>, EventsError> {
    let read = |after| {
        let store = registry.env.store.clone();
        async move {
            let page = store.read(head.run_id, after, 1).await?;
            let event = page.into_iter().next();
            event.ok_or(EventsError::Expired { first: after + 1 })
        }
    };
    if let EventKind::Started(started) = read(0).await?.kind
        && started.parent.is_some()
    {
        return Ok(None);
    }
    let EventKind::Paused(paused) = read(head.last.saturating_sub(1)).await?.kind else {
        return Ok(Some(None));
    };
    Ok(Some(paused.expires_at))
}

/// A run whose settling has begun, and what there is to wait for.
struct Begun {
    settled: Settled,
    processes: Vec<Arc<ToolCallProcess>>,
    waits: Option<Waits>,
}

enum Waits {
    /// Until its ending is stored.
    Ended(Arc<RunLog>),
    /// Until everything up to this position is: it is ours then.
    Stored(Arc<RunLog>, u64),
}

impl Begun {
    async fn settled(self) -> Result<(Settled, Vec<Arc<ToolCallProcess>>), EventsError> {
        match self.waits {
            None => {}
            Some(Waits::Ended(log)) => {
                log.wait_ended().await?;
            }
            Some(Waits::Stored(log, seq)) => {
                let stored = log.wait_stored(seq).await;
                stored.map_err(|error| EventsError::Read(Cause::new(error)))?;
            }
        }
        Ok((self.settled, self.processes))
    }
}

/// Settles one run, but for what has to be waited for.
fn begin(registry: &Arc<Registry>, head: &RunHead, found: LeftRun) -> Begun {
    let (log, processes) = match found {
        LeftRun::Paused(expires_at) => {
            registry.keep_paused_stored(&mut locked(&registry.runs), head, expires_at);
            return Begun {
                settled: Settled::Paused,
                processes: Vec::new(),
                waits: None,
            };
        }
        LeftRun::Log(log, processes) => (log, processes),
    };
    let agent = registry.agents.get(&head.agent);
    if let Some(agent) = &agent {
        log.limit(agent);
    }
    let (settled, waits) = match (head.status, log.parent(), &agent) {
        // The run that waited for a child is gone, so the child does not continue by itself.
        (RunStatus::Pending | RunStatus::Paused, Some(parent), _) => {
            registry.accept_ending(&log);
            log.cancel(&CancelRequest::new(CancelReason::Parent(parent)));
            (Settled::Cancelled, Waits::Ended(log).into())
        }
        (RunStatus::Pending, None, Some(agent)) => relaunch_found(registry, log, agent, false),
        // One that was resumed again and again may be what ends the process.
        (RunStatus::Running, None, Some(agent))
            if agent.on_crash() == OnCrash::Resume && log.resumes() < agent.max_resumes() =>
        {
            relaunch_found(registry, log, agent, true)
        }
        (RunStatus::Cancelling, _, _) => {
            registry.accept_ending(&log);
            log.end(Ending::Crashed);
            (Settled::Cancelled, Waits::Ended(log).into())
        }
        (
            RunStatus::Pending
            | RunStatus::Running
            | RunStatus::Paused
            | RunStatus::Completed
            | RunStatus::Cancelled
            | RunStatus::Error,
            _,
            _,
        ) => interrupted(registry, log),
    };
    Begun {
        settled,
        processes,
        waits,
    }
}

/// Ends a run. It has its session until that is stored: what waited for it is to read how it ended.
fn interrupted(registry: &Registry, log: Arc<RunLog>) -> (Settled, Option<Waits>) {
    registry.accept_ending(&log);
    log.end(Ending::Crashed);
    (Settled::Interrupted, Some(Waits::Ended(log)))
}

/// Continues a run. One for which there is no place ends as if its agent were unknown.
fn relaunch_found(
    registry: &Arc<Registry>,
    log: Arc<RunLog>,
    agent: &Agent,
    resumes: bool,
) -> (Settled, Option<Waits>) {
    let launch = registry.relaunch(&log, agent);
    match registry.accept_recovered(launch, resumes) {
        Ok((todo, seq)) => {
            log.flush();
            registry.perform(todo);
            match seq {
                Some(seq) => (Settled::Resumed, Some(Waits::Stored(log, seq))),
                None => (Settled::Requeued, None),
            }
        }
        Err(error) => {
            tracing::warn!(run_id = %log.id, %error, "there is no place for a run to go on");
            interrupted(registry, log)
        }
    }
}
