//! A run that is being tried.

use std::{sync::Arc, time::Duration};

use super::{
    super::{AppendError, BatchId, Events, Expected, ReadError, RunHead, Store},
    Checked, Violation,
    ground::{Place, TRIES},
};
use crate::{
    cancel::{Activity, CancelReason, Receipt},
    event::{EventKind, RunEvent, Started},
    id::{RunId, Timestamp},
    message::Message,
    outcome::{ErrorReason, FinishReason, Partial, Reply, RunError},
    usage::Usage,
};

pub(super) type Answer = Result<u64, AppendError>;

/// A run, and what is known of it beside the store.
pub(super) struct Trial<'a, S> {
    place: &'a Place<'a, S>,
    pub(super) id: RunId,
    pub(super) agent: Arc<str>,
    pub(super) session: Option<Arc<str>>,
    user: Option<Arc<str>>,
    parent: Option<RunId>,
    /// What the user said.
    says: Arc<str>,
    /// When its first event was, in the rule's own time.
    begin: u64,
}

impl<'a, S: Store> Trial<'a, S> {
    /// A run that is not there yet.
    pub(super) fn new(place: &'a Place<'a, S>) -> Trial<'a, S> {
        let id = RunId::new();
        place.ground.note_run(id);
        Trial {
            place,
            id,
            agent: place.agent("agent"),
            session: Some(place.session("session")),
            user: None,
            parent: None,
            says: "Go.".into(),
            begin: 0,
        }
    }

    /// The same, with the events up to `last` appended in epoch 1, by a batch of number 1.
    pub(super) async fn with(place: &'a Place<'a, S>, last: u64) -> Result<Self, Violation> {
        Trial::new(place).begun(last).await
    }

    pub(super) async fn begun(self, last: u64) -> Result<Self, Violation> {
        let answer = self.append((1, 0), 1, self.stretch(1, last)).await;
        self.place.expect("the first append", answer, Ok(last))?;
        Ok(self)
    }

    /// A run that began so many milliseconds after the rule's first moment.
    pub(super) fn at(mut self, begin: u64) -> Self {
        self.begin = begin;
        self
    }

    pub(super) fn of(mut self, session: Option<&Arc<str>>) -> Self {
        self.session = session.cloned();
        self
    }

    pub(super) fn by(mut self, agent: &Arc<str>) -> Self {
        self.agent = agent.clone();
        self
    }

    pub(super) fn user(mut self, user: Option<&Arc<str>>) -> Self {
        self.user = user.cloned();
        self
    }

    pub(super) fn child_of(mut self, parent: RunId) -> Self {
        self.parent = Some(parent);
        self
    }

    pub(super) fn saying(mut self, words: &str) -> Self {
        self.says = words.into();
        self
    }

    /// A run of an id that does not tell when it was made.
    pub(super) fn scattered(mut self) -> Self {
        let mut bytes = *self.id.as_bytes();
        bytes.reverse();
        self.id = RunId::from(uuid::Uuid::from_bytes(bytes));
        self.place.ground.note_run(self.id);
        self
    }

    pub(super) fn time_of(&self, seq: u64) -> Timestamp {
        self.place.at(self.begin + seq - 1)
    }

    pub(super) fn event(&self, seq: u64, kind: EventKind) -> RunEvent {
        RunEvent {
            run_id: self.id,
            seq,
            at: self.time_of(seq),
            kind,
        }
    }

    /// The events `first..=last`, as every trial has them: its start, and words.
    pub(super) fn stretch(&self, first: u64, last: u64) -> Vec<RunEvent> {
        let event = |seq| match seq {
            1 => self.event(1, self.started()),
            _ => self.event(seq, words(&format!("word {seq} "))),
        };
        (first..=last).map(event).collect()
    }

    fn started(&self) -> EventKind {
        let input = vec![
            Message::system("Be brief."),
            Message::user(self.says.clone()),
        ];
        let mut started = Started::new(self.agent.clone(), input);
        started.session_id = self.session.clone();
        started.user_id = self.user.clone();
        started.parent = self.parent;
        EventKind::Started(Arc::new(started))
    }

    pub(super) fn ending(&self, seq: u64) -> RunEvent {
        self.event(seq, failed())
    }

    pub(super) async fn append(
        &self,
        (epoch, last): (u64, u64),
        batch: u128,
        events: Vec<RunEvent>,
    ) -> Answer {
        let acquire = false;
        let expected = Expected {
            epoch,
            last,
            acquire,
        };
        self.write(expected, batch, events).await
    }

    /// An append that takes the run over.
    pub(super) async fn acquire(
        &self,
        (epoch, last): (u64, u64),
        batch: u128,
        events: Vec<RunEvent>,
    ) -> Answer {
        let acquire = true;
        let expected = Expected {
            epoch,
            last,
            acquire,
        };
        self.write(expected, batch, events).await
    }

    pub(super) async fn write(
        &self,
        expected: Expected,
        batch: u128,
        events: Vec<RunEvent>,
    ) -> Answer {
        let events = Events::from_list(events).expect("a trial's events are a stretch of one run");
        let mut answer = Err(AppendError::Unknown("not tried".into()));
        for _ in 0..TRIES {
            let store = self.place.store();
            let append = store.append(self.id, expected, BatchId(batch), events.clone());
            answer = append.await;
            if !matches!(answer, Err(AppendError::Unknown(_))) {
                break;
            }
        }
        answer
    }

    /// Expects an append to be refused, because the run stands elsewhere.
    pub(super) fn expect_fenced(&self, what: &str, answer: Answer) -> Checked {
        match answer {
            Err(AppendError::Fenced { .. }) => Ok(()),
            other => {
                let fenced = Err(AppendError::Fenced { epoch: 0, last: 0 });
                self.place.expect(what, other, fenced)
            }
        }
    }

    pub(super) async fn head(&self) -> Result<Option<RunHead>, Violation> {
        let head = self.place.store().head(self.id).await;
        head.map_err(|error| Violation::unreadable(self.place.rule, "head", &error))
    }

    /// The head of a run that must be there.
    pub(super) async fn known(&self) -> Result<RunHead, Violation> {
        let head = self.head().await?;
        head.ok_or_else(|| {
            self.place
                .violation("head answered that there is no run".to_owned())
        })
    }

    pub(super) async fn read(&self, after: u64, limit: usize) -> Result<Vec<RunEvent>, Violation> {
        let page = self.place.store().read(self.id, after, limit).await;
        page.map_err(|error| Violation::unreadable(self.place.rule, "read", &error))
    }

    /// All events, however many a page has.
    async fn read_all(&self) -> Result<Vec<RunEvent>, Violation> {
        let mut events: Vec<RunEvent> = Vec::new();
        loop {
            let page = self.read(events.len() as u64, 100).await?;
            if page.is_empty() || events.len() > 1_000 {
                return Ok(events);
            }
            events.extend(page);
        }
    }

    /// Expects the run to stand at `last` in `epoch`, with exactly the events of `stretch`.
    pub(super) async fn expect_stands_at(&self, epoch: u64, last: u64) -> Checked {
        let head = self.head().await?;
        let stands = head.as_ref().map(|head| (head.epoch, head.last));
        self.place.expect("head", stands, Some((epoch, last)))?;
        let events = self.read_all().await?;
        self.place.expect("read", events, self.stretch(1, last))
    }

    /// Expects nothing to be left of the run.
    pub(super) async fn expect_gone(&self) -> Checked {
        self.place.expect("head", self.head().await?, None)?;
        match self.place.store().read(self.id, 0, 100).await {
            Err(ReadError::Expired { .. }) => Ok(()),
            other => {
                let answer = format!("read answered {other:?}, and not that it is gone");
                Err(self.place.violation(answer))
            }
        }
    }
}

