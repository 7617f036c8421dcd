//! What every store must do, as a check that anybody can run against a store of their own.
//!
//! ```
//! use quell_actors::{MemoryStore, store::conformance};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), conformance::Violation> {
//! conformance::check(&MemoryStore::default()).await
//! # }
//! ```

use std::{fmt::Debug, sync::Arc};

use futures::future::join_all;

use super::{AppendError, BatchId, Events, Expected, RunHead, Store};
use crate::{
    event::{EventKind, RunEvent, Started},
    id::{RunId, Timestamp},
    message::Message,
    outcome::{ErrorReason, RunError},
    status::RunStatus,
    usage::Usage,
};

/// A rule that a store broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {what}")]
pub struct Violation {
    /// The rule.
    pub rule: &'static str,
    /// What the store did instead.
    pub what: String,
}

/// Checks `store` against every rule, with runs of new ids. It may hold other runs, and may be in use.
///
/// An append that is in doubt is tried again, as the runtime does; a store that stays in doubt, or is unavailable, has
/// not passed.
///
/// # Errors
///
/// The first [`Violation`] found.
pub async fn check<S: Store>(store: &S) -> Result<(), Violation> {
    a_run_begins_at_1_with_its_start(store).await?;
    an_append_goes_on_where_the_run_stands(store).await?;
    a_refused_append_leaves_nothing_behind(store).await?;
    another_epoch_is_refused(store).await?;
    a_retried_batch_gets_the_first_answer(store).await?;
    nothing_follows_an_ending(store).await?;
    of_appends_that_race_one_wins(store).await?;
    what_was_appended_is_read_in_order_and_in_pages(store).await
}

/// A run that is being tried.
struct Trial<'a, S> {
    store: &'a S,
    rule: &'static str,
    id: RunId,
}

type Checked = Result<(), Violation>;
type Answer = Result<u64, AppendError>;

/// How often an append that is in doubt is tried.
const TRIES: usize = 100;

impl<'a, S: Store> Trial<'a, S> {
    fn new(store: &'a S, rule: &'static str) -> Trial<'a, S> {
        let id = RunId::new();
        Trial { store, rule, id }
    }

    /// The same, with `Started` and the words up to `last` appended.
    async fn with(store: &'a S, rule: &'static str, last: u64) -> Result<Trial<'a, S>, Violation> {
        let trial = Trial::new(store, rule);
        let answer = trial.append((1, 0), 1, trial.stretch(1, last)).await;
        trial.expect("the first append", answer, Ok(last))?;
        Ok(trial)
    }

    fn event(&self, seq: u64, kind: EventKind) -> RunEvent {
        RunEvent {
            run_id: self.id,
            seq,
            at: Timestamp::from_millis(seq),
            kind,
        }
    }

    fn started(&self) -> RunEvent {
        let started = Started {
            agent: "conformance".into(),
            session_id: Some("a session".into()),
            parent: None,
            input: vec![Message::user("Go.")],
        };
        self.event(1, EventKind::Started(Arc::new(started)))
    }

    fn ending(&self, seq: u64) -> RunEvent {
        let error = RunError {
            reason: ErrorReason::Model,
            message: "over".to_owned(),
            text: String::new(),
            reasoning: String::new(),
            usage: Usage::default(),
        };
        let error = Arc::new(error);
        self.event(seq, EventKind::Error { error })
    }

    /// The events `first..=last`, as every trial has them.
    fn stretch(&self, first: u64, last: u64) -> Vec<RunEvent> {
        (first..=last)
            .map(|seq| match seq {
                1 => self.started(),
                _ => self.event(
                    seq,
                    EventKind::Content {
                        text: format!("word {seq} ").into(),
                    },
                ),
            })
            .collect()
    }

    async fn append(
        &self,
        (epoch, last): (u64, u64),
        batch: u128,
        events: Vec<RunEvent>,
    ) -> Answer {
        let events = Events::from_list(events).expect("a trial's events are a stretch of one run");
        let expected = Expected {
            epoch,
            last,
            acquire: false,
        };
        let mut answer = Err(AppendError::Unknown("not tried".into()));
        for _ in 0..TRIES {
            let append = self
                .store
                .append(self.id, expected, BatchId(batch), events.clone());
            answer = append.await;
            if !matches!(answer, Err(AppendError::Unknown(_))) {
                break;
            }
        }
        answer
    }

    fn expect<T: Debug + PartialEq>(&self, what: &str, is: T, should_be: T) -> Checked {
        if is == should_be {
            return Ok(());
        }
        Err(Violation {
            rule: self.rule,
            what: format!("{what} answered {is:?}, and not {should_be:?}"),
        })
    }

    /// Expects an append to be refused, because the run stands elsewhere.
    fn expect_fenced(&self, what: &str, answer: Answer) -> Checked {
        match answer {
            Err(AppendError::Fenced { .. }) => Ok(()),
            other => self.expect(what, other, Err(AppendError::Fenced { epoch: 0, last: 0 })),
        }
    }

    async fn head(&self) -> Result<Option<RunHead>, Violation> {
        let head = self.store.head(self.id).await;
        head.map_err(|error| self.unreadable("head", &error))
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<RunEvent>, Violation> {
        let page = self.store.read(self.id, after, limit).await;
        page.map_err(|error| self.unreadable("read", &error))
    }

    fn unreadable(&self, what: &str, error: &super::ReadError) -> Violation {
        Violation {
            rule: self.rule,
            what: format!("{what} failed: {error}"),
        }
    }

    /// Expects the run to stand at `last` in epoch 1, with exactly the events of `stretch`.
    async fn expect_stands_at(&self, last: u64) -> Checked {
        let head = self.head().await?;
        let stands = head.as_ref().map(|head| (head.epoch, head.last));
        self.expect("head", stands, Some((1, last)))?;
        let events = self.read(0, 100).await?;
        self.expect("read", events, self.stretch(1, last))
    }
}

