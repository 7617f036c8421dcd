//! Where rules are tried: the store, and what was put into it.

use std::{
    fmt::Debug,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    super::{RunHead, RunQuery, SessionHead, SessionPatch, SessionQuery, Store, WriteError},
    Checked, Violation,
};
use crate::{
    id::{RunId, Timestamp},
    lock::locked,
};

/// How often what is in doubt is tried.
pub(super) const TRIES: usize = 100;

/// How many pages a list of a few runs may have, with room for those of others.
const PAGES: usize = 10_000;

/// The time that one rule has for itself, in milliseconds.
const SPAN: u64 = 1_000;

pub(super) struct Ground<'a, S> {
    pub(super) store: &'a S,
    /// What the names of this check begin with.
    name: String,
    /// When its first rule is tried, as the runs have it: some moment that hardly any other run was created at, so that
    /// lists of all runs show few others in between.
    base: u64,
    rules: AtomicU64,
    runs: Mutex<Vec<RunId>>,
    sessions: Mutex<Vec<Arc<str>>>,
}

impl<'a, S: Store> Ground<'a, S> {
    pub(super) fn new(store: &'a S) -> Ground<'a, S> {
        let id = RunId::new();
        // The low bits of an id are random, and 40 of them as milliseconds are less than 35 years.
        let [.., a, b, c, d, e] = *id.as_bytes();
        Ground {
            store,
            name: format!("conformance {id}"),
            base: u64::from_be_bytes([0, 0, 0, a, b, c, d, e]),
            rules: AtomicU64::new(0),
            runs: Mutex::default(),
            sessions: Mutex::default(),
        }
    }

    /// A place to try `rule` at, apart from all others.
    pub(super) fn rule(&'a self, rule: &'static str) -> Place<'a, S> {
        let number = self.rules.fetch_add(1, Ordering::Relaxed);
        Place {
            ground: self,
            rule,
            name: format!("{}, rule {number}:", self.name),
            begin: self.base + number * SPAN,
        }
    }

    pub(super) fn note_run(&self, run: RunId) {
        locked(&self.runs).push(run);
    }

    /// Deletes whatever the check has put into the store, as far as the store lets it.
    pub(super) async fn clear(&self) {
        let sessions = std::mem::take(&mut *locked(&self.sessions));
        for id in sessions {
            let _ = self.store.delete_session(id).await;
        }
        let runs = std::mem::take(&mut *locked(&self.runs));
        for run in runs {
            let _ = self.store.delete_run(run).await;
        }
    }
}

/// Where one rule is tried, with names and times of its own.
pub(super) struct Place<'a, S> {
    pub(super) ground: &'a Ground<'a, S>,
    pub(super) rule: &'static str,
    name: String,
    begin: u64,
}

