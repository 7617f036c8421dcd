//! Runs whose process dies at a chosen event, is started again, and may die again.

use std::{collections::HashMap, sync::Arc};

use quell_actors::{
    Agent, EventKind, NewRun, Outcome, Run, RunEvent, RunId, RunStatus, Runtime,
    agent::OnCrash,
    runtime::{Decisions, Recovered},
    sim::check_chat,
};

use super::{on, reopened};
use crate::support::{
    check_history, nothing_kept, settle,
    shared::SharedStore,
    tools::{Ledger, Recorder},
};

/// A scenario: a run, and what happens to it.
pub(super) struct Play {
    /// Makes the agent, with tools that record their calls.
    pub(super) agent: fn(&Ledger, OnCrash, Recorder) -> Agent,
    pub(super) model: fn() -> quell_actors::sim::Storyteller,
    /// Cancels the run at this event.
    pub(super) cancel_at: Option<u64>,
    /// Steers the run at this event.
    pub(super) steer_at: Option<u64>,
    /// Calls that may be made more than once.
    pub(super) repeatable: &'static [&'static str],
}

/// One store, and the processes that use it one after another.
pub(super) struct Stage {
    pub(super) store: SharedStore,
    pub(super) ledger: Ledger,
    pub(super) model: Recorder,
    pub(super) id: RunId,
    pub(super) agent: Agent,
    play: &'static Play,
}

impl Stage {
    pub(super) fn new(play: &'static Play, on_crash: OnCrash) -> Stage {
        let (ledger, model) = (Ledger::default(), Recorder::new((play.model)()));
        Stage {
            store: SharedStore::new(),
            agent: (play.agent)(&ledger, on_crash, model.clone()),
            ledger,
            model,
            id: RunId::new(),
            play,
        }
    }

    /// The first process: it dies after so many appends, or finishes.
    pub(super) async fn first(&self, appends: u64) -> Process {
        let store = self.store.another();
        store.freeze_after(appends);
        let runtime = on(&store).await;
        let run = NewRun::new("Do it.").id(self.id).session("s");
        let (started, agent) = (runtime.clone(), self.agent.clone());
        // The start does not return if it cannot be stored.
        tokio::spawn(async move { started.start(&agent, run).await });
        settle().await;
        let process = Process { store, runtime };
        if let Some(run) = process.run(self.id).await {
            self.act(&process, &run).await;
        }
        process
    }

    /// The next process, which dies after so many appends, or finishes.
    pub(super) async fn next(&self, appends: u64) -> (Process, Option<Recovered>) {
        let store = self.store.another();
        store.freeze_after(appends);
        let opening = tokio::spawn({
            let (store, agent) = (store.clone(), self.agent.clone());
            let recover = quell_actors::Runtime::builder().agent(&agent);
            async move { recover.open(store).await }
        });
        tokio::select! {
            opened = opening => {
                let (runtime, recovered) = opened.unwrap().unwrap();
                let process = Process { store, runtime };
                if let Some(run) = process.run(self.id).await {
                    self.act(&process, &run).await;
                }
                (process, Some(recovered))
            }
            // It died during `open`, so there is no runtime.
            () = store.frozen() => (Process { runtime: Runtime::new(), store }, None),
        }
    }

    /// Plays until the run has ended or the process is dead: approves calls, and cancels and steers as the scenario
    /// says.
    async fn act(&self, process: &Process, run: &Run) {
        let mut events = run.events();
        while let Some(event) = tokio::select! {
            event = events.next() => event,
            () = process.store.frozen() => None,
        } {
            let Ok(event) = event else { return };
            if let EventKind::Paused(paused) = &event.kind
                && run.status() == RunStatus::Paused
            {
                let decisions = paused
                    .calls
                    .iter()
                    .fold(Decisions::new(), |decisions, waiting| {
                        decisions.approve(waiting.call.id.clone())
                    });
                let (runtime, id) = (process.runtime.clone(), self.id);
                drop(tokio::spawn(async move {
                    runtime.continue_run(id, decisions).await
                }));
            }
            if self.play.cancel_at == Some(event.seq) {
                tokio::spawn(run.cancel());
            }
            if self.play.steer_at == Some(event.seq) {
                tokio::spawn(run.steer("And mind the wind."));
            }
        }
        settle().await;
    }

    /// Checks the stored events of the ended run.
    pub(super) async fn check(&self) -> Outcome {
        let events = self.store.stored(self.id).await;
        let outcome = check_history(&events);
        self.check_calls(&events);
        self.check_usage(&events, &outcome);
        outcome
    }

    fn check_calls(&self, events: &[RunEvent]) {
        let mut asked = Vec::new();
        let (mut results, mut begun): (HashMap<Arc<str>, usize>, HashMap<Arc<str>, usize>) =
            Default::default();
        for event in events {
            match &event.kind {
                EventKind::ModelRequestCompleted(completed) => {
                    asked.extend(completed.calls.clone())
                }
                EventKind::ToolCallStarted(call) => {
                    assert!(asked.contains(call), "nobody asked for it: {events:#?}");
                    assert!(
                        !results.contains_key(&call.id),
                        "it had a result: {events:#?}"
                    );
                    *begun.entry(call.id.clone()).or_default() += 1;
                }
                EventKind::ToolCallCompleted(done) => {
                    *results.entry(done.id.clone()).or_default() += 1
                }
                EventKind::ToolCallError(failed) => {
                    *results.entry(failed.id.clone()).or_default() += 1
                }
                _ => {}
            }
        }
        for call in &asked {
            assert_eq!(results.get(&call.id), Some(&1), "{call:?} {events:#?}");
            let times = self.ledger.times(&call.id);
            let begun = begun.get(&call.id).copied().unwrap_or_default();
            assert!(
                times <= begun,
                "{call:?} was made before it was stored: {events:#?}"
            );
            if !self.play.repeatable.contains(&&*call.name) {
                assert!(
                    begun <= 1 && times <= 1,
                    "{call:?} was repeated: {events:#?}"
                );
            }
        }
        assert!(
            self.ledger
                .made()
                .iter()
                .all(|made| begun.contains_key(made))
        );
    }

    fn check_usage(&self, events: &[RunEvent], outcome: &Outcome) {
        let mut sum = 0;
        for event in events {
            if let EventKind::ModelRequestCompleted(completed) = &event.kind {
                sum += completed.usage.tokens();
            }
        }
        let used = outcome.usage().tokens();
        assert!(used >= sum && used < 100_000, "{used} {sum} {events:#?}");
    }

    /// Checks that a provider would accept the next question of the session.
    pub(super) async fn check_next(&self) {
        let (runtime, recovered) = reopened(&self.store, &[]).await;
        assert_eq!(recovered, Recovered::default(), "all was settled before");
        let run = NewRun::new("And now?").session("s");
        let run = runtime.start(&self.agent, run).await.unwrap();
        settle().await;
        crate::support::until(&run, |kind| {
            matches!(kind, EventKind::ModelRequestStarted { .. })
        })
        .await;
        settle().await;
        let asked = self.model.asked();
        let last = asked.last().unwrap();
        assert_eq!(check_chat(last), Ok(()), "{last:#?}");
        assert!(last.len() > 1, "it remembers: {last:#?}");
        run.cancel().await;
        settle().await;
        nothing_kept(&runtime);
    }
}

/// A process: its view of the store, and its runtime.
pub(super) struct Process {
    pub(super) store: SharedStore,
    pub(super) runtime: Runtime,
}

impl Process {
    async fn run(&self, id: RunId) -> Option<Run> {
        self.runtime.get(id).await.unwrap()
    }
}