async fn a_run_begins_at_1_with_its_start<S: Store>(store: &S) -> Checked {
    let trial = Trial::new(store, "a run begins at position 1 with its start");
    trial.expect("head of no run", trial.head().await?, None)?;
    let later = trial.append((1, 4), 1, trial.stretch(5, 6)).await;
    trial.expect_fenced("an append to no run", later)?;
    trial.expect("head of no run", trial.head().await?, None)?;
    let answer = trial.append((1, 0), 2, trial.stretch(1, 2)).await;
    trial.expect("the first append", answer, Ok(2))?;
    let again = trial.append((1, 0), 3, trial.stretch(1, 1)).await;
    trial.expect_fenced("a second start", again)?;
    trial.expect_stands_at(2).await?;
    let head = trial.head().await?;
    let known = head.map(|head| (head.run_id, head.agent, head.session_id, head.status));
    let status = RunStatus::Pending;
    let session = Some("a session".into());
    trial.expect(
        "head",
        known,
        Some((trial.id, "conformance".into(), session, status)),
    )
}

async fn an_append_goes_on_where_the_run_stands<S: Store>(store: &S) -> Checked {
    let trial = Trial::with(store, "an append goes on where the run stands", 3).await?;
    for (what, last, first) in [
        ("an append that is one behind", 2, 3),
        ("an append that is one ahead", 4, 5),
        ("an append that is far ahead", 30, 31),
        ("an append that leaves a gap", 3, 5),
        ("an append that overlaps", 3, 3),
        ("an append at a free place after a wrong one", 2, 4),
    ] {
        let answer = trial
            .append((1, last), 2, trial.stretch(first, first))
            .await;
        trial.expect_fenced(what, answer)?;
        trial.expect_stands_at(3).await?;
    }
    let answer = trial.append((1, 3), 3, trial.stretch(4, 4)).await;
    trial.expect("an append of one", answer, Ok(4))?;
    let answer = trial.append((1, 4), 4, trial.stretch(5, 9)).await;
    trial.expect("an append of many", answer, Ok(9))?;
    trial.expect_stands_at(9).await
}

