//! A log made of what is stored: a run comes back, after a pause or after a crash.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    facts::Facts,
    log::{Inner, RunHost, RunLog, RuntimeEnv, run_span},
    open_calls::{UNKNOWN_OUTCOME, tool_error},
    outbox::{self, Outbox},
};
use crate::{
    agent::Agent,
    event::{Continued, RunEvent, ToolCallProcess, ToolFault},
    id::Timestamp,
    machine::State,
    status::RunStatus,
    store::{RunHead, Tape},
};

impl RunLog {
    /// The log of a run that nobody works for, by its stored events, all of them. Its first append takes the run over.
    pub(crate) fn restored(
        head: &RunHead,
        events: &[RunEvent],
        agent: Option<&Agent>,
        env: Arc<RuntimeEnv>,
        host: Arc<dyn RunHost>,
    ) -> Arc<RunLog> {
        let tape = Tape::new(head.run_id, 0);
        for event in events {
            tape.push(event.at, event.kind.clone());
        }
        let state = match head.status {
            // Nothing runs of it, as of a new one: it has to be admitted, or ends.
            RunStatus::Pending
            | RunStatus::Running
            | RunStatus::Completed
            | RunStatus::Cancelled
            | RunStatus::Error => State::Queued,
            RunStatus::Cancelling => State::Cancelling,
            RunStatus::Paused => State::Paused,
        };
        let mut outbox = Outbox::at(head.last, head.epoch);
        outbox.apply(outbox::Input::Acquire);
        let span = run_span(head.run_id, &head.agent);
        let inner = Inner::new(state, Facts::left_by(events), outbox, span);
        let head = (head.run_id, head.agent.clone(), head.session_id.clone());
        Arc::new(RunLog::new(head, tape, agent, (env, host), inner))
    }

    /// When the paused run is cancelled unless a person decides before.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        self.lock().facts.paused()?.expires_at
    }

    /// The position at which the run is paused.
    ///
    /// # Errors
    ///
    /// Where it stands instead.
    pub(crate) fn paused_at(&self) -> Result<u64, RunStatus> {
        let inner = self.lock();
        match inner.facts.status() {
            RunStatus::Paused => Ok(inner.outbox.decided()),
            status => Err(status),
        }
    }

    /// When the run was accepted. Only for a log that holds its run from the start.
    pub(crate) fn created_at(&self) -> Timestamp {
        self.lock().facts.started_at()
    }

    /// The last turn that is behind the run: the one it goes on after.
    pub(crate) fn turn(&self) -> u32 {
        self.lock().facts.turn()
    }

    /// How many times the run was resumed after a crash.
    #[allow(
        dead_code,
        reason = "who limits how often a run is resumed asks for it"
    )]
    pub(crate) fn resumes(&self) -> u32 {
        self.lock().facts.resumes()
    }

    /// The programs that calls without a result were running.
    pub(crate) fn open_processes(&self) -> Vec<Arc<ToolCallProcess>> {
        let inner = self.lock();
        inner.facts.calls().processes().cloned().collect()
    }

    /// Goes on after a crash, from the last completed step. A call that was running is made again where its tool allows
    /// that; of any other the model is told that its outcome is not known. Returns the position from which the run is ours.
    pub(crate) fn resume(&self, agent: &Agent) -> u64 {
        let mut inner = self.lock();
        let is_repeatable = |name: &str| {
            let tool = agent.tool(name);
            tool.is_some_and(|tool| tool.settings().repeatable)
        };
        let begun = inner.facts.calls().begun();
        let unknown = begun.filter(|call| !is_repeatable(&call.name));
        let unknown: Vec<_> = unknown.cloned().collect();
        // Before it goes on: what is open and was begun before that is to be made again, also after the next crash.
        let now = Instant::now();
        for call in unknown {
            let kind = tool_error(&call, ToolFault::UnknownOutcome, UNKNOWN_OUTCOME);
            self.write(&mut inner, now, kind);
        }
        self.continued(&mut inner, Continued::default());
        inner.outbox.decided()
    }
}