impl<'a, S: Store> Place<'a, S> {
    pub(super) fn store(&self) -> &'a S {
        self.ground.store
    }

    /// A moment, so many milliseconds after the rule's first.
    pub(super) fn at(&self, millis: u64) -> Timestamp {
        Timestamp::from_millis(self.begin + millis)
    }

    /// The id of a session of this rule.
    pub(super) fn session(&self, which: &str) -> Arc<str> {
        let id: Arc<str> = format!("{} {which}", self.name).into();
        locked(&self.ground.sessions).push(id.clone());
        id
    }

    /// The id of a user of this rule.
    pub(super) fn user(&self, which: &str) -> Arc<str> {
        format!("{} {which}", self.name).into()
    }

    /// The name of an agent of this rule.
    pub(super) fn agent(&self, which: &str) -> Arc<str> {
        format!("{} {which}", self.name).into()
    }

    pub(super) fn violation(&self, what: String) -> Violation {
        let rule = self.rule;
        Violation { rule, what }
    }

    pub(super) fn expect<T: Debug + PartialEq>(&self, what: &str, is: T, should_be: T) -> Checked {
        if is == should_be {
            return Ok(());
        }
        Err(self.violation(format!("{what} answered {is:?}, and not {should_be:?}")))
    }

    /// Expects `list` to be `should_be`, and the same in pages of any size.
    pub(super) async fn expect_listed(&self, query: RunQuery, should_be: &[RunHead]) -> Checked {
        for size in [1, 2, 3, 100] {
            let pages = self.pages(query.clone(), size, None).await?;
            let what = format!("a list in pages of {size}, {query:?},");
            self.expect(&what, &pages[..], should_be)?;
        }
        Ok(())
    }

    pub(super) async fn runs(&self, query: RunQuery) -> Result<Vec<RunHead>, Violation> {
        let page = self.store().runs(query).await;
        page.map_err(|error| Violation::unreadable(self.rule, "a list of runs", &error))
    }

    /// All pages of a list, or those that begin before `until`.
    async fn pages(
        &self,
        query: RunQuery,
        size: usize,
        until: Option<Timestamp>,
    ) -> Result<Vec<RunHead>, Violation> {
        let mut found = Vec::new();
        let mut query = query.limit(size);
        for _ in 0..PAGES {
            let page = self.runs(query.clone()).await?;
            if page.len() > size {
                let answer = format!("a page of {size} runs answered {}", page.len());
                return Err(self.violation(answer));
            }
            let Some(last) = page.last() else {
                return Ok(found);
            };
            let done = until.is_some_and(|until| last.created_at < until);
            query = query.after(last);
            found.extend(page);
            if done {
                return Ok(found);
            }
        }
        Err(self.violation("a list in pages comes to no end".to_owned()))
    }

    /// What the list of all runs has of this rule, read in pages.
    pub(super) async fn listed_among_all(&self, size: usize) -> Result<Vec<RunHead>, Violation> {
        let highest = RunId::from(uuid::Uuid::max());
        let query = RunQuery {
            past: Some((self.at(SPAN), highest)),
            ..RunQuery::default()
        };
        let mut found = self.pages(query, size, Some(self.at(0))).await?;
        found.retain(|head| head.agent.starts_with(&self.name));
        Ok(found)
    }

    /// What the list of all sessions has of this rule, read in pages.
    pub(super) async fn listed_sessions(&self, size: usize) -> Result<Vec<SessionHead>, Violation> {
        let mut found = Vec::new();
        let mut query = SessionQuery {
            past: Some((self.at(SPAN), "".into())),
            limit: size,
            ..SessionQuery::default()
        };
        for _ in 0..PAGES {
            let page = self.sessions(query.clone()).await?;
            if page.len() > size {
                let answer = format!("a page of {size} sessions answered {}", page.len());
                return Err(self.violation(answer));
            }
            let last = page.last();
            let Some(last) = last.filter(|last| last.created_at >= self.at(0)) else {
                found.extend(page);
                found.retain(|head: &SessionHead| head.session_id.starts_with(&self.name));
                return Ok(found);
            };
            query = query.after(last);
            found.extend(page);
        }
        Err(self.violation("a list of sessions in pages comes to no end".to_owned()))
    }

    pub(super) async fn sessions(
        &self,
        query: SessionQuery,
    ) -> Result<Vec<SessionHead>, Violation> {
        let page = self.store().sessions(query).await;
        page.map_err(|error| Violation::unreadable(self.rule, "a list of sessions", &error))
    }

    pub(super) async fn count_sessions(&self, query: SessionQuery) -> Result<u64, Violation> {
        let count = self.store().count_sessions(query).await;
        count.map_err(|error| Violation::unreadable(self.rule, "a count of sessions", &error))
    }

    pub(super) async fn session_head(
        &self,
        id: &Arc<str>,
    ) -> Result<Option<SessionHead>, Violation> {
        let head = self.store().session(id.clone()).await;
        head.map_err(|error| Violation::unreadable(self.rule, "a session", &error))
    }

    pub(super) async fn name(&self, id: &Arc<str>, name: Option<&str>, at: u64) -> Checked {
        self.put(id, SessionPatch::new().name(name), at).await
    }

    pub(super) async fn put(&self, id: &Arc<str>, patch: SessionPatch, at: u64) -> Checked {
        let put = || {
            self.store()
                .put_session(id.clone(), patch.clone(), self.at(at))
        };
        self.insist("putting to a session", put).await.map(|_| ())
    }

    /// Deletes a run, and expects to hear whether it was there.
    pub(super) async fn delete_run(&self, run: RunId, was_there: bool) -> Checked {
        let deleted = || self.store().delete_run(run);
        let answer = self.insist("deleting a run", deleted).await?;
        self.expect_deleted("deleting a run", answer, was_there)
    }

    /// Deletes a session, and expects to hear whether it was there.
    pub(super) async fn delete_session(&self, id: &Arc<str>, was_there: bool) -> Checked {
        let deleted = || self.store().delete_session(id.clone());
        let answer = self.insist("deleting a session", deleted).await?;
        self.expect_deleted("deleting a session", answer, was_there)
    }

    fn expect_deleted(&self, what: &str, (is, doubt): (bool, bool), should_be: bool) -> Checked {
        // A first try that was in doubt may have done it; then there was nothing for the second.
        let is = is || (doubt && should_be);
        self.expect(what, is, should_be)
    }

    /// Does what may be in doubt until it is known to be done: the answer, and whether it was in doubt before.
    async fn insist<T, F>(
        &self,
        what: &str,
        attempt: impl Fn() -> F,
    ) -> Result<(T, bool), Violation>
    where
        F: Future<Output = Result<T, WriteError>>,
    {
        for tried in 0..TRIES {
            match attempt().await {
                Ok(answer) => return Ok((answer, tried > 0)),
                Err(WriteError::Unknown(_)) => {}
                Err(error @ WriteError::Unavailable(_)) => {
                    return Err(self.violation(format!("{what} failed: {error}")));
                }
            }
        }
        Err(self.violation(format!("{what} stayed in doubt")))
    }
}