pub(super) fn words(text: &str) -> EventKind {
    EventKind::Content { text: text.into() }
}

pub(super) fn completed() -> EventKind {
    completed_with(Usage::default())
}

pub(super) fn completed_with(usage: Usage) -> EventKind {
    let reply = Reply {
        text: String::new(),
        reasoning: String::new(),
        finish: FinishReason::Stop,
        usage,
    };
    let reply = Arc::new(reply);
    EventKind::Completed { reply }
}

pub(super) fn cancelled() -> EventKind {
    cancelled_with(Usage::default())
}

pub(super) fn cancelled_with(usage: Usage) -> EventKind {
    let receipt = Receipt {
        requested_at: Timestamp::default(),
        seq: 1,
        reason: CancelReason::Requested,
        by: None,
        cut: Activity::Streaming,
        took: Duration::ZERO,
        usage,
        cost: None,
        tools: Vec::new(),
        children: Vec::new(),
        fault: None,
    };
    let partial = Arc::new(Partial {
        text: String::new(),
        reasoning: String::new(),
        receipt,
    });
    EventKind::Cancelled { partial }
}

pub(super) fn failed() -> EventKind {
    failed_with(Usage::default())
}

pub(super) fn failed_with(usage: Usage) -> EventKind {
    let error = RunError {
        reason: ErrorReason::Model,
        message: "over".to_owned(),
        text: String::new(),
        reasoning: String::new(),
        usage,
    };
    let error = Arc::new(error);
    EventKind::Error { error }
}
