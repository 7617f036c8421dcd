//! Cancels of runs that are not known yet.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{cancel::CancelRequest, id::RunId};

/// A remembered cancel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::runtime) struct Intent {
    pub(in crate::runtime) request: CancelRequest,
    key: Key,
    /// Its number among all, and since when it is remembered.
    number: u64,
    at: Instant,
}

/// Of whom, and of which run.
type Key = (Arc<str>, RunId);

/// Cancels of runs that are not known yet, bounded in number, by scope, and in age. A scope says who may cancel the
/// run: only a start of the same scope is cancelled. The empty one is bounded like all together.
#[derive(Clone, Debug)]
pub(in crate::runtime) struct Intents {
    most: usize,
    most_per_scope: usize,
    keep_for: Duration,
    numbers: u64,
    intents: HashMap<Key, Intent>,
    /// The same ones, in the order in which they came.
    order: BTreeMap<u64, Key>,
    scopes: HashMap<Arc<str>, BTreeSet<u64>>,
}

impl Intents {
    pub(in crate::runtime) fn new(
        most: usize,
        most_per_scope: usize,
        keep_for: Duration,
    ) -> Intents {
        Intents {
            most,
            most_per_scope,
            keep_for,
            numbers: 0,
            intents: HashMap::new(),
            order: BTreeMap::new(),
            scopes: HashMap::new(),
        }
    }

    /// Remembers a cancel; the oldest is forgotten for it, of its scope and of all. `false`: none is remembered.
    pub(in crate::runtime) fn add(
        &mut self,
        scope: Arc<str>,
        run: RunId,
        request: CancelRequest,
        now: Instant,
    ) -> bool {
        if self.bound(&scope) == 0 || self.most == 0 || self.keep_for.is_zero() {
            return false;
        }
        self.expire(now);
        self.numbers += 1;
        self.insert(Intent {
            request,
            key: (scope, run),
            number: self.numbers,
            at: now,
        });
        true
    }

    /// The cancel that is remembered for a run that starts.
    pub(super) fn get(&self, scope: &Arc<str>, run: RunId, now: Instant) -> Option<Intent> {
        if self.intents.is_empty() {
            return None;
        }
        let intent = self.intents.get(&(scope.clone(), run))?;
        (!self.is_old(intent.at, now)).then(|| intent.clone())
    }

    pub(super) fn take(&mut self, intent: &Intent) {
        self.remove(&intent.key);
    }

    /// Remembers an intent again whose run the store has not taken.
    pub(in crate::runtime) fn put_back(&mut self, intent: Intent, now: Instant) {
        self.insert(intent);
        self.expire(now);
    }

    /// A run is known after all.
    pub(in crate::runtime) fn forget(&mut self, scope: &Arc<str>, run: RunId) {
        self.remove(&(scope.clone(), run));
    }

    /// The first intent stands: a second cancel changes nothing.
    fn insert(&mut self, intent: Intent) {
        if self.intents.contains_key(&intent.key) {
            return;
        }
        let (scope, number) = (intent.key.0.clone(), intent.number);
        self.order.insert(number, intent.key.clone());
        self.intents.insert(intent.key.clone(), intent);
        let bound = self.bound(&scope);
        let of_scope = self.scopes.entry(scope).or_default();
        of_scope.insert(number);
        let oldest = of_scope.first().copied();
        if of_scope.len() > bound {
            self.remove_number(oldest);
        }
        if self.order.len() > self.most {
            self.remove_number(self.order.keys().next().copied());
        }
    }

    fn bound(&self, scope: &str) -> usize {
        if scope.is_empty() {
            self.most
        } else {
            self.most_per_scope
        }
    }

    fn is_old(&self, at: Instant, now: Instant) -> bool {
        now.saturating_duration_since(at) >= self.keep_for
    }

    fn expire(&mut self, now: Instant) {
        while let Some((number, key)) = self.order.first_key_value()
            && self
                .intents
                .get(key)
                .is_none_or(|intent| self.is_old(intent.at, now))
        {
            self.remove_number(Some(*number));
        }
    }

    fn remove_number(&mut self, number: Option<u64>) {
        if let Some(key) = number.and_then(|number| self.order.get(&number).cloned()) {
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &Key) {
        let Some(intent) = self.intents.remove(key) else {
            return;
        };
        self.order.remove(&intent.number);
        if let Some(of_scope) = self.scopes.get_mut(&key.0) {
            of_scope.remove(&intent.number);
            if of_scope.is_empty() {
                self.scopes.remove(&key.0);
            }
        }
    }
}