async fn a_refused_append_leaves_nothing_behind<S: Store>(store: &S) -> Checked {
    let trial = Trial::with(store, "an append is all or nothing", 3).await?;
    let answer = trial.append((1, 1), 2, trial.stretch(2, 6)).await;
    trial.expect_fenced("an append whose first events are there", answer)?;
    trial.expect_stands_at(3).await?;
    // What was refused is no batch that could be retried into success.
    let answer = trial.append((1, 1), 2, trial.stretch(2, 6)).await;
    trial.expect_fenced("the same again", answer)?;
    trial.expect_stands_at(3).await
}

async fn another_epoch_is_refused<S: Store>(store: &S) -> Checked {
    let trial = Trial::with(store, "only the owner appends", 3).await?;
    for epoch in [0, 2] {
        let answer = trial.append((epoch, 3), 2, trial.stretch(4, 4)).await;
        trial.expect_fenced("an append of another epoch", answer)?;
    }
    trial.expect_stands_at(3).await
}

async fn a_retried_batch_gets_the_first_answer<S: Store>(store: &S) -> Checked {
    let trial = Trial::with(store, "a retried batch gets the first answer", 3).await?;
    let again = trial.append((1, 0), 1, trial.stretch(1, 3)).await;
    trial.expect("the first append, retried", again, Ok(3))?;
    for _ in 0..3 {
        let answer = trial.append((1, 3), 7, trial.stretch(4, 5)).await;
        trial.expect("an append, and its retries", answer, Ok(5))?;
        trial.expect_stands_at(5).await?;
    }
    let other = trial.append((1, 3), 8, trial.stretch(4, 5)).await;
    trial.expect_fenced("the same events as another batch", other)?;
    trial.expect_stands_at(5).await
}

async fn nothing_follows_an_ending<S: Store>(store: &S) -> Checked {
    let trial = Trial::with(store, "nothing follows an ending", 2).await?;
    let ending = || {
        vec![
            trial.event(3, EventKind::Content { text: "end".into() }),
            trial.ending(4),
        ]
    };
    for _ in 0..2 {
        let answer = trial.append((1, 2), 2, ending()).await;
        trial.expect("an append with the ending, and its retry", answer, Ok(4))?;
    }
    let ended = || Err(AppendError::Ended { last: 4 });
    let more = trial.append((1, 4), 3, trial.stretch(5, 5)).await;
    trial.expect("an append after the ending", more, ended())?;
    let twice = trial.append((1, 4), 4, vec![trial.ending(5)]).await;
    trial.expect("a second ending", twice, ended())?;
    let head = trial.head().await?;
    let stands = head.map(|head| (head.status, head.last));
    trial.expect("head", stands, Some((RunStatus::Error, 4)))
}

async fn of_appends_that_race_one_wins<S: Store>(store: &S) -> Checked {
    let trial = &Trial::with(store, "of appends that race one wins", 2).await?;
    for last in 2..12 {
        let racers = (0..8u128).map(|racer| {
            let batch = 100 + u128::from(last) * 8 + racer;
            trial.append((1, last), batch, trial.stretch(last + 1, last + 1))
        });
        let answers = join_all(racers).await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        trial.expect("the number of winners", won, 1)?;
        for answer in answers.into_iter().filter(Result::is_err) {
            trial.expect_fenced("an append that lost", answer)?;
        }
    }
    trial.expect_stands_at(12).await
}

async fn what_was_appended_is_read_in_order_and_in_pages<S: Store>(store: &S) -> Checked {
    let trial = Trial::with(store, "what was appended is read in order and in pages", 9).await?;
    for (after, limit) in [(0, 1), (0, 4), (3, 4), (7, 4), (8, 1), (0, 9)] {
        let page = trial.read(after, limit).await?;
        let all = trial.stretch(after + 1, 9);
        if page.is_empty() || page.len() > limit || !all.starts_with(&page) {
            let what = format!("read after {after} with limit {limit} answered {page:?}");
            return Err(Violation {
                rule: trial.rule,
                what,
            });
        }
    }
    trial.expect("read after the last", trial.read(9, 4).await?, vec![])
}
